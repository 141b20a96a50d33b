# cython: auto_pickle=False
"""The stream transport: a protocol's connection over a driver's stream.

Invariants
----------
* The beginning and the end are those of every transport: see `base_transport`.
* Bytes that `write` accepted before `close` are sent, or `connection_lost` is told why not. `queued` is the sum of what `queue` holds.
* Where something is held (see `write_coalescing`) the queue is empty, and what is held goes first.
* Bytes objects are kept as they are; what the caller could still change is copied before `write` returns.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
  So it is after something was sent: a long send gives up the GIL, and the collector of another thread runs finalizers of the program's.
"""

from __future__ import annotations

import asyncio
from asyncio import constants, protocols
from asyncio.log import logger
from contextvars import Context
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.net.stream.file_send import FileSend
from cede.net.write_coalescing import BurstState

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import call_in, call_method_in, deliver, run_in
    from cede.net.write_buffer import checked, drop, gather, keep, keep_rest

# asyncio says it once a connection was written to this often after it was lost.
WARN_AFTER_WRITES = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES


class StreamTransport(BurstState):
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
        self.prepare(loop, protocol, extra, context)
        self.stream: Any = None
        self.server = server
        self.sockname = None
        self.queue = None  # until something has to wait
        self.queued = 0
        self.step = -1
        self.writes = 0
        self.multi_write_streak = 0
        self.held = None
        self.protocol_paused = False
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
        driver: Any = loop.driver
        self.stream = driver.open_stream(sock, self)
        if extra is None or "peername" not in extra:
            try:
                self.peername = self.stream.peer_address()
            except OSError:
                self.peername = None
        if server is not None:
            if loop._debug:
                self._source_traceback = None  # what accepts is the loop itself
            server._attach(self)
        loop.call_soon(self._begin, waiter, context=self.context)

    def _carries(self, sock: Any) -> bool:
        """Whether this was made for `sock`."""
        if not cython.compiled and self.stream is None:
            self.stream = self.kernel.driver.channels.get(sock.fileno())
        return self.stream is not None and self.stream.sock is sock

    def _begin_again(self) -> None:
        """To be called where an interrupt left `__init__` after the driver had the socket: do what is left of it."""
        if self.server is not None:
            self.server._attach(self)
        self.kernel.call_soon(self._begin, None, context=self.context)

    def begin(self) -> int:
        """Receive."""
        self.started = True
        if self.reading_paused:
            return self.stream.pause()
        return self.start_reading()

    # -- what the driver says

    def received(self, data: bytes) -> int:
        if self.kernel._announced_task is not None:
            self.kernel.enter_callback()
        try:
            if cython.compiled:
                call_method_in(self.context, self.protocol, "data_received", data)
            else:
                run_in(self.context, deliver, self.stream, self.protocol.data_received, data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.data_received() call failed.")
        return 0

    def get_buffer(self) -> Any:
        if self.kernel._announced_task is not None:
            self.kernel.enter_callback()
        protocol = self.protocol
        try:
            buffer = call_method_in(self.context, protocol, "get_buffer", -1)
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.fail(error, "Fatal error: protocol.get_buffer() call failed.")
            return None
        # The protocol may have paused or closed us, or handed over to another, when it was asked.
        if self.lost or self.reading_paused or self.closing or self.protocol is not protocol:
            return None
        return buffer

    def buffer_updated(self, count: int) -> int:
        if self.kernel._announced_task is not None:
            self.kernel.enter_callback()
        try:
            if cython.compiled:
                call_method_in(self.context, self.protocol, "buffer_updated", count)
            else:
                run_in(self.context, deliver, self.stream, self.protocol.buffer_updated, count)
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
        if not cython.compiled:
            self.stream.kept = None  # told
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
        queue = self.queue
        try:
            if len(queue) == 1:
                taken = self.stream.write(queue[0], 0)
            else:
                taken = self.stream.writev(queue)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return self.fail(error, "Fatal write error on socket transport")
        if taken and self.queue is queue:
            self.queued -= taken
            drop(queue, taken)
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
        if not self.queue and self.is_held(size):
            self.hold([data])
            return
        if not self.queue:
            try:
                taken = self.stream.write(data, 0)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.fail(error, "Fatal write error on socket transport")
                return
            if taken == size or self.lost:
                return
            self.stream.want_writable(True)
        if self.queue is None:
            self.queue = []
        self.queued += keep(self.queue, data, taken)
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
        if not self.queue and self.is_held(size):
            self.hold(pieces)
            return
        if not self.queue:
            try:
                taken = self.stream.writev(pieces)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.fail(error, "Fatal write error on socket transport")
                return
            if taken == size or self.lost:
                return
        if self.queue is None:
            self.queue = []
        self.queued += keep_rest(self.queue, pieces, taken)
        self.stream.want_writable(True)
        self.pause_if_full()

    def write_eof(self) -> None:
        """Close the sending side once everything is sent; what the peer sends is received on."""
        if self.closing or self.eof_wanted:
            return
        self.let_out()
        self.eof_wanted = True
        self.refusing = True
        if not self.queue:
            self.shutdown()

    def drained(self) -> int:
        """The queue has become empty."""
        self.stream.want_writable(False)
        if self.empty_waiter is not None and not self.empty_waiter.done():
            self.empty_waiter.set_result(None)
        if self.closing:
            self.lose_in_place()
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

    def wind_up(self) -> bool:
        """Receive no more. Whether everything is sent."""
        self.let_out()
        self.stream.pause()
        return not self.queue

    def stop(self) -> int:
        """Neither send nor receive from now on."""
        self.let_out()
        self.queue = None
        self.queued = 0
        self.stream.pause()
        return self.stream.want_writable(False)

    def fail(self, error: BaseException, message: str) -> int:
        """Something went wrong for good: whoever sends a file hears of it too."""
        BurstState.fail(self, error, message)
        return self.end_file(error)

    def end_file(self, error: BaseException) -> int:
        """The file that is being sent will not be."""
        waiter = self.empty_waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        return 0

    def _call_connection_lost(self, error: BaseException | None) -> None:
        try:
            self.protocol.connection_lost(error)
        finally:
            try:
                self.kernel.end_step()  # see the base class
            finally:
                self.finish_closing()
            self.end_file(error or ConnectionError("Connection is closed by peer"))

    def finish_closing(self) -> int:
        """Give the descriptor back, and leave the server: it counts on that, whatever comes in between."""
        try:
            BurstState.finish_closing(self)
        finally:
            server = self.server
            if server is not None:
                try:
                    server._detach(self)
                except (KeyboardInterrupt, SystemExit):
                    server._detach(self)  # a signal's handler has raised in it
                    raise
                finally:
                    self.server = None
        return 0

    # -- what asyncio's own sendfile calls

    def _make_empty_waiter(self) -> Any:
        if self.empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        self.let_out()
        loop: Any = self.kernel
        self.empty_waiter = loop.new_waiter(self)
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
