# cython: auto_pickle=False
"""Semaphores: so many at a time, in the order of asking.

Invariants
----------
* A permit is in exactly one place: in `_value`, with somebody who acquired it, or with a waiter that was woken and has not run yet.
  A woken waiter that is cancelled puts its permit back.
* Nobody takes a permit while somebody who came before waits, even where there are some.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import NAMES, begin
from cede.sync import pure
from cede.sync.completed import DONE
from cede.sync.coroutines import acquire_for_body, release_after_body
from cede.sync.loop_bound import described
from cede.sync.parking_lot import Waiting
from cede.sync.waitable import Waitable

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED
    from cede.sync.parking_lot import woken

NAMES["TakePermit"] = "Semaphore.acquire"


class TakePermit(Waiting):
    """``semaphore.acquire()``; `argument` is the result."""

    def step(self) -> int:
        semaphore = self.owner
        if self.waiter is None:
            if semaphore.closed():
                return self.stand(semaphore.new_waiter(), semaphore.line())
            semaphore._value -= 1
        else:
            self.check()
            semaphore.waiting.drop(self)
            self.waiter = None
            semaphore.hand_out()
        self.value = self.argument
        if cython.compiled:
            self.owner = None
            keep_spare(0, self)  # type: ignore # noqa: F821
        return ENDED

    def release(self) -> int:
        semaphore = self.owner
        semaphore.waiting.drop(self)
        if woken(self.waiter):
            semaphore._value += 1
        semaphore.hand_out()
        return 0


if cython.compiled:

    def taking(semaphore: Any, result: Any) -> Any:
        spare = take_spare(0)  # type: ignore # noqa: F821
        return begin(TakePermit.__new__(TakePermit) if spare is None else spare, semaphore, result)


class Semaphore(Waitable):
    """A number of permits for tasks: asyncio.Semaphore's API. Not thread-safe.

    value: how many permits there are at first, 1 by default. Raises ValueError where that is negative.
    """

    if not cython.compiled:
        _value: Any = 1

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("Semaphore initial value must be >= 0")
        self._value = value

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Semaphore if type(self) is Semaphore else type(self)

    def locked(self) -> bool:
        """Whether `acquire` would have to wait."""
        return self.closed()

    def release(self) -> None:
        """Give a permit back: the first who waits gets it."""
        self.give_back()

    if cython.compiled:

        def acquire(self) -> Coroutine[Any, Any, bool]:
            """Wait for a permit and take it; the result is True."""
            return taking(self, True)  # type: ignore[no-any-return]

        def __aenter__(self) -> Any:
            if defined_in_python(self) and type(self).acquire is not Semaphore.acquire:  # type: ignore # noqa: F821
                return acquire_for_body(self)
            return taking(self, None)

        def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
            if defined_in_python(self):  # type: ignore # noqa: F821
                return release_after_body(self)
            self.give_back()
            return DONE

    def closed(self) -> bool:
        return self._value == 0 or (self.waiting is not None and not self.waiting.nobody_waits())

    def give_back(self) -> int:
        self._value += 1
        if self.waiting is not None:
            self.wake_next()
        return 0

    def wake_next(self) -> bool:
        """Give a permit to the first who waits and has none. False where there is nobody."""
        if not self.waiting.wake_next():
            return False
        self._value -= 1
        return True

    def hand_out(self) -> int:
        """What is there goes to those who wait."""
        while self._value > 0 and self.wake_next():
            pass
        return 0

    def _wake_up_next(self) -> bool:
        # Subclasses that change `_value` know this name.
        return self.waiting is not None and self.wake_next()

    def kept(self) -> Any:
        return {"_value": self._value}

    def __repr__(self) -> str:
        return described(self, "locked" if self.locked() else f"unlocked, value:{self._value}", self.waiting)


coroutine_methods(Semaphore, acquire=pure.acquire_semaphore, __aenter__=acquire_for_body, __aexit__=release_after_body)
if not cython.compiled:
    pure.take_part(Semaphore, "acquire")


class BoundedSemaphore(Semaphore):
    """A semaphore that takes no more permits back than it had at first: ValueError then."""

    if not cython.compiled:
        _bound_value: Any = 1

    def __init__(self, value: int = 1) -> None:
        self._bound_value = value
        Semaphore.__init__(self, value)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.BoundedSemaphore if type(self) is BoundedSemaphore else type(self)

    def kept(self) -> Any:
        return {"_value": self._value, "_bound_value": self._bound_value}

    def give_back(self) -> int:
        if self._value >= self._bound_value:
            raise ValueError("BoundedSemaphore released too many times")
        return Semaphore.give_back(self)

