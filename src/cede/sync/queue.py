# cython: auto_pickle=False
"""Queues between tasks.

Invariants
----------
* An item leaves the queue in the step in which a `get` ends, and enters it in the step in which a `put` ends. Cancelled before that,
  neither has done anything.
* Those who wait are served in the order in which they came: whoever comes later waits behind them, even where there is an item, or
  room, at that moment. (`get_nowait` and `put_nowait` do not wait and are not held up. Who was woken for what they took waits on in
  its old place.)
* While there is an item and somebody waits for one, at least one who waits is on its way. So whoever leaves the line, served or not,
  wakes the next if there is something left. The same for room.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Coroutine
from heapq import heappop, heappush
from types import GenericAlias
from typing import Any

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import NAMES, begin
from cede.sync import pure
from cede.sync.errors import QueueEmpty, QueueFull, QueueShutDown
from cede.sync.event import Event, EventWait
from cede.sync.loop_bound import LoopBound
from cede.sync.parking_lot import ParkingLot, Waiting, wake_one_of

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED

    append = deque.append
    popleft = deque.popleft
else:
    prepare_deque(deque)  # type: ignore # noqa: F821

NAMES.update(Put="Queue.put", Get="Queue.get", Join="Queue.join")

# What a subclass may have written anew; the queue then goes by these methods alone.
HOOKS = ("_get", "_put", "_wakeup_next", "empty", "full", "qsize", "get_nowait", "put_nowait")


class Put(Waiting):
    """``queue.put(item)``; `argument` is the item."""

    def step(self) -> int:
        queue = self.owner
        if self.waiter is None:
            if (queue.putters.count or queue.is_full()) and not queue._is_shutdown:
                return self.stand(queue.new_waiter(), queue.putters)
            queue.deliver(self.argument)
            return self.over()
        self.check()
        if not queue._is_shutdown and queue.is_full():
            return self.stand_again(queue.new_waiter(), queue.putters)
        queue.putters.drop(self)
        self.waiter = None
        if not queue.putters.count:
            queue.deliver(self.argument)
            return self.over()
        try:
            queue.deliver(self.argument)
        finally:
            queue.pass_on_room()
        return self.over()

    def over(self) -> int:
        if cython.compiled:
            self.owner = None
            self.argument = None
            keep_spare(0, self)  # type: ignore # noqa: F821
        return ENDED

    def release(self) -> int:
        queue = self.owner
        queue.putters.drop(self)
        queue.pass_on_room()
        return 0


class Get(Waiting):
    """``queue.get()``."""

    def step(self) -> int:
        queue = self.owner
        if self.waiter is None:
            if not queue._is_shutdown and (queue.getters.count or queue.is_empty()):
                return self.stand(queue.new_waiter(), queue.getters)
            self.value = queue.take()
            return self.over()
        self.check()
        if not queue._is_shutdown and queue.is_empty():
            return self.stand_again(queue.new_waiter(), queue.getters)
        queue.getters.drop(self)
        self.waiter = None
        if not queue.getters.count:
            self.value = queue.take()
            return self.over()
        try:
            self.value = queue.take()
        finally:
            queue.pass_on_items()
        return self.over()

    def over(self) -> int:
        if cython.compiled:
            self.owner = None
            keep_spare(1, self)  # type: ignore # noqa: F821
        return ENDED

    def release(self) -> int:
        queue = self.owner
        queue.getters.drop(self)
        queue.pass_on_items()
        return 0


class Join(EventWait):
    """``queue.join()``: the event is up while nothing is unfinished."""


class Queue(LoopBound):
    """A queue for tasks, first in, first out: asyncio.Queue's API as of its newest version. Not thread-safe.

    maxsize: how many items there may be before `put` waits; 0 or less for no limit.

    A subclass may replace `_init`, `_put` and `_get`, and what holds the items, `_queue`.
    """

    if not cython.compiled:
        overridden = True
        getters: Any
        putters: Any
        _queue: Any
        _unfinished_tasks = 0
        _is_shutdown = False

    def __init__(self, maxsize: int = 0) -> None:
        self.set_maxsize(maxsize)
        self.getters = ParkingLot()
        self.putters = ParkingLot()
        self._unfinished_tasks = 0
        self._finished = Event()
        self._finished._value = True
        self._is_shutdown = False
        if cython.compiled:
            self.overridden = defined_in_python(self) and has_hooks(type(self))  # type: ignore # noqa: F821
        self._init(maxsize)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Queue if type(self) is Queue else type(self)

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        return GenericAlias(cls, item)

    # -- what subclasses replace

    def _init(self, maxsize: int) -> None:
        self._queue = deque()

    def _get(self) -> Any:
        return self._queue.popleft()

    def _put(self, item: Any) -> None:
        self._queue.append(item)

    # -- asking

    def qsize(self) -> int:
        """How many items there are."""
        return len(self._queue)

    @property
    def maxsize(self) -> int:
        """How many items there may be; 0 or less for no limit."""
        return self.given_maxsize  # type: ignore[no-any-return]

    def empty(self) -> bool:
        """Whether there is no item."""
        return not self._queue

    def full(self) -> bool:
        """Whether there are `maxsize` items. Never without a limit."""
        return self.room > 0 and self.qsize() >= self.room

    # -- putting

    if cython.compiled:

        def put(self, item: Any) -> Coroutine[Any, Any, None]:
            """Put `item` into the queue, as soon as there is room and all who came before have put theirs.

            Raises QueueShutDown where the queue was shut down, also while this waits.
            """
            spare = take_spare(0)  # type: ignore # noqa: F821
            return begin(Put.__new__(Put) if spare is None else spare, self, item)  # type: ignore[no-any-return]

        def get(self) -> Coroutine[Any, Any, Any]:
            """Take an item out of the queue, as soon as there is one and all who came before have theirs.

            Raises QueueShutDown where the queue was shut down and is empty, also while this waits.
            """
            spare = take_spare(1)  # type: ignore # noqa: F821
            return begin(Get.__new__(Get) if spare is None else spare, self, None)  # type: ignore[no-any-return]

    def put_nowait(self, item: Any) -> None:
        """Put `item` into the queue now. Raises QueueFull where there is no room, QueueShutDown where the queue was shut down."""
        if self._is_shutdown:
            raise QueueShutDown
        if not cython.compiled or self.overridden:
            if self.full():
                raise QueueFull
            self._put(item)
        else:
            if self.is_full():
                raise QueueFull
            self.push(item)
        self._unfinished_tasks += 1
        self._finished._value = False
        if self.getters.count:
            self.wake_getter()

    def get_nowait(self) -> Any:
        """Take an item now. Raises QueueEmpty where there is none, QueueShutDown where there is none and the queue was shut down."""
        if not cython.compiled or self.overridden:
            if self.empty():
                raise QueueShutDown if self._is_shutdown else QueueEmpty
            item = self._get()
        else:
            if self.is_empty():
                raise QueueShutDown if self._is_shutdown else QueueEmpty
            item = self.pop()
        if self.putters.count:
            self.wake_putter()
        return item

    if not cython.compiled:
        put_nowait = pure.put_now  # type: ignore[assignment]
        get_nowait = pure.get_now  # type: ignore[assignment]

    # -- joining

    def task_done(self) -> None:
        """One item that was taken is dealt with. ValueError where that is said more often than items were put."""
        if self._unfinished_tasks <= 0:
            raise ValueError("task_done() called too many times")
        self._unfinished_tasks -= 1
        if self._unfinished_tasks == 0:
            self._finished.set()

    if cython.compiled:

        def join(self) -> Coroutine[Any, Any, None]:
            """Wait until `task_done` was called for each item that was put."""
            return begin(Join.__new__(Join), self._finished, None)  # type: ignore[no-any-return]

    def shutdown(self, immediate: bool = False) -> None:
        """Refuse `put` from now on, and `get` too once the queue is empty: both raise QueueShutDown, and so do those who wait.

        immediate: drop the items that are there, as if they were dealt with.
        """
        self._is_shutdown = True
        if immediate:
            while not self.empty():
                self._get()
                if self._unfinished_tasks > 0:
                    self._unfinished_tasks -= 1
            if self._unfinished_tasks == 0:
                self._finished.set()
        self.getters.wake_all()
        self.putters.wake_all()

    # -- for the operations

    def pop(self) -> Any:
        return popleft(self._queue)

    def push(self, item: Any) -> int:
        append(self._queue, item)
        return 0

    def is_empty(self) -> bool:
        if self.overridden:
            return bool(self.empty())
        return not len(self._queue)

    def is_full(self) -> bool:
        if self.overridden:
            return bool(self.full())
        return self.room > 0 and len(self._queue) >= self.room

    def take(self) -> Any:
        """The end of a `get`."""
        if self.overridden:
            return self.get_nowait()
        if self.is_empty():
            raise QueueShutDown
        item = self.pop()
        self.putters.wake_next()
        return item

    def deliver(self, item: Any) -> int:
        """The end of a `put`."""
        if self.overridden:
            self.put_nowait(item)
            return 0
        if self._is_shutdown:
            raise QueueShutDown
        self.push(item)
        self._unfinished_tasks += 1
        self._finished._value = False
        self.getters.wake_next()
        return 0

    def pass_on_items(self) -> int:
        """Somebody left the line of those who wait for items."""
        if cython.compiled:
            if self.getters.count and not self.is_empty():
                self.wake_getter()
        elif self.getters and not self.empty():
            self.wake_getter()
        return 0

    def pass_on_room(self) -> int:
        """Somebody left the line of those who wait for room."""
        if cython.compiled:
            if self.putters.count and not self.is_full():
                self.wake_putter()
        elif self.putters and not self.full():
            self.wake_putter()
        return 0

    def wake_getter(self) -> int:
        """Wake one who waits for an item."""
        if self.overridden:
            self._wakeup_next(self.getters)
        else:
            self.getters.wake_next()
        return 0

    def wake_putter(self) -> int:
        """Wake one who waits for room."""
        if self.overridden:
            self._wakeup_next(self.putters)
        else:
            self.putters.wake_next()
        return 0

    def set_maxsize(self, maxsize: Any) -> int:
        self.given_maxsize = maxsize
        try:
            # A number that is not whole counts as the next whole one: the queue is full when there are at least so many.
            self.room = 0 if maxsize <= 0 else min(math.ceil(min(maxsize, sys.maxsize)), sys.maxsize)
        except (TypeError, ValueError):
            raise TypeError(f"Queue(): maxsize must be a number of items, got {maxsize!r}") from None
        return 0

    # -- names that subclasses of asyncio's queue know

    @property
    def _maxsize(self) -> Any:
        return self.given_maxsize

    @_maxsize.setter
    def _maxsize(self, maxsize: Any) -> None:
        self.set_maxsize(maxsize)

    @property
    def _getters(self) -> Any:
        return self.getters

    @property
    def _putters(self) -> Any:
        return self.putters

    def _wakeup_next(self, waiters: Any) -> None:
        wake_one_of(waiters)

    def _format(self) -> str:
        parts = [f"maxsize={self.given_maxsize!r}"]
        if getattr(self, "_queue", None):
            parts.append(f"_queue={list(self._queue)!r}")
        if self.getters.count:
            parts.append(f"_getters[{self.getters.count}]")
        if self.putters.count:
            parts.append(f"_putters[{self.putters.count}]")
        if self._unfinished_tasks:
            parts.append(f"tasks={self._unfinished_tasks}")
        if self._is_shutdown:
            parts.append("shutdown")
        return " ".join(parts)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self._format()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self._format()}>"


coroutine_methods(Queue, put=pure.put_in_queue, get=pure.get_from_queue, join=pure.join_queue)
if not cython.compiled:
    pure.take_part(Queue, "put", "get", "join")


class PriorityQueue(Queue):
    """A queue that gives the smallest item first: usually tuples (priority, data)."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.PriorityQueue if type(self) is PriorityQueue else type(self)

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: Any) -> None:
        heappush(self._queue, item)

    def _get(self) -> Any:
        return heappop(self._queue)

    def pop(self) -> Any:
        return heappop(self._queue)

    def push(self, item: Any) -> int:
        heappush(self._queue, item)
        return 0


class LifoQueue(Queue):
    """A queue that gives the newest item first."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.LifoQueue if type(self) is LifoQueue else type(self)

    def _init(self, maxsize: int) -> None:
        self._queue = []

    def _put(self, item: Any) -> None:
        self._queue.append(item)

    def _get(self) -> Any:
        return self._queue.pop()

    def pop(self) -> Any:
        return self._queue.pop()

    def push(self, item: Any) -> int:
        self._queue.append(item)
        return 0


NATIVE = (Queue, PriorityQueue, LifoQueue)


def has_hooks(kind: type) -> bool:
    """Whether a subclass replaced one of the methods that the queue works by."""
    for cls in kind.__mro__:
        if cls in NATIVE:
            return False
        if any(name in cls.__dict__ for name in HOOKS):
            return True
    return False

