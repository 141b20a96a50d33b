# cython: auto_pickle=False
"""FastThreadChannel: the part of a channel between threads that nobody has to wait for.

Nearly every `put` finds room, and nearly every `get` an item. This file is that way and no more: an item goes in, or comes out, under the
lock, in compiled code. Where somebody would have to wait, and where somebody waits already, it goes on in thread_channel.py.

Invariants
----------
* Everything is touched under `lock` alone. Which thread, and whether there is a GIL, does not matter.
* Whoever comes does not pass those who wait: with a line of its kind nothing is done at once.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Coroutine
from typing import Any

from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import NAMES, StreamOperation, begin
from cede.sync import pure
from cede.sync.thread_lock import new_thread_lock

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED, SUSPENDED
    from cede.core.task.operation import OVER, PARKED

    append = deque.append
    popleft = deque.popleft
else:
    prepare_deque(deque)  # type: ignore # noqa: F821

NOTHING = pure.NOTHING
# Whether what a task awaits here counts on a fair loop by itself, as operations do and coroutines do not.
COUNTS: bool = cython.compiled

NAMES.update(FastSend="ThreadChannel.send", FastReceive="ThreadChannel.receive", FastNext="ThreadChannel.__anext__")


class FastOperation(StreamOperation):
    """What a task awaits: at once where that can be, or else a coroutine that waits in turn, which is then the `waiter`."""

    def at_once(self) -> bool:
        """Do it, and set `value`. Whether it is done."""
        raise NotImplementedError

    def in_turn(self) -> Any:
        """The coroutine that waits."""
        raise NotImplementedError

    def over(self) -> int:
        """It was done at once."""
        return ENDED

    def step(self) -> int:
        if self.waiter is None:
            if self.at_once():
                return self.over()
            self.waiter = self.in_turn()
        try:
            self.value = self.waiter.send(None)
        except StopIteration as stop:
            self.value = stop.value
            self.waiter = None
            return ENDED
        except BaseException:
            self.waiter = None
            raise
        self.stage = PARKED
        return SUSPENDED

    def release(self) -> int:
        self.waiter.close()
        return 0

    def throw(self, *args: Any) -> Any:
        """As ``coroutine.throw``."""
        if self.stage != PARKED:
            return StreamOperation.throw(self, *args)
        self.stage = OVER
        try:
            value = self.waiter.throw(*args)
        except BaseException:
            self.waiter = None
            raise
        finally:
            args = ()  # the error's traceback holds this frame
        self.stage = PARKED
        return value


class FastSend(FastOperation):
    """``channel.send(item)``; `argument` is the item."""

    def at_once(self) -> bool:
        exchange = self.owner
        return exchange.put_at_once(self.argument)  # type: ignore[no-any-return]

    def in_turn(self) -> Any:
        return self.owner.send_in_turn(self.argument)

    def over(self) -> int:
        if cython.compiled:
            self.owner = None
            self.argument = None
            keep_spare(0, self)  # type: ignore # noqa: F821
        return ENDED


class FastReceive(FastOperation):
    """``channel.receive()``."""

    def at_once(self) -> bool:
        exchange = self.owner
        self.value = exchange.take_at_once()
        return self.value is not NOTHING

    def in_turn(self) -> Any:
        return self.owner.receive_in_turn()

    def over(self) -> int:
        if cython.compiled:
            self.owner = None
            keep_spare(1, self)  # type: ignore # noqa: F821
        return ENDED


class FastNext(FastReceive):
    """``async for item in channel``."""

    def in_turn(self) -> Any:
        return self.owner.next_in_turn()

    def over(self) -> int:
        if cython.compiled:
            self.owner = None
            keep_spare(2, self)  # type: ignore # noqa: F821
        return ENDED


@cython.trashcan(True)
@cython.cclass
class FastThreadChannel:
    """The base of ThreadChannel, which does what is said here of waiting.

    capacity: how many items may lie in it before whoever puts has to wait; math.inf for no limit.
    """

    def __init__(self, capacity: int | float) -> None:
        if capacity != math.inf and not isinstance(capacity, int):
            raise TypeError(f"thread_channel(): capacity must be a whole number of items, or math.inf, got {capacity!r}")
        if capacity < 1:
            raise ValueError(f"thread_channel(): capacity must be 1 or more, got {capacity}")
        self.capacity = capacity
        self.bound = sys.maxsize if capacity == math.inf else min(capacity, sys.maxsize)
        self.lock = new_thread_lock()
        self.buffer: deque[Any] = deque()
        self.getters: deque[Any] = deque()
        self.putters: deque[Any] = deque()
        self.closed = False

    # -- in threads

    def put(self, item: Any, timeout: float | None = None) -> None:
        """Put `item`, as soon as there is room. Blocks the thread, `timeout` seconds at most.

        Raises TimeoutError, ClosedResourceError where the channel was closed, and RuntimeError in the thread of a running loop where it
        would have to wait.
        """
        if not self.put_at_once(item):
            self.put_in_turn(item, timeout)

    def get(self, timeout: float | None = None) -> Any:
        """The next item, as soon as there is one. Blocks the thread, `timeout` seconds at most.

        Raises TimeoutError, EndOfChannel where the channel was closed and is empty, and RuntimeError in the thread of a running loop where
        it would have to wait.
        """
        item = self.take_at_once()
        return self.get_in_turn(timeout) if item is NOTHING else item

    # -- in tasks

    if cython.compiled:

        def send(self, item: Any) -> Coroutine[Any, Any, None]:
            """As `put`, for tasks."""
            spare = take_spare(0)  # type: ignore # noqa: F821
            return begin(FastSend.__new__(FastSend) if spare is None else spare, self, item)  # type: ignore[no-any-return]

        def receive(self) -> Coroutine[Any, Any, Any]:
            """As `get`, for tasks."""
            spare = take_spare(1)  # type: ignore # noqa: F821
            return begin(FastReceive.__new__(FastReceive) if spare is None else spare, self, None)  # type: ignore[no-any-return]

        def __anext__(self) -> Coroutine[Any, Any, Any]:
            spare = take_spare(2)  # type: ignore # noqa: F821
            return begin(FastNext.__new__(FastNext) if spare is None else spare, self, None)  # type: ignore[no-any-return]

    def __aiter__(self) -> Any:
        return self

    # -- at once

    def put_at_once(self, item: Any) -> bool:
        """Put `item`, where there is room and nobody waits for some. Whether it is put."""
        self.lock.acquire()
        try:
            if self.closed or len(self.putters) or len(self.buffer) >= self.bound:
                return False
            append(self.buffer, item)
            if len(self.getters):
                self.wake(self.getters)
            return True
        finally:
            self.lock.release()

    def take_at_once(self) -> Any:
        """The next item, where there is one and nobody waits for it, or NOTHING."""
        self.lock.acquire()
        try:
            if len(self.getters) or not len(self.buffer):
                return NOTHING
            item = popleft(self.buffer)
            if len(self.putters):
                self.wake(self.putters)
            return item
        finally:
            self.lock.release()

    # -- what ThreadChannel does

    if not cython.compiled:

        def wake(self, line: deque[Any]) -> None:
            """Wake the first of `line`. Under the lock."""
            raise NotImplementedError

        def put_in_turn(self, item: Any, timeout: float | None) -> None:
            raise NotImplementedError

        def get_in_turn(self, timeout: float | None) -> Any:
            raise NotImplementedError

        async def send_in_turn(self, item: Any) -> None:
            raise NotImplementedError

        async def receive_in_turn(self) -> Any:
            raise NotImplementedError

        async def next_in_turn(self) -> Any:
            raise NotImplementedError


coroutine_methods(FastThreadChannel, send=pure.send_across, receive=pure.receive_across, __anext__=pure.next_across)
