# cython: auto_pickle=False
"""The write pipe transport: a protocol that writes to a pipe, a FIFO, a socket, a terminal or another character device.

Invariants
----------
* The beginning and the end are those of every transport: see `base_transport`. At the end the file object is closed, whoever ended it: the
  program, an error, or the other end, which is watched from `connection_made` on.
* Bytes that `write` accepted before `close` or `write_eof` are written, or `connection_lost` is told why not. `queued` is the sum of what
  `queue` holds; what the caller could still change is copied before `write` returns.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
  So it is after something was written: a long write gives up the GIL.
"""

from __future__ import annotations

import asyncio
import errno
from asyncio import constants, transports
from asyncio.log import logger
from contextvars import Context
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.drivers.contract import Owned, Stream
from cede.net.creation_site import origin_of
from cede.net.flow_control import FlowControl
from cede.net.pipe.ownership import PipeEnd

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.net.write_buffer import checked, drop, gather, keep_rest

# asyncio says it once a pipe was written to this often after it was closed.
WARN_AFTER_WRITES = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES


class AsWritePipe(transports._FlowControlMixin, transports.WriteTransport):  # type: ignore[misc]
    """What `WritePipeTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class WritePipeTransport(FlowControl):
    """Writes to `pipe`, a file object that the transport owns from now on.

    ``isinstance(transport, asyncio.WriteTransport)`` holds, and the methods are those of asyncio's. `waiter`, a future, is set when the
    protocol knows its transport. Raises ValueError for what cannot be waited for.
    """

    channel: Stream
    queue: list[Any]
    watched: bool  # the other end can go away

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return AsWritePipe

    def __init__(
        self,
        loop: Kernel,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
        context: Context | None = None,
    ) -> None:
        self.prepare(loop, protocol, {**(extra or {}), "pipe": pipe}, context)
        self.channel: Any = None
        self.queue = []
        self.queued = 0
        self.protocol_paused = False
        self.set_limits(None, None)
        driver: Any = loop.driver
        end = PipeEnd(pipe, driver, "Write to")
        try:
            self.channel = driver.open_pipe(end, self, False)
        except BaseException:
            end.drop_duplicate()
            raise
        end.take_over()
        self.watched = not end.is_device
        loop.call_soon(self._begin, waiter, context=self.context)

    def begin(self) -> int:
        """Watch the other end."""
        if not self.watched:
            return self.channel.pause()
        if not self.lost:
            try:
                self.channel.resume()
            except OSError as error:
                self.fail(error, "Fatal error on pipe transport")
        return 0

    def channel_of(self) -> Owned | None:
        """The end of the pipe in the driver's hands."""
        return self.channel

    # -- what the driver says

    def eof(self) -> int:
        """Nobody reads any more."""
        if self.kernel._debug:
            logger.info("%r was closed by peer", self)
        return self.force_close(BrokenPipeError(errno.EPIPE, "the reader has closed the pipe") if self.queue else None)

    def read_failed(self, error: BaseException) -> int:
        return self.fail(error, "Fatal error on pipe transport")

    def writable(self) -> int:
        if self.lost or not self.queue:
            return self.channel.want_writable(False)
        queue = self.queue
        try:
            if len(queue) == 1:
                taken = self.channel.write(queue[0], 0)
            else:
                taken = self.channel.writev(queue)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return self.fail(error, "Fatal write error on pipe transport")
        if taken and self.queue is queue:
            self.queued -= taken
            drop(queue, taken)
            self.kernel.enter_callback()
            self.resume_if_drained()
            if not self.queue and not self.lost:
                self.channel.want_writable(False)
                if self.closing:
                    self.lose_in_place()
        return 0

    # -- writing

    def can_write_eof(self) -> bool:
        """True."""
        return True

    def write(self, data: Any) -> None:
        """Write `data`, at once as far as the pipe takes it, the rest when there is room.

        Raises TypeError for what is no bytes-like object. On a closed pipe, or after `write_eof`, data is dropped, as asyncio does.
        """
        if type(data) is not bytes:
            data = checked(data, "data argument")
        self.send([data] if len(data) else [])

    def writelines(self, list_of_data: Any) -> None:
        """Write several pieces of data, as `write` would one after the other, with one system call where it can be."""
        pieces: list[Any] = []
        gather(list_of_data, pieces)
        self.send(pieces)

    def send(self, pieces: list[Any]) -> int:
        if self.kernel._debug:
            self.kernel._check_thread()
        if not pieces:
            return 0
        if self.lost or self.closing:
            if self.lost >= WARN_AFTER_WRITES:
                logger.warning("pipe closed by peer or os.write(pipe, data) raised exception.")
            if self.lost:
                self.lost += 1
            return 0
        taken = 0
        if not self.queue:
            try:
                taken = self.channel.write(pieces[0], 0) if len(pieces) == 1 else self.channel.writev(pieces)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                return self.fail(error, "Fatal write error on pipe transport")
            if self.lost:
                return 0
        self.queued += keep_rest(self.queue, pieces, taken)
        if self.queue:
            self.channel.want_writable(True)
            self.pause_if_full()
        return 0

    # -- the end

    def write_eof(self) -> None:
        """As `close`: that is the only way to tell a pipe's reader of the end."""
        self.close()

    def wind_up(self) -> bool:
        """The other end is watched until everything is written: without a reader nothing ever is."""
        if self.queue:
            return False
        self.channel.pause()
        return True

    def stop(self) -> int:
        """Neither write nor watch from now on."""
        self.queue = []
        self.queued = 0
        self.channel.pause()
        return self.channel.want_writable(False)

    def __repr__(self) -> str:
        channel = self.channel
        parts = [type(self).__name__, "closed" if channel is None or channel.closed else "closing" if self.closing else "open"]
        if channel is not None:
            parts.append(f"fd={channel.fd}")
            if not channel.closed and not self.kernel.is_closed():
                parts.append(f"{'polling' if self.queue else 'idle'} bufsize={self.queued}")
        parts += origin_of(self)
        return f"<{' '.join(parts)}>"

    # -- what it cannot do, and says so: asyncio's write pipes are whole transports by their class

    def is_reading(self) -> bool:
        """Raises NotImplementedError: there is nothing to read from."""
        raise NotImplementedError("a write pipe transport reads nothing")

    def pause_reading(self) -> None:
        """Raises NotImplementedError."""
        raise NotImplementedError("a write pipe transport reads nothing")

    def resume_reading(self) -> None:
        """Raises NotImplementedError."""
        raise NotImplementedError("a write pipe transport reads nothing")

    # -- asyncio's names

    @property
    def _pipe(self) -> Any:
        return None if self.channel is None or self.channel.closed else self.extra["pipe"]

    @_pipe.setter
    def _pipe(self, pipe: Any) -> None:
        """asyncio's tests take a pipe away from a transport whose loop is closed."""
        if pipe is not None:
            raise AttributeError("the pipe of a transport cannot be replaced, only taken away with None")
        self.finish_closing()

    @property
    def _fileno(self) -> Any:
        return None if self.channel is None else self.channel.fd

    @property
    def _buffer(self) -> list[Any]:
        return list(self.queue)

    def _close(self, exc: BaseException | None = None) -> None:
        self.force_close(exc)
