# cython: auto_pickle=False, nonecheck=True
"""The write pipe transport: a protocol that writes to a pipe, a FIFO, a socket, a terminal or another character device.

Invariants
----------
* `connection_made` comes first, from the ring; the other end is watched after it, and the waiter is woken last. `connection_lost`
  comes last, from the ring, exactly once, and nothing is called after it.
* The descriptor belongs to the transport until `connection_lost` has returned; then the file object is closed, whoever ended it:
  the program, an error, or the other end.
* Bytes that `write` accepted before `close` or `write_eof` are written, or `connection_lost` is told why not. `queued` is the sum of what
  `queue` holds; what the caller could still change is copied before `write` returns.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
"""

from __future__ import annotations

import asyncio
import errno
import warnings
from asyncio import constants, transports
from asyncio.log import logger
from contextvars import Context, copy_context
from typing import Any

from cede.core.kernel import Kernel
from cede.drivers.base import Stream
from cede.net.flow import FlowControl
from cede.net.origin import note_origin, origin_of
from cede.net.pipe_end import PipeEnd

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.net.stream import checked

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
    extra: dict[str, Any] | None
    pipe: Any
    queue: list[Any]
    lost: int  # how often something was written since connection_lost was scheduled, from 1; 0 before that
    closing: bool

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
        if cython.compiled and self.channel is not None:
            raise RuntimeError("the transport is initialized already")
        self.channel: Any = None
        self.kernel = loop
        self.context = copy_context() if context is None else context
        self.extra = extra
        self.pipe = pipe
        self.protocol = protocol
        self.queue = []
        self.queued = 0
        self.protocol_paused = False
        self.lost = 0
        self.closing = False
        self.set_limits(None, None)
        driver: Any = loop.driver
        end = PipeEnd(pipe, driver, "Write to")
        try:
            self.channel = driver.open_pipe(end, self, False)
        except BaseException:
            end.drop_duplicate()
            raise
        end.take_over()
        if loop._debug:
            note_origin(self)
        loop.call_soon(self._begin, waiter, not end.is_device, context=self.context)

    def _begin(self, waiter: Any, watched: bool) -> None:
        """Runs as a callback, in the transport's context. `watched`: the other end can go away."""
        try:
            self.protocol.connection_made(self)
        except (KeyboardInterrupt, SystemExit):
            self.kernel.call_soon(self._begin_watching, waiter, watched, context=self.context)
            raise
        except BaseException as error:
            self.report("Exception in callback protocol.connection_made()", error)
        self._begin_watching(waiter, watched)

    def _begin_watching(self, waiter: Any, watched: bool) -> None:
        if watched and not self.lost:
            try:
                self.channel.resume()
            except OSError as error:
                self.fail(error, "Fatal error on pipe transport")
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

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
        try:
            if len(self.queue) == 1:
                taken = self.channel.write(self.queue[0], 0)
            else:
                taken = self.channel.writev(self.queue)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return self.fail(error, "Fatal write error on pipe transport")
        if taken:
            self.drop(taken)
            self.kernel.enter_callback()
            self.resume_if_drained()
            if not self.queue and not self.lost:
                self.channel.want_writable(False)
                if self.closing:
                    self.lose(None)
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
        self.send([data])

    def writelines(self, list_of_data: Any) -> None:
        """Write several pieces of data, as `write` would one after the other, with one system call where it can be."""
        self.send([piece if type(piece) is bytes else checked(piece, "items of list_of_data") for piece in list_of_data])

    def send(self, pieces: list[Any]) -> int:
        if self.kernel._debug:
            self.kernel._check_thread()
        pieces = [piece for piece in pieces if len(piece)]
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
        for piece in pieces:
            size = len(piece)
            if taken >= size:
                taken -= size
            else:
                self.keep(piece, taken)
                taken = 0
        if self.queue:
            self.channel.want_writable(True)
            self.pause_if_full()
        return 0

    def keep(self, data: Any, taken: int) -> int:
        """Queue ``data[taken:]``."""
        if type(data) is bytes:
            kept: Any = memoryview(data)[taken:] if taken else data
        else:
            kept = bytes(memoryview(data)[taken:])
        self.queue.append(kept)
        self.queued += len(kept)
        return 0

    def drop(self, taken: int) -> int:
        """The system has taken that many bytes from the head of the queue."""
        self.queued -= taken
        count = 0
        for data in self.queue:
            size = len(data)
            if taken < size:
                break
            taken -= size
            count += 1
        del self.queue[:count]
        if taken:
            self.queue[0] = memoryview(self.queue[0])[taken:]
        return 0

    # -- the end

    def write_eof(self) -> None:
        """Close the pipe once everything is written: that is the only way to tell a pipe's reader of the end."""
        if self.closing:
            return
        if self.kernel._debug:
            self.kernel._check_thread()
        self.closing = True
        if not self.queue:
            self.channel.pause()
            self.lose(None)

    def close(self) -> None:
        """As `write_eof`."""
        self.write_eof()

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self.force_close(None)

    def fail(self, error: BaseException, message: str) -> int:
        """Something went wrong for good. Errors of the system are told to the protocol alone, others are reported too."""
        if isinstance(error, OSError):
            if self.kernel._debug:
                logger.debug("%r: %s", self, message, exc_info=error)
        else:
            self.report(message, error)
        return self.force_close(error)

    def force_close(self, error: BaseException | None) -> int:
        if self.lost:
            return 0
        self.queue.clear()
        self.queued = 0
        self.closing = True
        self.channel.pause()
        self.channel.want_writable(False)
        return self.lose(error)

    def lose(self, error: BaseException | None) -> int:
        if self.lost:
            return 0
        self.lost = 1
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
                parts.append(f"{'polling' if self.queue else 'idle'} bufsize={self.queued}")
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
    def _conn_lost(self) -> int:
        return self.lost

    @property
    def _buffer(self) -> list[Any]:
        return self.queue

    def _close(self, exc: BaseException | None = None) -> None:
        self.force_close(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on pipe transport") -> None:
        self.fail(exc, message)
