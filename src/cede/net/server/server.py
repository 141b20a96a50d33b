"""Listening: the server object, and what happens to each connection that comes in."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import weakref
from asyncio.log import logger
from asyncio.trsock import TransportSocket
from itertools import starmap
from typing import TYPE_CHECKING, Any

from cede.drivers.contract import AcceptSink
from cede.net.server.limits import Limits, Pacer, ServerStatistics
from cede.net.stream.metered import MeteredTransport
from cede.net.stream.transport import StreamTransport

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


WAITS_FOR_CLIENTS = sys.version_info >= (3, 12)

ONCE = ((),)  # the arguments of one call


class _CheckpointHook(AcceptSink):
    """What the driver tells of one listening socket."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.arrivals: list[_Arrival] = []  # the last one

    def accepted(self, sock: socket.socket, address: Any) -> int:
        """A connection came in. Called outside any task."""
        arrivals = self.arrivals
        if not arrivals or arrivals[0].sock is not sock:
            del arrivals[:]
            arrivals.extend(starmap(_Arrival, ((self.server, sock, address),)))
        self.server._expect(arrivals[0])
        del arrivals[:]
        return 0

    def accept_failed(self, error: BaseException) -> int:
        """Nothing to do but tell: the driver goes on."""
        self.server._loop.call_exception_handler(
            {
                "message": "Error on accepting a connection",
                "exception": error,
                "socket": TransportSocket(self.sock),
            }
        )
        return 0


class _Arrival:
    """A connection on its way into a server: it gets its protocol in the next turn. Where that never comes it is closed.

    A signal's handler may raise wherever a call ends. What is done is written down, some of it in lists that C functions fill, and in the
    next run the rest is done: so the connection is served, as if there had been no signal.
    """

    __slots__ = ("address", "asked", "building", "context", "counted", "expected", "protocols", "server", "sock")

    run_again_by_cede = True

    def __init__(self, server: Server, sock: socket.socket, address: Any) -> None:
        self.server = server
        self.sock: socket.socket | None = sock
        self.address = address
        self.expected = self.counted = self.asked = self.building = False
        self.protocols: list[Any] = []
        # Each connection gets a copy of the context that was current when serving began, as if by a task of its own.
        self.context = server._context.copy()

    def __call__(self) -> None:
        if self.sock is not None:
            self.server._admit(self, self.sock)

    def __del__(self) -> None:
        if getattr(self, "expected", False) and self.sock is not None:
            self.sock.close()


class Server(asyncio.AbstractServer):
    """What `create_server` returns: listening sockets, and the connections that came through them.

    Its behaviour is the same on every Python but 3.11, where `wait_closed` returns at once after `close`, as asyncio's does:
    programs written for it close a server while connections are open, and go on.
    """

    def __init__(
        self,
        loop: Any,
        sockets: Sequence[socket.socket],
        protocol_factory: Callable[[], Any],
        *,
        ssl: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        unlink: tuple[Any, int] | None = None,
        limits: Limits | None = None,
        given: bool = False,
    ) -> None:
        self._loop = loop
        self._given = given  # the sockets were the program's before
        self._sockets: list[socket.socket] | None = list(sockets)
        self._acceptors: list[Any] = []
        # By their addresses in memory. The driver keeps them alive while anything is to be told them; one that is forgotten goes.
        self._connected: dict[int, weakref.ref[Any]] = {}
        self._waiters: list[asyncio.Future[None]] | None = []
        self._factory = protocol_factory
        self._backlog = backlog
        self._ssl = ssl
        self._tls_options: dict[str, Any] = {}
        if ssl:
            self._tls_options = {
                "ssl": ssl,
                "server_side": True,
                "ssl_handshake_timeout": ssl_handshake_timeout,
                "ssl_shutdown_timeout": ssl_shutdown_timeout,
            }
        self._unlink = unlink
        self._limits = Limits() if limits is None else limits
        self._metered = self._limits.meters
        self._kind = MeteredTransport if self._metered else StreamTransport
        self._pacers: weakref.WeakKeyDictionary[Any, Pacer] = weakref.WeakKeyDictionary()
        self._coming = 0  # accepted, and not among the open ones yet
        self._open = self._peak = self._accepted = self._pauses = self._failed = self._silent = self._slow = self._lagging = 0
        self._full = False
        self._context = contextvars.copy_context()
        self._serving = False
        self._forever: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} sockets={self.sockets!r}>"

    @property
    def _clients(self) -> list[Any]:
        return [transport for reference in list(self._connected.values()) if (transport := reference()) is not None]

    # -- what the transports say

    def _attach(self, transport: Any) -> None:
        if id(transport) in self._connected:
            return  # an interrupt came in between
        self._connected[id(transport)] = weakref.ref(transport)
        self._accepted += 1
        self._open += 1
        if self._open > self._peak:
            self._peak = self._open
        if self._metered:
            self._pacers[transport] = Pacer(self, transport, self._limits)
        self._stop_if_full()

    def _detach(self, transport: Any) -> None:
        # May be called again, where it was interrupted.
        number = id(transport)
        if number in self._connected:
            del self._connected[number]
            self._open -= 1
        if self._metered:
            pacer = self._pacers.pop(transport, None)
            if pacer is not None:
                pacer.stop()
        self._go_on_if_full()
        if self._sockets is None:
            self._wake_if_over()

    def _stop_if_full(self) -> None:
        most = self._limits.max_connections
        if not self._full and most is not None and self._open + self._coming >= most:
            for acceptor in self._acceptors:
                acceptor.stop()
            self._full = True  # now: where a signal's handler has raised, the next one that comes stops them all
            self._pauses += 1

    def _go_on_if_full(self) -> None:
        if self._full:
            for acceptor in self._acceptors:
                acceptor.start()
            self._full = False

    def _cut_silent(self, transport: Any, why: str) -> None:
        self._silent += 1
        self._cut(transport, why)

    def _cut_slow(self, transport: Any, why: str) -> None:
        self._slow += 1
        self._cut(transport, why)

    def _cut_lagging(self, transport: Any, why: str) -> None:
        self._lagging += 1
        self._cut(transport, why)

    def _cut(self, transport: Any, why: str) -> None:
        if self._loop.get_debug():
            logger.info("%r cuts %r off: %s", self, transport, why)
        transport._force_close(ConnectionAbortedError(f"the server closed the connection: {why}"))

    def _wake_if_over(self) -> None:
        if self._sockets is not None or self._connected or self._waiters is None:
            return
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = None

    # -- what the listening sockets say

    def _expect(self, arrival: _Arrival) -> None:
        """Admit a connection in the next turn, where asyncio's task for it would begin."""
        if not arrival.expected:
            arrival.expected = arrival.counted = True
            self._coming += 1
        self._stop_if_full()
        self._loop.call_soon(arrival, context=arrival.context)

    def _admit(self, arrival: _Arrival, sock: socket.socket) -> None:
        if arrival.counted:
            arrival.counted = False
            self._coming -= 1
        if self._sockets is None:  # the server was closed meanwhile
            arrival.sock = None
            sock.close()
            return
        loop = self._loop
        transport = handshake = None
        if loop.get_debug():
            logger.debug("%r got a new connection from %r: %r", self, arrival.address, sock)
        extra = {"peername": arrival.address}
        try:
            if not arrival.asked:
                arrival.asked = True
                arrival.protocols.extend(starmap(self._factory, ONCE))
            protocol = arrival.protocols[0]
            if self._ssl:
                handshake = loop.new_waiter(sock)
                transport = loop._start_stream(sock, protocol, handshake, extra=extra, server=self, **self._tls_options)
            elif arrival.building and (transport := self._built_on(sock)) is not None:
                transport._begin_again()
            else:
                arrival.building = True
                transport = self._kind(loop, sock, protocol, None, extra, self, arrival.context)
        except (KeyboardInterrupt, SystemExit) as error:
            if not arrival.protocols or self._ssl:
                # The program's own code has raised it; or it came where TLS had begun to be put together.
                arrival.sock = None
                transport = self._built_on(sock)
                if transport is not None:
                    transport.abort()
                self._give_up(sock)
                if arrival.protocols:
                    self._report(error, arrival.protocols[0], transport)
            raise
        except BaseException as error:
            arrival.sock = None
            self._give_up(sock)
            self._report(error, arrival.protocols[0] if arrival.protocols else None, transport)
            return
        arrival.sock = None
        if handshake is not None:
            handshake.add_done_callback(lambda future: self._handshake_ended(future, protocol, transport))

    def _give_up(self, sock: socket.socket) -> None:
        """A connection will not be served."""
        sock.close()
        self._failed += 1
        self._go_on_if_full()

    def _built_on(self, sock: socket.socket) -> Any:
        """The transport over `sock`, if there is one: an interrupt may have left it half built."""
        owner = self._loop.driver.stream_owner(sock.fileno())
        return owner if isinstance(owner, StreamTransport) and owner._carries(sock) else None

    def _handshake_ended(self, handshake: asyncio.Future[None], protocol: Any, transport: Any) -> None:
        error = None if handshake.cancelled() else handshake.exception()
        if error is not None:
            self._failed += 1
            transport.close()
            if self._loop.get_debug():  # a peer that does not speak TLS is everyday noise, not a fault of the program
                self._report(error, protocol, transport)

    def _report(self, error: BaseException, protocol: Any, transport: Any) -> None:
        context = {"message": "Error on transport creation for incoming connection", "exception": error}
        if protocol is not None:
            context["protocol"] = protocol
        if transport is not None:
            context["transport"] = transport
        self._loop.call_exception_handler(context)

    # -- what the program says

    def get_loop(self) -> Any:
        """The loop that serves."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether connections are being accepted."""
        return self._serving

    def statistics(self) -> ServerStatistics:
        """Counts of what happened so far, and of what is open now."""
        return ServerStatistics(
            connections=self._open,
            peak=self._peak,
            accepted=self._accepted,
            accept_paused=self._full and self._serving,
            accept_pauses=self._pauses,
            failed=self._failed,
            silent=self._silent,
            slow=self._slow,
            lagging=self._lagging,
        )

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets, to look at; empty once the server is closed."""
        return tuple(map(TransportSocket, self._sockets or ()))

    def _start_serving(self) -> None:
        if self._serving:
            return
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._serving = True
        self._context = contextvars.copy_context()
        self._loop._servers.add(self)
        for sock in self._sockets:
            sock.listen(self._backlog)
            acceptor = self._loop.driver.open_acceptor(sock, _CheckpointHook(self, sock), self._backlog)
            self._acceptors.append(acceptor)
            acceptor.start()

    async def start_serving(self) -> None:
        """Begin to accept connections; does nothing where that has begun. Raises RuntimeError on a closed server."""
        self._start_serving()
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        """Serve until cancelled; then close, the connections too, and wait until the last one is gone.

        Raises RuntimeError on a closed server, and when somebody awaits this already.
        """
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        self._start_serving()
        self._forever = self._loop.new_waiter(self)
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            self.close_clients()  # one that neither sends nor hangs up would keep us for ever
            # A second cancellation, while we wait for the connections to go, is the same one to the caller.
            try:
                await self._over()
            finally:
                raise
        finally:
            self._forever = None

    def close(self) -> None:
        """Stop accepting and close the listening sockets. Connections live on. May be called twice."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        self._serving = False
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.close()
        for sock in sockets:
            sock.close()
        self._remove_path()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._wake_if_over()

    def close_clients(self) -> None:
        """Close every connection that came through this server, after what was written to it is sent."""
        for transport in self._clients:
            transport.close()

    def abort_clients(self) -> None:
        """Close every connection that came through this server, at once."""
        for transport in self._clients:
            transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the server is closed and its last connection is gone; on Python 3.11 not for the latter if it is closed already."""
        if WAITS_FOR_CLIENTS or self._sockets is not None:
            await self._over()

    async def _over(self) -> None:
        if self._waiters is None:
            return
        waiter = self._loop.new_waiter(self)
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if self._waiters is not None:
                self._waiters.remove(waiter)

    def _remove_path(self) -> None:
        """Remove the Unix socket's path, unless something else has taken it meanwhile."""
        if self._unlink is None:
            return
        path, inode = self._unlink
        try:
            if os.stat(path).st_ino == inode:
                os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._loop.call_exception_handler(
                {"message": f"Unable to clean up listening UNIX socket {path!r}", "exception": error, "server": self}
            )
