# cython: auto_pickle=False
"""FlowControlMixin: when a writer may go on, and when its connection is over; with the operations that wait for either.

Invariant: a waiter stands in `_drain_waiters` or `_close_waiters` until it is woken or its operation is released. Each
operation has a waiter of its own, so cancelling one does not touch the others.
"""

from __future__ import annotations

import logging
from asyncio import events
from typing import Any

from cede.core import stdlib
from cede.core.task.attributed import Attributed
from cede.core.task.operation import StreamOperation, begin, new_waiter, wake
from cede.net.flow_control import FlowControl
from cede.net.stream.transport import StreamTransport

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED, FAILED

logger = logging.getLogger("asyncio")


class FlowControlMixin(Attributed):
    """What a stream protocol needs for ``writer.drain()``; the base of StreamReaderProtocol, and of protocols of one's own."""

    if not cython.compiled:
        _lost_with: Any = None
        _drain_waiters: list[Any]
        _close_waiters: list[Any]

    def __init__(self, loop: Any = None) -> None:
        self._loop = events.get_event_loop() if loop is None else loop
        self._paused = False
        self._connection_lost = False
        self._lost_with = None
        self._drain_waiters = []
        self._close_waiters = []

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.FlowControlMixin if type(self) is FlowControlMixin else type(self)

    def pause_writing(self) -> None:
        """The transport holds as much as it may."""
        assert not self._paused
        self._paused = True
        if self._loop.get_debug():
            logger.debug("%r pauses writing", self)

    def resume_writing(self) -> None:
        """The transport has room again: those who drain go on."""
        assert self._paused
        self._paused = False
        if self._loop.get_debug():
            logger.debug("%r resumes writing", self)
        waiters, self._drain_waiters = self._drain_waiters, []
        for waiter in waiters:
            wake(waiter, None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is over: those who drain, or wait for the end, go on."""
        self.lose(exc)

    def lose(self, error: BaseException | None) -> int:
        self._connection_lost = True
        self._lost_with = error
        waiters, self._drain_waiters = self._drain_waiters, []
        closers, self._close_waiters = self._close_waiters, []
        for waiter in waiters:
            wake(waiter, error)
        for waiter in closers:
            wake(waiter, error)
        return 0

    def new_drain_waiter(self) -> Any:
        waiter = new_waiter(self._loop, self)
        self._drain_waiters.append(waiter)
        return waiter

    def new_close_waiter(self) -> Any:
        waiter = new_waiter(self._loop, self)
        self._close_waiters.append(waiter)
        return waiter

    def _drain_helper(self) -> Any:
        return begin(Drain.__new__(Drain), self, None)

    def _get_close_waiter(self, stream: Any) -> Any:
        """A future that finishes when the connection is over, as asyncio's own StreamWriter wants it."""
        if not self._connection_lost:
            return self.new_close_waiter()
        waiter = new_waiter(self._loop, self)
        wake(waiter, self._lost_with)
        if self._lost_with is not None:
            waiter.exception()  # whoever asks may still not look: nothing to be reported then
        return waiter


class WriteFlow(Attributed):
    """The transport that a writer writes to, and the reader that knows how the connection fares."""

    if not cython.compiled:
        _transport: Any = None
        _reader: Any = None
        inflow: Any = None

    def failure(self) -> Any:
        """What the connection failed with, or None."""
        if self.inflow is not None:
            return self.inflow._exception
        return None if self._reader is None else self._reader.exception()

    def let_out(self) -> int:
        """What our own transports hold until the end of the step is sent."""
        transport = self._transport
        if isinstance(transport, FlowControl):
            flow = transport
            flow.let_out()
        return 0

    def closing(self) -> bool:
        if type(self._transport) is StreamTransport:
            transport = self._transport
            return bool(transport.closing)
        return bool(self._transport.is_closing())


class Drain(StreamOperation):
    """``writer.drain()``: `owner` is the FlowControlMixin, `argument` an WriteFlow if a writer asks; `number` is 1 after giving way."""

    def step(self) -> int:
        flow = self.owner
        if self.waiter is not None:
            self.settle()
            return ENDED
        if self.number == 0 and self.argument is not None:
            outflow = self.argument
            outflow.let_out()
            error = outflow.failure()
            if error is not None:
                self.value = error
                return FAILED
            if outflow.closing():
                # A loop of write and drain would otherwise never give way, and never learn that the connection was lost.
                self.number = 1
                return self.park(None)
        if flow._connection_lost:
            self.value = ConnectionResetError("Connection lost")
            return FAILED
        if not flow._paused:
            return ENDED
        return self.park(flow.new_drain_waiter())

    def release(self) -> int:
        flow = self.owner
        if self.waiter in flow._drain_waiters:
            flow._drain_waiters.remove(self.waiter)
        return 0


class WaitClosed(StreamOperation):
    """``writer.wait_closed()``: `owner` is the FlowControlMixin."""

    def step(self) -> int:
        flow = self.owner
        if self.waiter is not None:
            self.settle()
            return ENDED
        if not flow._connection_lost:
            return self.park(flow.new_close_waiter())
        if flow._lost_with is None:
            return ENDED
        self.value = flow._lost_with
        return FAILED

    def release(self) -> int:
        flow = self.owner
        if self.waiter in flow._close_waiters:
            flow._close_waiters.remove(self.waiter)
        return 0
