# cython: auto_pickle=False
"""Lock: one holder at a time, in the order of asking.

Invariants
----------
* A lock that was released belongs to the first who waits, though it is open until that task runs: nobody else gets it meanwhile.
* Who waits takes the lock in the step in which the wait ends; cancelled before that, it wakes the next instead.
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

NAMES["Acquire"] = "Lock.acquire"


class Acquire(Waiting):
    """``lock.acquire()``; `argument` is the result."""

    def step(self) -> int:
        lock = self.owner
        if self.waiter is None:
            if not lock.free():
                return self.stand(lock.new_waiter(), lock.line())
        else:
            self.check()
            lock.waiting.drop(self)
            self.waiter = None
        lock._locked = True
        self.value = self.argument
        if cython.compiled:
            self.owner = None
            keep_spare(0, self)  # type: ignore # noqa: F821
        return ENDED

    def release(self) -> int:
        lock = self.owner
        lock.waiting.drop(self)
        lock.hand_on()
        return 0


if cython.compiled:

    def acquiring(lock: Any, result: Any) -> Any:
        spare = take_spare(0)  # type: ignore # noqa: F821
        return begin(Acquire.__new__(Acquire) if spare is None else spare, lock, result)


class Lock(Waitable):
    """A mutual exclusion lock for tasks: asyncio.Lock's API. Not thread-safe.

    Those who wait get it in the order in which they asked, and nobody who comes later gets in between.
    """

    if not cython.compiled:
        _locked = False

    def __init__(self) -> None:
        self._locked = False

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Lock if type(self) is Lock else type(self)

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return bool(self._locked)

    def release(self) -> None:
        """Let the lock go: the first who waits gets it. RuntimeError where nobody holds it."""
        self.let_go()

    if cython.compiled:

        def acquire(self) -> Coroutine[Any, Any, bool]:
            """Wait until the lock is free and take it; the result is True."""
            return acquiring(self, True)  # type: ignore[no-any-return]

        def __aenter__(self) -> Any:
            if defined_in_python(self) and type(self).acquire is not Lock.acquire:  # type: ignore # noqa: F821
                return acquire_for_body(self)
            return acquiring(self, None)

        def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
            if defined_in_python(self):  # type: ignore # noqa: F821
                return release_after_body(self)
            self.let_go()
            return DONE

    else:
        release = pure.release_lock  # type: ignore[assignment]

    def free(self) -> bool:
        """Whether a newcomer may take the lock."""
        return not self._locked and (self.waiting is None or self.waiting.nobody_waits())

    def let_go(self) -> int:
        if not self._locked:
            raise RuntimeError("Lock is not acquired.")
        self._locked = False
        if self.waiting is not None:
            self.hand_on()
        return 0

    def hand_on(self) -> int:
        """An open lock belongs to the first who waits and is not cancelled."""
        if not self._locked and self.waiting.count:
            self.waiting.wake_first()
        return 0

    def _wake_up_first(self) -> None:
        # Code that knows asyncio's lock knows this name.
        if self.waiting is not None:
            self.waiting.wake_first()

    def kept(self) -> Any:
        return {"_locked": bool(self._locked)}

    def __repr__(self) -> str:
        return described(self, "locked" if self._locked else "unlocked", self.waiting)


coroutine_methods(Lock, acquire=pure.acquire_lock, __aenter__=acquire_for_body, __aexit__=release_after_body)
if not cython.compiled:
    pure.take_part(Lock, "acquire")
