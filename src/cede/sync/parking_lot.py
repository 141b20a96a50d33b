# cython: auto_pickle=False
"""ParkingLot: who waits for a primitive, in the order of arrival.

Invariants
----------
* An operation stands in a line from the step in which it parks to the step in which it ends, woken or not. So whoever comes sees
  that somebody was first, and an operation that was woken for nothing waits on in its old place.
* Nobody who stands before `cursor` is still to be woken: waking the next costs the same however many stand here.
* Nobody who stands before `alive` waits any more: they are cancelled, and will leave when they know it. A cancellation is final, so each is
  looked at once, however many there are.
* A bare future (`append`) has nobody to take it out: it leaves the line when it is woken.
* Code that knows asyncio's queues takes futures out by itself (`popleft`) and wakes them: whoever was taken out is in no line, leaves
  none when it goes on, and stands at the end if it has to wait once more.

Compiled, the operations themselves are the line: each knows its neighbours, so one that is cancelled leaves from anywhere at once.
Interpreted, the line is a deque of their futures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cede.core.task.future import Future
from cede.core.task.operation import StreamOperation, begin

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import CANCELLED, FINISHED, PENDING
    from cede.core.task.operation import OVER


NOWHERE = -1


class Waiting(StreamOperation):
    """An operation that waits in a line."""

    def stand(self, waiter: Any, line: Any) -> int:
        """Park on `waiter`, at the end of `line`."""
        self.waiter = waiter
        line.add(self)
        return self.park(waiter)

    def stand_again(self, waiter: Any, line: Any) -> int:
        """Park once more, on `waiter`, in the place that the operation has."""
        line.rearm(self, waiter)
        return self.park(waiter)

    def check(self) -> int:
        """After a resumption: raise, and leave the line, where it was not a wake-up."""
        waiter = self.waiter
        if type(waiter) is Future:
            future = waiter
            if future.state == FINISHED and future.failure is None:
                return 0
        if not waiter.done():
            self.release()
            raise RuntimeError("await wasn't used with future")
        if waiter.cancelled() or waiter.exception() is not None:
            self.release()
            waiter.result()
        return 0


class CompiledParkingLot:
    """A line of operations. To Python code it is a sequence of the futures they wait on."""

    def add(self, operation: Any) -> int:
        operation.mark = self.tickets
        self.tickets += 1
        if self.last is None:
            self.first = operation
        else:
            operation.ahead = self.last
            self.last.behind = operation
        self.last = operation
        if self.cursor is None:
            self.cursor = operation
        if self.alive is None:
            self.alive = operation
        self.count += 1
        return 0

    def drop(self, operation: Any) -> int:
        """`operation` leaves the line, if it stands there still."""
        if operation.mark == NOWHERE:
            return 0
        operation.mark = NOWHERE
        if self.cursor is operation:
            self.cursor = operation.behind
        if self.alive is operation:
            self.alive = operation.behind
        if operation.ahead is None:
            self.first = operation.behind
        else:
            operation.ahead.behind = operation.behind
        if operation.behind is None:
            self.last = operation.ahead
        else:
            operation.behind.ahead = operation.ahead
        operation.ahead = operation.behind = None
        self.count -= 1
        return 0

    def rearm(self, operation: Any, waiter: Any) -> int:
        """`operation` waits anew, on `waiter`, in its old place."""
        operation.waiter = waiter
        if operation.mark == NOWHERE:
            return self.add(operation)
        if self.cursor is None or self.cursor.mark > operation.mark:
            self.cursor = operation
        if self.alive is None or self.alive.mark > operation.mark:
            self.alive = operation
        return 0

    def wake_next(self) -> bool:
        """Wake the first who was not woken yet. False where there is none."""
        while self.cursor is not None:
            operation = self.cursor
            self.cursor = operation.behind
            waiter = operation.waiter
            if operation.owner is None:
                self.drop(operation)
            if finish(waiter):
                return True
        return False

    def wake_first(self) -> bool:
        """Wake the first who is not cancelled, unless that was done. False where nobody was woken."""
        operation = self.first_alive()
        if operation is None or woken(operation.waiter):
            return False
        self.cursor = operation
        return self.wake_next()

    def wake_all(self) -> int:
        while self.wake_next():
            pass
        return 0

    def wake_of(self, owner: Any) -> int:
        """Wake the operations of `owner`, wherever they stand."""
        operation = self.first
        while operation is not None:
            behind = operation.behind
            if operation.owner is owner:
                finish(operation.waiter)
            operation = behind
        return 0

    def nobody_waits(self) -> bool:
        """Whether nobody waits here, but for those who are cancelled and do not know it yet."""
        return self.first_alive() is None

    def first_alive(self) -> Any:
        """The first who is not cancelled, or None."""
        operation = self.alive
        while operation is not None and cancelled(operation.waiter):
            if self.alive is operation:  # to ask may be code of the program's, after which somebody else may stand there
                self.alive = operation.behind
            operation = self.alive
        return operation

    # -- as asyncio's deque of futures

    def append(self, waiter: Any) -> None:
        """Add a future, or what looks like one."""
        operation = begin(Waiting.__new__(Waiting), None, None)
        operation.stage = OVER
        operation.waiter = waiter
        self.add(operation)

    def add_bare(self, waiter: Any) -> None:
        self.append(waiter)

    def discard(self, waiter: Any) -> None:
        """Take a future out, if it is here."""
        if waiter in list(self):
            self.remove(waiter)

    def remove(self, waiter: Any) -> None:
        """Take a future out; ValueError where it is not here."""
        operation = self.first
        while operation is not None:
            if operation.waiter is waiter:
                self.drop(operation)
                return
            operation = operation.behind
        raise ValueError("remove(): waiter is not in this line")

    def popleft(self) -> Any:
        """Take the first future out; IndexError where there is none."""
        operation = self.first
        if operation is None:
            raise IndexError("popleft(): nobody waits")
        self.drop(operation)
        return operation.waiter

    def __len__(self) -> int:
        return int(self.count)

    def __iter__(self) -> Iterator[Any]:
        found = []
        operation = self.first
        while operation is not None:
            found.append(operation.waiter)
            operation = operation.behind
        return iter(found)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    if TYPE_CHECKING:
        first: Any
        last: Any
        cursor: Any
        alive: Any
        count: int
        tickets: int


class PureParkingLot(deque[Any]):
    """The same of an uncompiled cede.

    Those who are cancelled leave it when they come to its head, which may be before they know of it: until then `gone` has them.
    """

    def __init__(self, *args: Any) -> None:
        deque.__init__(self, *args)
        self.gone: set[Any] = set()

    def first_alive(self) -> Any:
        """The first who is not cancelled, or None."""
        while self:
            waiter = self[0]
            if not waiter.cancelled():
                return waiter
            if self and self[0] is waiter:
                self.gone.add(self.popleft())
        return None

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self)

    def add(self, operation: Any) -> int:
        deque.append(self, operation.waiter)
        return 0

    def drop(self, operation: Any) -> int:
        self.discard(operation.waiter)
        return 0

    def rearm(self, operation: Any, waiter: Any) -> int:
        self.replace(operation.waiter, waiter)
        operation.waiter = waiter
        return 0

    # Without the frame of a method, these two are what waiting costs an interpreted cede.
    add_bare = deque.append

    def replace(self, before: Any, after: Any) -> None:
        try:
            self[self.index(before)] = after
        except ValueError:
            self.add_bare(after)

    def discard(self, waiter: Any) -> None:
        if self.gone and waiter in self.gone:
            self.gone.discard(waiter)
            return
        try:
            self.remove(waiter)
        except ValueError:
            pass

    def wake_next(self) -> bool:
        if self.first_alive() is None:
            return False
        for waiter in self:
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False

    def wake_first(self) -> bool:
        waiter = self.first_alive()
        if waiter is None or waiter.done():
            return False
        waiter.set_result(None)
        return True

    def wake_all(self) -> int:
        for waiter in self:
            if not waiter.done():
                waiter.set_result(None)
        return 0

    def wake_of(self, owner: Any) -> int:
        # The futures do not say whose they are. One that is woken for nothing waits on in its place.
        return self.wake_all()

    def nobody_waits(self) -> bool:
        return self.first_alive() is None

    def append(self, waiter: Any) -> None:
        deque.append(self, waiter)
        waiter.add_done_callback(self.discard)


ParkingLot: Any = CompiledParkingLot if cython.compiled else PureParkingLot


def wake_one_of(waiters: Any) -> int:
    """Wake the first of a line of ours, or of any deque of futures."""
    if isinstance(waiters, ParkingLot):
        line = waiters
        line.wake_next()
        return 0
    while waiters:
        waiter = waiters.popleft()
        if finish(waiter):
            break
    return 0


def finish(waiter: Any) -> bool:
    """Wake who waits on `waiter`. False where it is done already."""
    if type(waiter) is Future:
        future = waiter
        if future.state != PENDING:
            return False
        future.finish(None)
        return True
    if waiter.done():
        return False
    waiter.set_result(None)
    return True


def woken(waiter: Any) -> bool:
    """Whether the one who waited was woken, and not cancelled."""
    if type(waiter) is Future:
        future = waiter
        return future.state == FINISHED
    return bool(waiter.done() and not waiter.cancelled())


def cancelled(waiter: Any) -> bool:
    if type(waiter) is Future:
        future = waiter
        return future.state == CANCELLED
    return bool(waiter.cancelled())
