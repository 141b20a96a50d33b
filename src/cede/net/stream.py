# cython: auto_pickle=False, nonecheck=True
"""The stream transport: a protocol's connection over a driver's stream.

Invariants
----------
* `connection_made` comes first, from the ring; receiving starts after it, and the waiter is woken last.
* `connection_lost` comes last, from the ring, exactly once, and nothing is called after it. `lost` is above 0 from the moment
  it is scheduled; whoever schedules it goes through `lose`.
* The descriptor belongs to the stream until `connection_lost` has returned, so the protocol can still ask the transport for it there.
* Bytes that `write` accepted before `close` are sent, or `connection_lost` is told why not. `queued` is the sum of what `queue` holds.
* Bytes objects are kept as they are; what the caller could still change is copied before `write` returns.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio import constants, protocols
from asyncio.log import logger
from contextvars import Context, copy_context
from typing import Any

from cede.core.kernel import Kernel
from cede.net.file_send import FileSend
from cede.net.origin import note_origin
from cede.net.state import StreamState

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.pure import call_in, call_method_in

BYTES_LIKE = (bytes, bytearray, memoryview)

# asyncio says it once a connection was written to this often after it was lost.
WARN_AFTER_WRITES = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES


class StreamTransport(StreamState):
    """A connection over a stream socket, for `protocol`.

    ``isinstance(transport, asyncio.Transport)`` holds, and the methods are those of asyncio's. The transport owns `sock`, which must be
    connected and non-blocking. `waiter`, a future, is set when the protocol knows its transport. `context` is what the protocol's
    methods run in, a copy of the current one by default.
    """

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.TRY_NATIVE  # type: ignore[attr-defined]
    max_size = 256 * 1024

    def __init__(
        self,
        loop: Kernel,
        sock: Any,
        protocol: asyncio.BaseProtocol,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
    ) -> None:
        if cython.compiled and self.stream is not None:
            raise RuntimeError("the transport is initialized already")
        self.stream: Any = None
        self.kernel = loop
        self.context = copy_context() if context is None else context
        self.server = server
        self.extra = extra
        self.sockname = None
        self.queue = None  # until something has to wait
        self.queued = 0
        self.protocol_paused = False
        self.lost = 0
        self.closing = False
        self.reading_paused = False
        self.started = False
        self.eof_seen = False
        self.eof_wanted = False
        self.refusing = False
        self.empty_waiter = None
        self.file_send = None
        self.set_limits(None, None)
        self.set_protocol(protocol)
        if extra is not None and "peername" in extra:
            self.peername = extra["peername"]
            if len(extra) == 1:
                self.extra = None
        else:
            try:
                self.peername = sock.getpeername()
            except OSError:
                self.peername = None
        driver: Any = loop.driver
        self.stream = driver.open_stream(sock, self)
        if loop._debug and server is None:  # what accepts is the loop itself
            note_origin(self)
        if server is not None:
            server._attach(self)
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
            self.fail(error, "Fatal error: protocol.data_received() call failed.")
        return 0

    def get_buffer(self) -> Any:
        if self.kernel._shown is not None:
            self.kernel.enter_callback()
        try:
            buffer = call_method_in(self.context, self.protocol, "get_buffer", -1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.get_buffer() call failed.")
            return None
        # The protocol may have paused or closed us, or handed over to another, when it was asked.
        if self.lost or self.reading_paused or self.closing or not self.buffered:
            return None
        return buffer

    def buffer_updated(self, count: int) -> int:
        if self.kernel._shown is not None:
            self.kernel.enter_callback()
        try:
            call_method_in(self.context, self.protocol, "buffer_updated", count)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.buffer_updated() call failed.")
        return 0

    def eof(self) -> int:
        self.eof_seen = True
        if self.kernel._debug:
            logger.debug("%r received EOF", self)
        self.kernel.enter_callback()
        try:
            keep_open = call_in(self.context, self.protocol.eof_received, ())
        except (KeyboardInterrupt, SystemExit):
            self.close()
            raise
        except BaseException as error:
            return self.fail(error, "Fatal error: protocol.eof_received() call failed.")
        if not keep_open:
            self.close()
        return 0

    def read_failed(self, error: BaseException) -> int:
        return self.fail(error, "Fatal read error on socket transport")

    def writable(self) -> int:
        if self.lost or not self.queue:
            if self.file_send is not None and not self.lost:
                self.file_send.proceed()
                return 0
            return self.stream.want_writable(False)
        self.kernel.enter_callback()
        try:
            if len(self.queue) == 1:
                taken = self.stream.write(self.queue[0], 0)
            else:
                taken = self.stream.writev(self.queue)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return self.fail(error, "Fatal write error on socket transport")
        if taken:
            self.drop(taken)
            self.resume_if_drained()
            if not self.queue and not self.lost:
                self.drained()
        return 0

    # -- writing

    def write(self, data: Any) -> None:
        """Send `data`, at once as far as the system takes it, the rest when there is room.

        Raises TypeError for what is no bytes-like object, RuntimeError after `write_eof`. After the connection was lost, or closed,
        data is dropped, as asyncio does.
        """
        if type(data) is not bytes:
            data = checked(data, "data argument")
        if self.refusing or self.kernel._debug:
            self.check_write("write")
        size = len(data)
        if size == 0:
            return
        if self.lost:
            self.count_lost_write()
            return
        taken = 0
        if not self.queue:
            try:
                taken = self.stream.write(data, 0)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.fail(error, "Fatal write error on socket transport")
                return
            if taken == size:
                return
            self.stream.want_writable(True)
        self.keep(data, taken)
        self.pause_if_full()

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces of data, as `write` would one after the other, with one system call where it can be.

        Raises TypeError for an item that is no bytes-like object, before anything is sent; RuntimeError after `write_eof`.
        """
        pieces: list[Any] = []
        size = gather(list_of_data, pieces)
        if self.refusing or self.kernel._debug:
            self.check_write("writelines")
        if size == 0:
            return
        if self.lost:
            self.count_lost_write()
            return
        taken = 0
        if not self.queue:
            try:
                taken = self.stream.writev(pieces)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.fail(error, "Fatal write error on socket transport")
                return
            if taken == size:
                return
        for piece in pieces:
            size = len(piece)
            if taken >= size:
                taken -= size
            else:
                self.keep(piece, taken)
                taken = 0
        if self.queue:
            self.stream.want_writable(True)
            self.pause_if_full()

    def write_eof(self) -> None:
        """Close the sending side once everything is sent; what the peer sends is received on."""
        if self.closing or self.eof_wanted:
            return
        self.eof_wanted = True
        self.refusing = True
        if not self.queue:
            self.shutdown()

    def keep(self, data: Any, taken: int) -> int:
        """Queue ``data[taken:]``."""
        if type(data) is bytes:
            kept: Any = memoryview(data)[taken:] if taken else data
        else:
            kept = bytes(memoryview(data)[taken:])
        if self.queue is None:
            self.queue = []
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

    def drained(self) -> int:
        """The queue has become empty."""
        self.stream.want_writable(False)
        if self.empty_waiter is not None and not self.empty_waiter.done():
            self.empty_waiter.set_result(None)
        if self.closing:
            self.lose(None)
        elif self.eof_wanted:
            self.shutdown()
        return 0

    def shutdown(self) -> int:
        try:
            self.stream.shutdown_write()
        except OSError as error:
            self.fail(error, "Fatal write error on socket transport")
        return 0

    def check_write(self, method: str) -> int:
        if self.kernel._debug:
            self.kernel._check_thread()
        if self.eof_wanted:
            raise RuntimeError(f"Cannot call {method}() after write_eof()")
        if self.empty_waiter is not None:
            raise RuntimeError(f"unable to {method}; sendfile is in progress")
        return 0

    def count_lost_write(self) -> int:
        if self.lost >= WARN_AFTER_WRITES:
            logger.warning("socket.send() raised exception.")
        self.lost += 1
        return 0

    # -- reading

    def start_reading(self) -> int:
        if self.started and not (self.closing or self.reading_paused or self.eof_seen):
            try:
                self.stream.resume()
            except OSError as error:
                self.fail(error, "Fatal read error on socket transport")
        return 0

    def pause_reading(self) -> None:
        """Pass no data to the protocol until `resume_reading`. Does nothing where that is so already."""
        if self.closing or self.reading_paused:
            return
        self.reading_paused = True
        self.stream.pause()
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

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on `protocol` is told. One that has ``get_buffer`` and no ``data_received`` is a buffered one, of whatever class."""
        self.buffered = isinstance(protocol, protocols.BufferedProtocol) or (
            hasattr(protocol, "get_buffer") and not hasattr(protocol, "data_received")
        )
        self.protocol = protocol

    # -- the end

    def close(self) -> None:
        """Receive no more, send what is queued, then tell the protocol ``connection_lost(None)``."""
        if self.closing:
            return
        if self.kernel._debug:
            self.kernel._check_thread()
        self.closing = True
        self.stream.pause()
        if not self.queue:
            self.lose(None)

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self.force_close(None)

    def fail(self, error: BaseException, message: str) -> int:
        """Something went wrong for good. Errors of the network are told to the protocol alone, others are reported too."""
        if isinstance(error, OSError):
            if self.kernel._debug:
                logger.debug("%r: %s", self, message, exc_info=error)
        else:
            self.report(message, error)
        waiter = self.empty_waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        return self.force_close(error)

    def force_close(self, error: BaseException | None) -> int:
        if self.lost:
            return 0
        if self.queue:
            self.queue.clear()
            self.queued = 0
        self.closing = True
        self.stream.pause()
        self.stream.want_writable(False)
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
            waiter = self.empty_waiter
            if waiter is not None and not waiter.done():
                waiter.set_exception(error or ConnectionError("Connection is closed by peer"))

    def finish_closing(self) -> int:
        if self.sockname is None:
            self.sockname = self._sockname()
        self.stream.close()
        self.protocol = None
        server = self.server
        if server is not None:
            self.server = None
            server._detach(self)
        return 0

    def __del__(self) -> None:
        stream = self.stream
        if stream is not None and not stream.closed:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.finish_closing()

    # -- what asyncio's own TLS and sendfile call

    def _force_close(self, exc: BaseException | None) -> None:
        self.force_close(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        self.fail(exc, message)

    def _make_empty_waiter(self) -> Any:
        if self.empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        loop: Any = self.kernel
        self.empty_waiter = loop.create_future()
        self.refusing = True
        if not self.queue:
            self.empty_waiter.set_result(None)
        return self.empty_waiter

    def _reset_empty_waiter(self) -> None:
        self.empty_waiter = None
        self.file_send = None
        self.refusing = bool(self.eof_wanted)

    # -- files; see file_send

    def _is_sending(self) -> bool:
        """Whether a file is being sent, or waits for what was written before it."""
        return self.empty_waiter is not None

    def _begin_file(self, file: int, offset: int, count: int) -> FileSend:
        """Send a file from now on. To be called when `_make_empty_waiter` has been waited for, and ended by `_reset_empty_waiter`."""
        if self.lost or self.closing:
            raise ConnectionError("the transport was closed before the file was sent")
        self.file_send = FileSend(self, self.stream, file, offset, count)
        # Whoever ends the connection tells this waiter.
        self.empty_waiter = self.file_send.done
        self.file_send.proceed()
        return self.file_send


def gather(list_of_data: Any, pieces: list[Any]) -> int:
    """Put what is to be sent into `pieces`, but nothing empty; its number of bytes."""
    total = 0
    for piece in list_of_data:
        if type(piece) is not bytes:
            piece = checked(piece, "items of list_of_data")
        size = len(piece)
        if size:
            pieces.append(piece)
            total += size
    return total


def checked(data: Any, name: str) -> Any:
    """`data`, as something that can be sent as it is: bytes, or a buffer whose length is its number of bytes."""
    if isinstance(data, (bytes, bytearray)):
        return data
    if not isinstance(data, memoryview):
        raise TypeError(f"{name} must be a bytes-like object, not {type(data).__name__!r}")
    if not data.c_contiguous:
        return data.tobytes()
    if data.ndim != 1 or data.itemsize != 1 or data.format != "B":
        return data.cast("B") if data.nbytes else b""
    return data
