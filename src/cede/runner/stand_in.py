"""Classes that stand for asyncio's in a process that is on cede: they make our objects, and recognise both kinds."""

from __future__ import annotations

from typing import Any


class StandIn(type):
    """The class of a class that makes objects of its base, and knows asyncio's as its own. Its subclasses are classes like any other."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        ours = cls.__dict__.get("_makes")
        return super().__call__(*args, **options) if ours is None else ours(*args, **options)

    def __instancecheck__(cls, instance: Any) -> bool:
        known = cls.__dict__.get("_knows")
        return super().__instancecheck__(instance) if known is None else isinstance(instance, known)

    def __subclasscheck__(cls, subclass: type) -> bool:
        known = cls.__dict__.get("_knows")
        return super().__subclasscheck__(subclass) if known is None else issubclass(subclass, known)


def stand_in(name: str, ours: type, theirs: type) -> StandIn:
    return StandIn(name, (ours,), {"__module__": "asyncio", "__doc__": ours.__doc__, "_makes": ours, "_knows": (ours, theirs)})
