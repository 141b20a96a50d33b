# cython: auto_pickle=False
"""What ``async with`` awaits where nothing has to be waited for: an awaitable that is over at once.

Invariants
----------
* It begins when it is awaited, not when it is made.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from cede.core.task.coroutines import nothing

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import places
    from cede.core.scheduler.coop import fair_here, fair_iterator
    from cede.core.task.awaitable import ENDED


@cython.trashcan(True)
@cython.freelist(64)
@cython.cclass
class Instant:
    """An awaitable that returns `value` without giving way. A subclass says in `begin` what is to be done first."""

    if not cython.compiled:
        __slots__ = places("value")
        value: Any

    def begin(self) -> int:
        return 0

    def may_give_way(self) -> bool:
        """Whether a fair loop may let the others run first: not at the end of a block, which would then be left by a cancellation."""
        return False

    if cython.compiled:

        def __await__(self) -> Any:
            return self

    else:
        # An empty iterator returns None, and is cheaper than a generator.
        def __await__(self) -> Any:
            self.begin()
            if self.value is None:
                return NO_STEPS
            return one_step(self.value)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        self.begin()
        raise StopIteration(self.value)

    def send(self, value: Any) -> Any:
        """As a coroutine's."""
        return self.__next__()

    def throw(self, *args: Any) -> Any:
        """As a coroutine's."""
        try:
            return nothing().throw(*args)
        finally:
            args = ()  # the error's traceback holds this frame

    def close(self) -> None:
        """As a coroutine's."""


NO_STEPS = iter(())

Coroutine.register(Instant)


def instant(value: Any) -> Instant:
    """An awaitable whose result is `value`."""
    if value is None:
        return NOTHING
    made = Instant.__new__(Instant)
    made.value = value
    return made


if not cython.compiled:

    def one_step(value: Any) -> Any:
        yield from NO_STEPS
        return value


# The one for None has no state, so one is enough for all.
NOTHING = Instant.__new__(Instant)
NOTHING.value = None


def advance_of(made: Instant) -> int:
    made.begin()
    return ENDED


def value_of(made: Instant) -> Any:
    return made.value


def gives_way(made: Instant) -> bool:
    return made.may_give_way()


if cython.compiled:
    install_iternext(  # type: ignore # noqa: F821
        Instant, cython.cast("void *", advance_of), cython.cast("void *", value_of), cython.cast("void *", gives_way), door()  # type: ignore # noqa: F821
    )
else:
    fair_here(Instant, "__await__", fair_iterator)
