# cython: auto_pickle=False
"""The read pipe transport: a protocol that reads from a pipe, a FIFO, a socket, a terminal or another character device.

Invariants
----------
* The beginning and the end are those of every transport: see `base_transport`. At the end the file object is closed, whoever ended it: the
  program, an error, or the other end.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
"""

from __future__ import annotations

import asyncio
import errno
from asyncio import transports
from asyncio.log import logger
from contextvars import Context
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.drivers.contract import Owned, Stream
from cede.net.base_transport import BaseTransport
from cede.net.creation_site import origin_of
from cede.net.pipe.ownership import PipeEnd

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import call_method_in


class AsReadPipe(transports.ReadTransport):
    """What `ReadPipeTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class ReadPipeTransport(BaseTransport):
    """Receives from `pipe`, a file object that the transport owns from now on.

    ``isinstance(transport, asyncio.ReadTransport)`` holds, and the methods are those of asyncio's. `waiter`, a future, is set when the
    protocol knows its transport. Raises ValueError for what cannot be waited for.
    """

    channel: Stream
    reading_paused: bool
    started: bool

    max_size = 256 * 1024

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return AsReadPipe

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
        self.buffered = False
        self.reading_paused = False
        self.started = False
        driver: Any = loop.driver
        end = PipeEnd(pipe, driver, "Read")
        try:
            self.channel = driver.open_pipe(end, self, True)
        except BaseException:
            end.drop_duplicate()
            raise
        end.take_over()
        loop.call_soon(self._begin, waiter, context=self.context)

    def begin(self) -> int:
        """Receive."""
        self.started = True
        if self.reading_paused:
            return self.channel.pause()
        return self.start_reading()

    def channel_of(self) -> Owned | None:
        """The end of the pipe in the driver's hands."""
        return self.channel

    # -- what the driver says

    def received(self, data: bytes) -> int:
        if self.kernel._announced_task is not None:
            self.kernel.enter_callback()
        try:
            call_method_in(self.context, self.protocol, "data_received", data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.report("Exception in callback protocol.data_received()", error)
        return 0

    def eof(self) -> int:
        if self.kernel._debug:
            logger.info("%r was closed by peer", self)
        self.closing = True
        try:
            # From the ring, as asyncio's does: behind what else the poll brought. A socket's protocol is told at once.
            self.kernel.call_soon(self.protocol.eof_received, context=self.context.copy())
        finally:
            self.lose(None)
        return 0

    def read_failed(self, error: BaseException) -> int:
        return self.fail(error, "Fatal read error on pipe transport")

    # -- what the program says

    def is_reading(self) -> bool:
        """Whether data is passed to the protocol as it arrives."""
        return not self.closing and not self.reading_paused

    def start_reading(self) -> int:
        if self.started and not self.closing and not self.reading_paused:
            try:
                self.channel.resume()
            except OSError as error:
                self.fail(error, "Fatal read error on pipe transport")
        return 0

    def pause_reading(self) -> None:
        """Pass no data to the protocol until `resume_reading`. Does nothing where that is so already."""
        if self.closing or self.reading_paused:
            return
        self.reading_paused = True
        self.channel.pause()
        if self.kernel._debug:
            logger.debug("%r pauses reading", self)

    def resume_reading(self) -> None:
        """Pass data to the protocol again. Does nothing where that is so already, or the transport closes."""
        if self.closing or not self.reading_paused:
            return
        self.reading_paused = False
        self.start_reading()
        if self.kernel._debug:
            logger.debug("%r resumes reading", self)

    # -- the end

    def is_expected(self, error: BaseException) -> bool:
        """A terminal that hangs up gives EIO; any other error of a pipe is news to somebody."""
        return isinstance(error, OSError) and error.errno == errno.EIO

    def wind_up(self) -> bool:
        """Receive no more; there is nothing to send."""
        self.channel.pause()
        return True

    def stop(self) -> int:
        """Receive no more."""
        return self.channel.pause()

    def __repr__(self) -> str:
        channel = self.channel
        parts = [type(self).__name__, "closed" if channel is None or channel.closed else "closing" if self.closing else "open"]
        if channel is not None:
            parts.append(f"fd={channel.fd}")
            if not channel.closed and not self.kernel.is_closed():
                parts.append("polling" if self.started and not (self.closing or self.reading_paused) else "idle")
        parts += origin_of(self)
        return f"<{' '.join(parts)}>"

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
    def _paused(self) -> bool:
        return bool(self.reading_paused)

    def _close(self, exc: BaseException | None = None) -> None:
        self.force_close(exc)
