# cython: auto_pickle=False, nonecheck=True
"""The datagram transport: a protocol's socket for UDP, or for datagrams over Unix sockets.

Invariants
----------
* `connection_made` comes first, from the ring; receiving starts after it, and the waiter is woken last. `connection_lost` comes
  last, from the ring, exactly once, and nothing is called after it.
* An error of the network is told by `error_received` and changes nothing else: the socket stays, what is queued stays, and a
  protocol that was asked to pause is asked to go on when the queue has drained, whatever became of its datagrams.
* Datagrams leave in the order of `sendto`. While one waits, those that come after it wait behind it.
* What `sendto` accepted before `close` is handed to the system, or its refusal is told. `queued` counts the data and `HEADER`
  bytes for each datagram in `queue`, so that empty ones are counted too.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio import constants
from asyncio.log import logger
from collections import deque
from contextvars import Context, copy_context
from itertools import islice
from typing import Any

from cede.core.kernel import Kernel
from cede.net.datagram_state import DatagramState
from cede.net.origin import note_origin

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    from cede.core.pure import call_in, call_method_with_two_in

# asyncio says it once a transport was written to this often after it was closed.
WARN_AFTER_WRITES = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES

# What a datagram counts beyond its data; asyncio's figure since Python 3.13.
HEADER = 8

FLUSHED_AT_ONCE = 64


class DatagramTransport(DatagramState):
    """Datagrams over `sock`, for `protocol`.

    ``isinstance(transport, asyncio.DatagramTransport)`` holds, and the methods are those of asyncio's. The transport owns `sock`,
    which must be non-blocking. `address` is the only one that may be sent to, if given. `waiter`, a future, is set when the
    protocol knows its transport. `context` is what the protocol's methods run in, a copy of the current one by default.
    """

    max_size = 256 * 1024

    def __init__(
        self,
        loop: Kernel,
        sock: Any,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
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
        self.address = address
        self.sockname = None
        self.queue = deque()
        self.queued = 0
        self.protocol_paused = False
        self.lost = 0
        self.closing = False
        self.set_limits(None, None)
        self.protocol = protocol
        try:
            self.peername = sock.getpeername()
            self.connected = True
        except OSError:
            self.peername = None
            self.connected = False
        driver: Any = loop.driver
        self.channel = driver.open_datagrams(sock, self)
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
        if not self.closing:
            try:
                self.channel.resume()
            except OSError as error:
                self.fail(error, "Fatal read error on datagram transport")
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- what the driver says

    def received_from(self, data: bytes, address: Any) -> int:
        if self.kernel._shown is not None:
            self.kernel.enter_callback()
        try:
            call_method_with_two_in(self.context, self.protocol, "datagram_received", data, address)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.report("Exception in callback protocol.datagram_received()", error)
        return 0

    def datagram_failed(self, error: BaseException) -> int:
        if self.lost:
            return 0
        self.kernel.enter_callback()
        try:
            call_in(self.context, self.protocol.error_received, (error,))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:
            self.report("Exception in callback protocol.error_received()", failure)
        return 0

    def read_failed(self, error: BaseException) -> int:
        return self.fail(error, "Fatal read error on datagram transport")

    def writable(self) -> int:
        if self.lost or not self.queue:
            return self.channel.want_writable(False)
        try:
            self.drop(self.channel.send_many(list(islice(self.queue, FLUSHED_AT_ONCE))))
        except (KeyboardInterrupt, SystemExit):
            raise
        except OSError as error:
            self.drop(1)
            self.datagram_failed(error)
        except BaseException as error:
            self.drop(1)
            self.report("a queued datagram could not be sent", error)
        if not self.lost:
            self.resume_if_drained()
        if not self.queue and not self.lost:
            self.channel.want_writable(False)
            if self.closing:
                self.lose(None)
        return 0

    # -- sending

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram to `addr`, or to the endpoint's ``remote_addr``; at once, or when there is room.

        What the network has against it is told by ``error_received``. Raises TypeError for what is no bytes-like object and for a
        missing or malformed address, ValueError for an address other than ``remote_addr``, OverflowError for a port that is none.
        On a closed transport the datagram is dropped.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if type(data) is memoryview and not data.c_contiguous:
            data = data.tobytes()
        if self.address is not None:
            if addr is not None and addr is not self.address and addr != self.address:
                raise ValueError(f"Invalid address: must be None or {self.address}")
            addr = self.address
        if self.kernel._debug:
            self.kernel._check_thread()
        if self.lost:
            if self.lost >= WARN_AFTER_WRITES:
                logger.warning("socket.send() raised exception.")
            self.lost += 1
            return
        if self.peername:
            addr = None
        elif addr is None and not self.connected:
            raise TypeError("sendto(): addr is missing, and the endpoint was made without remote_addr")
        if not self.queue:
            try:
                if self.channel.send(data, addr):
                    return
            except OSError as error:
                self.tell_sender(error)
                return
            self.channel.want_writable(True)
        kept = data if type(data) is bytes else bytes(data)
        self.queue.append((kept, self.channel.target(addr)))
        self.queued += len(kept) + HEADER
        self.pause_if_full()

    def tell_sender(self, error: BaseException) -> int:
        """`sendto` was refused: said at once, and in the caller's context, which may be the transport's own already."""
        try:
            self.protocol.error_received(error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:
            self.report("Exception in callback protocol.error_received()", failure)
        return 0

    def drop(self, count: int) -> int:
        """That many datagrams at the head of the queue are dealt with. The queue may have been emptied meanwhile."""
        while count > 0 and self.queue:
            self.queued -= len(self.queue.popleft()[0]) + HEADER
            count -= 1
        return 0

    # -- the end

    def close(self) -> None:
        """Receive no more, send what is queued, then tell the protocol ``connection_lost(None)``."""
        if self.closing:
            return
        if self.kernel._debug:
            self.kernel._check_thread()
        self.closing = True
        self.channel.pause()
        if not self.queue:
            self.lose(None)

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self.force_close(None)

    def fail(self, error: BaseException, message: str) -> int:
        """The socket is of no more use. Errors of the network are told to the protocol alone, others are reported too."""
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
        if self.sockname is None:
            self.sockname = self._sockname()
        self.channel.close()
        self.protocol = None
        return 0

    def __del__(self) -> None:
        channel = self.channel
        if channel is not None and not channel.closed:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.finish_closing()

    # -- asyncio's names

    def _force_close(self, exc: BaseException | None) -> None:
        self.force_close(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        self.fail(exc, message)
