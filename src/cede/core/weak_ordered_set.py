"""A set of weak references that keeps the order of insertion: a WeakSet goes by addresses in memory, which differ from run to run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary


class WeakOrderedSet:
    """What is added and not dropped elsewhere, oldest first. Raises TypeError for what has no hash or cannot be referred to weakly."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: WeakKeyDictionary[Any, None] = WeakKeyDictionary()

    def add(self, item: Any) -> None:
        """Have `item` among them: last, unless it is there already."""
        self._items[item] = None

    def discard(self, item: Any) -> None:
        """Have `item` not among them."""
        self._items.pop(item, None)

    def clear(self) -> None:
        """Forget them all."""
        self._items.clear()

    def __contains__(self, item: Any) -> bool:
        return item in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._items))
