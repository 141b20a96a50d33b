# cython: auto_pickle=False
"""The datagram transport: a protocol's socket for UDP, or for datagrams over Unix sockets.

Invariants
----------
* The beginning and the end are those of every transport: see `base_transport`.
* An error of the network is told by `error_received` and changes nothing else: the socket stays, what is queued stays, and a
  protocol that was asked to pause is asked to go on when the queue has drained, whatever became of its datagrams.
* Datagrams leave in the order of `sendto`. While one waits, those that come after it wait behind it.
* What is sent while the datagrams of one batch are told is held, so that it leaves with few system calls: when the batch is over at the
  latest, and before anybody can tell the difference from the transport. Its end, its socket, its next protocol, and what it says of its
  buffer come after. `held` of the channel is true only while something is held, and what is held is all that is queued then. Nothing
  is held in debug mode, nor of what another thread sends.
* What `sendto` accepted before `close` is handed to the system, or its refusal is told. `queued` counts the data and `HEADER`
  bytes for each datagram in `queue`, so that empty ones are counted too.
* User code that is called from here may do anything to this transport, closing it included: after such a call all state is looked at anew.
"""

from __future__ import annotations

import asyncio
from asyncio import constants
from asyncio.log import logger
from collections import deque
from contextvars import Context
from itertools import islice
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.net.datagram.state import DatagramState

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import call_in, call_method_with_two_in, is_this_thread

# asyncio says it once a transport was written to this often after it was closed.
WARN_AFTER_WRITES = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES

# What a datagram counts beyond its data; asyncio's figure since Python 3.13.
HEADER = 8

FLUSHED_AT_ONCE = 64

# More than that is not held.
HELD_AT_MOST = 64 * 1024


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
        self.prepare(loop, protocol, extra, context)
        self.channel: Any = None
        self.address = address
        self.sockname = None
        self.queue = deque()
        self.queued = 0
        self.sending = False
        self.protocol_paused = False
        self.set_limits(None, None)
        try:
            self.peername = sock.getpeername()
            self.connected = True
        except OSError:
            self.peername = None
            self.connected = False
        driver: Any = loop.driver
        self.channel = driver.open_datagrams(sock, self)
        loop.call_soon(self._begin, waiter, context=self.context)

    def begin(self) -> int:
        """Receive."""
        if not self.closing:
            try:
                self.channel.resume()
            except OSError as error:
                self.fail(error, "Fatal read error on datagram transport")
        return 0

    # -- what the driver says

    def received_from(self, data: bytes, address: Any) -> int:
        if self.kernel._announced_task is not None:
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
        if self.channel.held:
            self.send_held()
        else:
            self.send_some()
        if not self.lost:
            self.resume_if_drained()
        if not self.queue and not self.lost:
            self.channel.want_writable(False)
            if self.closing:
                self.lose_in_place()
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
        if self.channel.telling and (self.channel.held or not self.queue) and is_this_thread(self.kernel._thread_id):
            if type(data) is bytes and not self.kernel._debug and self.hold(data, addr):
                return
            self.send_held()
        # Another thread (which asyncio forbids, and does not notice) does not wait for what this one holds.
        if not self.queue or self.channel.held:
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

    def hold(self, data: bytes, addr: Any) -> bool:
        """Keep it until the batch is over. False for an address whose text only the socket can read."""
        target = self.channel.target(addr)
        if target is not None and type(target) is not bytes:
            return False
        self.queue.append((data, target))
        self.queued += len(data) + HEADER
        self.channel.held = True
        if len(self.queue) >= FLUSHED_AT_ONCE or self.queued >= HELD_AT_MOST:
            self.send_held()
        return True

    def send_held(self) -> int:
        """What was held leaves now; what there is no room for waits from now on."""
        if self.channel is None or not self.channel.held:
            return 0
        self.channel.held = False
        try:
            # Not without end: each may be refused, and answered by another one, which may be refused too.
            for _ in range(2 * len(self.queue) + 1):
                if self.lost or not self.queue or not self.send_some():
                    break
        finally:
            self.channel.held = False
            if self.queue and not self.lost:
                self.channel.want_writable(True)
        if self.channel.telling:
            self.pause_if_full()
        elif self.queued > self.high:
            call_in(self.context, self._pause_if_full, ())
        return 0

    def _pause_if_full(self) -> None:
        self.pause_if_full()

    def send_some(self) -> int:
        """Send from the head of the queue. How many datagrams were dealt with: none where there is no room."""
        if self.sending:
            return 0  # by what runs while the system, or a socket of the program's own make, sends: who began goes on
        count = 1
        self.sending = True
        try:
            try:
                count = self.channel.send_many(list(islice(self.queue, FLUSHED_AT_ONCE)))
            finally:
                self.sending = False
            self.drop(count)
        except (KeyboardInterrupt, SystemExit):
            raise
        except OSError as error:
            self.drop(1)
            if self.channel.telling:
                self.tell_sender(error)
            else:
                self.datagram_failed(error)
        except BaseException as error:
            self.drop(1)
            self.report("a queued datagram could not be sent", error)
        return count

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

    # -- questions, which must not find what was sent still here

    def get_write_buffer_size(self) -> int:
        """Bytes of data, and `HEADER` for each datagram, that were accepted by `sendto` and that the system has not taken yet."""
        self.send_held()
        return self.queued

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the watermarks, in bytes: see asyncio."""
        self.send_held()
        DatagramState.set_write_buffer_limits(self, high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``socket``, ``sockname`` and ``peername``, and what the maker of the transport added; `default` for anything else."""
        self.send_held()
        return DatagramState.get_extra_info(self, name, default)

    def set_protocol(self, protocol: Any) -> None:
        """From now on `protocol` is told."""
        self.send_held()
        DatagramState.set_protocol(self, protocol)

    def __repr__(self) -> str:
        self.send_held()
        return DatagramState.__repr__(self)

    @property
    def _sock(self) -> Any:
        self.send_held()
        return DatagramState._sock.__get__(self)

    @property
    def _buffer(self) -> Any:
        self.send_held()
        return self.queue

    @property
    def _buffer_size(self) -> int:
        return self.get_write_buffer_size()

    # -- the end

    def close(self) -> None:
        """Receive no more, send what is queued, then tell the protocol ``connection_lost(None)``."""
        self.send_held()
        DatagramState.close(self)

    def force_close(self, error: BaseException | None) -> int:
        self.send_held()
        return DatagramState.force_close(self, error)

    def wind_up(self) -> bool:
        """Receive no more. Whether everything is sent."""
        self.channel.pause()
        return not self.queue

    def stop(self) -> int:
        """Neither send nor receive from now on."""
        self.queue.clear()
        self.queued = 0
        self.channel.pause()
        return self.channel.want_writable(False)
