# cython: auto_pickle=False, nonecheck=True
"""The read pipe transport: a protocol that reads from a pipe, a FIFO, a socket, a terminal or another character device.

Invariants
----------
* `connection_made` comes first, from the ring; receiving starts after it, and the waiter is woken last. `connection_lost`
  comes last, from the ring, exactly once, and nothing is called after it.
* The descriptor belongs to the transport until `connection_lost` has returned; then the file object is closed, whoever ended it:
  the program, an error, or the other end.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
"""

from __future__ import annotations

import asyncio
import errno
import warnings
from asyncio import transports
from asyncio.log import logger
from contextvars import Context, copy_context
from typing import Any

from cede.core.kernel import Kernel
from cede.drivers.base import Sink, Stream
from cede.net.origin import note_origin, origin_of
from cede.net.pipe_end import PipeEnd

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.pure import call_in, call_method_in


class AsReadPipe(transports.ReadTransport):
    """What `ReadPipeTransport` says that it is: a compiled class cannot inherit from classes with slots in Python."""

    __slots__ = ()


class ReadPipeTransport(Sink):
    """Receives from `pipe`, a file object that the transport owns from now on.

    ``isinstance(transport, asyncio.ReadTransport)`` holds, and the methods are those of asyncio's. `waiter`, a future, is set when the
    protocol knows its transport. Raises ValueError for what cannot be waited for.
    """

    kernel: Kernel
    protocol: Any
    context: Any
    channel: Stream
    extra: dict[str, Any] | None
    pipe: Any
    closing: bool
    reading_paused: bool
    started: bool
    lost: bool

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
        if cython.compiled and self.channel is not None:
            raise RuntimeError("the transport is initialized already")
        self.channel: Any = None
        self.kernel = loop
        self.context = copy_context() if context is None else context
        self.extra = extra
        self.pipe = pipe
        self.protocol = protocol
        self.buffered = False
        self.closing = False
        self.reading_paused = False
        self.started = False
        self.lost = False
        driver: Any = loop.driver
        end = PipeEnd(pipe, driver, "Read")
        try:
            self.channel = driver.open_pipe(end, self, True)
        except BaseException:
            end.drop_duplicate()
            raise
        end.take_over()
        if loop._debug:
            note_origin(self)
        loop.call_soon(self._begin, waiter, context=self.context)

    def _begin(self, waiter: Any) -> None:
        """Runs as a callback, in the transport's context."""
        try:
            self.protocol.connection_made(self)
        except (KeyboardInterrupt, SystemExit):
            self.kernel.call_soon(self._begin_reading, waiter, context=self.context)
            raise
        except BaseException as error:
            self.report("Exception in callback protocol.connection_made()", error)
        self._begin_reading(waiter)

    def _begin_reading(self, waiter: Any) -> None:
        self.started = True
        self.start_reading()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- what the driver says

    def received(self, data: bytes) -> int:
        if self.kernel._shown is not None:
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
        self.kernel.enter_callback()
        try:
            call_in(self.context, self.protocol.eof_received, ())
        except (KeyboardInterrupt, SystemExit):
            self.lose(None)
            raise
        except BaseException as error:
            self.report("Exception in callback protocol.eof_received()", error)
        return self.lose(None)

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

    def close(self) -> None:
        """Receive no more, then tell the protocol ``connection_lost(None)`` and close the file."""
        if not self.closing:
            self.end(None)

    # -- the end

    def fail(self, error: BaseException, message: str) -> int:
        """Something went wrong for good. That a terminal has hung up (EIO) is told to the protocol alone, all else is reported too."""
        if isinstance(error, OSError) and error.errno == errno.EIO:
            if self.kernel._debug:
                logger.debug("%r: %s", self, message, exc_info=error)
        else:
            self.report(message, error)
        return self.end(error)

    def report(self, message: str, error: BaseException) -> int:
        loop: Any = self.kernel
        loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self.protocol}
        )
        return 0

    def end(self, error: BaseException | None) -> int:
        self.closing = True
        self.channel.pause()
        return self.lose(error)

    def lose(self, error: BaseException | None) -> int:
        if self.lost:
            return 0
        self.lost = True
        try:
            self.kernel.call_soon(self._call_connection_lost, error, context=self.context)
        except RuntimeError:
            # The loop is closed: nobody can be told any more, but the descriptor is not to be lost with it.
            self.finish_closing()
            raise
        return 0

    def _call_connection_lost(self, error: BaseException | None) -> None:
        try:
            self.protocol.connection_lost(error)
        finally:
            self.finish_closing()

    def finish_closing(self) -> int:
        self.protocol = None
        self.channel.close()
        return 0

    def __del__(self) -> None:
        channel = self.channel
        if channel is not None and not channel.closed:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.finish_closing()

    # -- questions

    def is_closing(self) -> bool:
        """Whether the transport is closed, or about to be."""
        return bool(self.closing)

    def get_protocol(self) -> Any:
        """The protocol; None once the pipe is closed."""
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on `protocol` is told."""
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``pipe``, the file object, and what the maker of the transport added; `default` for anything else."""
        if name == "pipe":
            return self.pipe
        return default if self.extra is None else self.extra.get(name, default)

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
    def _loop(self) -> Any:
        return None if self.channel is not None and self.channel.closed else self.kernel

    @property
    def _pipe(self) -> Any:
        return None if self.channel is None or self.channel.closed else self.pipe

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
    def _closing(self) -> bool:
        return bool(self.closing)

    @property
    def _extra(self) -> dict[str, Any]:
        return {**(self.extra or {}), "pipe": self.pipe}

    @property
    def _protocol(self) -> Any:
        return self.protocol

    @property
    def _paused(self) -> bool:
        return bool(self.reading_paused)

    def _close(self, exc: BaseException | None = None) -> None:
        self.end(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on pipe transport") -> None:
        self.fail(exc, message)
