# cython: auto_pickle=False
"""Condition: wait, with a lock let go meanwhile, until another task says that something has changed.

Invariants
----------
* Whoever comes out of `wait`, by notification or by an exception, holds the lock again. Closed (GeneratorExit) it cannot wait for
  the lock, and holds it only where it is free.
* A notification is never swallowed: one whose task was cancelled goes to the next who waits, as soon as the lock is held again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import NAMES, begin
from cede.sync.completed import DONE
from cede.sync.coroutines import acquire_for_body, acquire_lock_of, release_after_body, wait_for_predicate
from cede.sync.lock import Lock
from cede.sync.loop_bound import described
from cede.sync.parking_lot import Waiting
from cede.sync.pure import wait_for_notification
from cede.sync.waitable import Waitable

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED, FAILED, SUSPENDED
    from cede.core.task.operation import OVER, PARKED
    from cede.sync.parking_lot import woken

NAMES["ConditionWait"] = "Condition.wait"

T = TypeVar("T")

# What `number` says of a wait.
LISTENS = 0
NOTIFIED = 1  # and wants the lock
INTERRUPTED = 2  # wants the lock too, and was not notified


class ConditionWait(Waiting):
    """``condition.wait()`` over a lock of ours; `argument` is the exception that it will end with."""

    def step(self) -> int:
        condition = self.owner
        lock = condition._lock
        if self.waiter is None:
            if not lock._locked:
                raise RuntimeError("cannot wait on un-acquired lock")
            waiter = condition.new_waiter()
            lock.let_go()
            return self.stand(waiter, condition.line())
        self.check()
        if self.number == LISTENS:
            condition.waiting.drop(self)
            self.number = NOTIFIED
            return self.relock()
        lock.waiting.drop(self)
        return self.hold()

    def relock(self) -> int:
        condition = self.owner
        lock = condition._lock
        if lock.free():
            return self.hold()
        return self.stand(lock.new_waiter(), lock.line())

    def hold(self) -> int:
        """The lock is free for this operation, which ends."""
        condition = self.owner
        lock = condition._lock
        lock._locked = True
        self.waiter = None
        if self.argument is None:
            self.value = True
            if cython.compiled:
                self.owner = None
                self.number = LISTENS
                keep_spare(0, self)  # type: ignore # noqa: F821
            return ENDED
        if self.number == NOTIFIED:
            condition.wake(1)
        self.value = self.argument
        return FAILED

    def interrupt(self, error: BaseException) -> int:
        """`error` was thrown in: it goes out once the lock is held."""
        condition = self.owner
        lock = condition._lock
        self.stage = OVER
        self.argument = error
        if self.number == LISTENS:
            condition.waiting.drop(self)
            self.number = NOTIFIED if woken(self.waiter) else INTERRUPTED
            return self.relock()
        if woken(self.waiter) or lock.free():
            lock.waiting.drop(self)
            return self.hold()
        return self.stand_again(lock.new_waiter(), lock.waiting)

    def throw(self, *args: Any) -> Any:
        """End the wait with an exception, as soon as the lock is held."""
        if self.stage != PARKED:
            return Waiting.throw(self, *args)
        error = thrown(args)
        if isinstance(error, GeneratorExit):
            self.abandon()
            raise error
        outcome = self.interrupt(error)
        value = self.value
        self.value = None
        if outcome == SUSPENDED:
            return value
        try:
            raise value
        finally:
            value = error = None  # type: ignore[assignment]  # the error's traceback holds this frame
            args = ()

    def release(self) -> int:
        condition = self.owner
        lock = condition._lock
        notified = self.number == NOTIFIED
        if self.number == LISTENS:
            condition.waiting.drop(self)
            notified = woken(self.waiter)
        else:
            lock.waiting.drop(self)
        if lock.free():
            lock._locked = True
        elif not lock._locked:
            lock.hand_on()
        if notified:
            condition.wake(1)
        return 0


class Condition(Waitable):
    """asyncio.Condition's API: a lock, and a place to wait for what others do under it. Not thread-safe.

    lock: the lock to use, a new one by default.
    """

    def __init__(self, lock: Any = None) -> None:
        if lock is None:
            lock = Lock()
        elif not callable(lock.locked) or not callable(lock.acquire) or not callable(lock.release):
            raise TypeError(f"Condition(): lock must be a lock, got {lock!r}")
        self._lock = lock

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Condition if type(self) is Condition else type(self)

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return bool(self._lock.locked())

    def acquire(self) -> Coroutine[Any, Any, bool]:
        """Acquire the lock."""
        if cython.compiled and type(self._lock) is Lock:
            return acquiring(self._lock, True)  # type: ignore # noqa: F821
        return self._lock.acquire()  # type: ignore[no-any-return]

    def release(self) -> None:
        """Release the lock. RuntimeError where nobody holds it."""
        self.let_go()

    if cython.compiled:

        def __aenter__(self) -> Any:
            if type(self._lock) is not Lock or (
                defined_in_python(self) and type(self).acquire is not Condition.acquire  # type: ignore # noqa: F821
            ):
                return acquire_for_body(self)
            return acquiring(self._lock, None)  # type: ignore # noqa: F821

        def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
            if defined_in_python(self):  # type: ignore # noqa: F821
                return release_after_body(self)
            self.let_go()
            return DONE

        def wait(self) -> Coroutine[Any, Any, bool]:
            """Let the lock go, wait to be notified, and take the lock again; the result is True.

            Look again at what was waited for: another task may have been quicker. RuntimeError where the lock is not held.
            """
            if type(self._lock) is not Lock or defined_in_python(self):  # type: ignore # noqa: F821
                return wait_for_notification(self)
            spare = take_spare(0)  # type: ignore # noqa: F821
            return begin(ConditionWait.__new__(ConditionWait) if spare is None else spare, self, None)  # type: ignore[no-any-return]

    def wait_for(self, predicate: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """`wait` until ``predicate()`` is true; the result is what it returned."""
        return wait_for_predicate(self, predicate)

    def notify(self, n: int = 1) -> None:
        """Wake the first `n` who wait, or all where there are fewer. RuntimeError where the lock is not held."""
        if not self.is_held():
            raise RuntimeError("cannot notify on un-acquired lock")
        if self.waiting is not None:
            self.wake(n)

    def notify_all(self) -> None:
        """Wake all who wait. RuntimeError where the lock is not held."""
        self.notify(0 if self.waiting is None else self.waiting.count)

    def is_held(self) -> bool:
        if cython.compiled and type(self._lock) is Lock:
            lock = self._lock
            return lock._locked  # type: ignore[no-any-return]
        return bool(self._lock.locked())

    def let_go(self) -> int:
        if cython.compiled and type(self._lock) is Lock:
            lock = self._lock
            return lock.let_go()  # type: ignore[no-any-return]
        self._lock.release()
        return 0

    def wake(self, n: int) -> int:
        if self.waiting is not None:
            while n > 0 and self.waiting.wake_next():
                n -= 1
        return 0

    def _notify(self, n: int) -> None:
        self.wake(n)

    def __repr__(self) -> str:
        return described(self, "locked" if self.locked() else "unlocked", self.waiting)


coroutine_methods(
    Condition,
    acquire=acquire_lock_of,
    wait=wait_for_notification,
    wait_for=wait_for_predicate,
    __aenter__=acquire_for_body,
    __aexit__=release_after_body,
)


def thrown(args: tuple[Any, ...]) -> BaseException:
    """The exception that the arguments of `throw` mean, by the rules of coroutines."""
    from cede.core.task.coroutines import nothing

    try:
        nothing().throw(*args)
    except BaseException as error:
        return error
    raise AssertionError("throw() returned")
