"""Counting what is alive."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from typing import Any


def census() -> Counter[str]:
    """How many objects of each type the collector knows. Nothing is collected: a cycle is a leak here."""
    return Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects())


def references() -> int | None:
    """All references of the process, where the interpreter counts them (a debug build)."""
    count = getattr(sys, "gettotalrefcount", None)
    return None if count is None else int(count())


def memory() -> int:
    """Blocks that the interpreter's allocator has given out: sees also what the collector does not track."""
    return sys.getallocatedblocks()


def growth(before: Counter[str], after: Counter[str], allowed: int) -> dict[str, Any]:
    """The types of which there are more than `allowed` new ones."""
    return {name: count - before[name] for name, count in after.items() if count - before[name] > allowed}
