# cython: auto_pickle=False
"""ReadBuffer: where a connection's bytes arrive, who waits for them, and when the transport is told to stop and go on.

Invariants
----------
* At most one operation waits. The one that is woken looks again: somebody else may have taken the bytes before it ran.
* An operation that waits for a number of bytes is woken when they are there, not before; until then the transport is not paused.
* The transport is paused when more than twice the limit is held, and resumed at the limit, or when somebody waits.
"""

from __future__ import annotations

import sys
from typing import Any

from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.operation import wake
from cede.streams.byte_buffer import ByteBuffer

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


class ReadBuffer(ByteBuffer):
    """A byte store with a transport that fills it and at most one operation that waits for it."""

    if not cython.compiled:
        _loop: Any = None
        spawner: Any = None
        _exception: Any = None
        _transport: Any = None
        _waiter: Any = None
        _eof = False
        _paused = False
        wanted = 0
        limit = 0
        given_limit: Any = 0

    # In the place of those that Cython gives the class below, which touch fields that start empty.
    def __reduce__(self) -> Any:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __setstate__(self, state: Any) -> None:
        raise TypeError(f"cannot unpickle {type(self).__name__!r} object")

    @property
    def _limit(self) -> Any:
        return self.given_limit

    @_limit.setter
    def _limit(self, limit: Any) -> None:
        self.given_limit = limit
        # Any number is a limit, infinity included. Compared is the nearest one that a size, and twice a size, can have.
        self.limit = sys.maxsize // 2 if limit > sys.maxsize // 2 else int(limit)

    def set_loop(self, loop: Any) -> int:
        self._loop = loop
        self.spawner = loop if isinstance(loop, TaskKernel) else None
        return 0

    def receive(self, data: Any) -> int:
        assert not self._eof, "feed_data after feed_eof"
        if not data:
            return 0
        self.put(data)
        held = self.held()
        if held < self.wanted:
            return 0
        if self._waiter is not None:
            self.finish(None)
        if held > 2 * self.limit and not self._paused and self._transport is not None:
            self.pause()
        return 0

    def finish(self, error: Any) -> int:
        """Wake who waits."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            self.wanted = 0
            wake(waiter, error)
        return 0

    def pause(self) -> int:
        try:
            self._transport.pause_reading()
        except NotImplementedError:
            # All that comes has to be held, then. The transport is forgotten in order not to be asked each time.
            self._transport = None
        else:
            self._paused = True
        return 0

    def wait(self, name: str, wanted: int) -> Any:
        """A future that finishes when `wanted` bytes are held (0: when any came), at the end, or with an exception."""
        if self._waiter is not None:
            raise RuntimeError(f"{name}() called while another coroutine is already waiting for incoming data")
        if self._exception is not None:
            raise self._exception
        assert not self._eof, f"{name}() waits for data after EOF"
        if self._paused:
            # What is held is not enough, and a paused transport brings no more.
            self._paused = False
            self._transport.resume_reading()
        waiter = self._loop.create_future() if self.spawner is None else self.spawner.waiter_for(self)
        self.wanted = wanted
        self._waiter = waiter
        return waiter

    def forget(self, waiter: Any) -> int:
        """Nobody waits on `waiter` any more."""
        if self._waiter is waiter:
            self._waiter = None
            self.wanted = 0
        return 0

    def resume_if_low(self) -> int:
        if self._paused and self.held() <= self.limit:
            self._paused = False
            self._transport.resume_reading()
        return 0
