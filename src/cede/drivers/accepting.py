"""Accepting connections, for every driver that learns of readiness.

When descriptors or memory run out, the connection stays in the listening socket's queue and the socket stays readable: trying on would
keep a core busy and fill the log. So the acceptor reports once, pauses for `RETRY_SECONDS`, and tries again. It reports again only after
it has accepted something in between.

`taken` and `made` hold what was accepted and not handed over yet. C functions fill these lists, because a signal handler may raise wherever
a call ends: the connection is in a list then, and the acceptor hands it over all the same.
"""

from __future__ import annotations

import errno
import os
import socket
from asyncio.trsock import TransportSocket
from itertools import starmap
from typing import Any

from cede.drivers.contract import Acceptor, AcceptSink
from cede.drivers.readiness import ReadinessDriver

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.drivers.constants import READ

RETRY_SECONDS = 1.0

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# The peer gave up while it waited in the queue, which the server cannot prevent.
PEER_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.ECONNRESET})

PLAIN = socket.socket
NATIVE = PLAIN.__mro__[1]
ONCE = ((),)  # the arguments of one call


def take_over(sock: Any, listening: Any, fd: int) -> int:
    """Turn the empty `sock` into the socket of `fd`, of the kind of `listening`, without the Python code of ``socket.socket``."""
    if sock.fileno() < 0:
        NATIVE.__init__(sock, FAMILY(listening), KIND(listening), listening.proto, fd)  # type: ignore[misc]
    sock._io_refs = 0
    sock._closed = False
    return 0


# These getters return plain numbers; the properties of socket.socket convert them into enumeration members each time.
FAMILY = NATIVE.__dict__["family"].__get__
KIND = NATIVE.__dict__["type"].__get__


class ListenAcceptor(Acceptor):
    """A listening socket. The acceptor accepts from it when it is readable."""

    def __init__(self, driver: ReadinessDriver, sock: Any, sink: AcceptSink, backlog: int) -> None:
        self.driver = driver
        self.sock = sock
        self.sink = sink
        self.backlog = max(backlog, 1)
        self.fd = sock.fileno()
        self.wanted = 0
        self.armed = 0
        self.edge = False
        self.generation = 0
        self.closed = False
        self.retry = None
        self.warned = False
        self.taken: list[Any] = []
        self.made: list[Any] = []
        self.handing = False

    def start(self) -> int:
        if self.closed:
            raise RuntimeError("cannot accept connections: the listening socket is closed")
        if self.retry is None:
            self.driver.set_interest(self, READ)
        return 0

    def stop(self) -> int:
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None
        if not self.closed:
            self.driver.set_interest(self, 0)
        return 0

    def close(self) -> int:
        if not self.closed:
            self.stop()
            self.closed = True
            self.driver.remove(self, self.sock.fileno() == self.fd)
            self.sock.close()
        return 0

    def fire(self, events: int) -> int:
        if not events & self.wanted:
            return self.driver.apply_interest(self)
        return self.accept_some()

    def accept_some(self) -> int:
        if self.handing:
            return 0  # a finalizer runs a turn by hand: the outer call hands over what it has accepted
        plain = type(self.sock) is PLAIN
        for _ in range(self.backlog):
            if not self.wanted:
                return 0  # the sink has stopped or closed this acceptor
            try:
                if plain:
                    self.taken.extend(starmap(self.sock._accept, ONCE))
                else:
                    self.taken.extend(starmap(self.sock.accept, ONCE))
            except (BlockingIOError, InterruptedError):
                return 0
            except OSError as error:
                if error.errno in PEER_GONE:
                    continue
                if error.errno in OUT_OF_RESOURCES:
                    return self.back_off(error)
                self.sink.accept_failed(error)
                return 0
            except (KeyboardInterrupt, SystemExit):
                self.hand_over_taken()
                raise
            try:
                self.hand_over_taken()
            except (KeyboardInterrupt, SystemExit):
                self.hand_over_taken()
                raise
        return 0

    def hand_over_taken(self) -> int:
        """Hand over what was accepted. After an interrupt, a second call does the rest."""
        if self.taken:
            self.warned = False
            self.driver.acted = True
        self.handing = True
        try:
            while self.taken:
                taken, address = self.taken[0]
                sock = taken
                if isinstance(taken, int):
                    if not self.made:
                        self.made.extend(map(PLAIN.__new__, (PLAIN,)))
                    sock = self.made[0]
                    try:
                        take_over(sock, self.sock, taken)
                    except (KeyboardInterrupt, SystemExit):
                        raise
                    except BaseException as error:
                        del self.taken[0]
                        del self.made[0]
                        os.close(taken)
                        self.driver.report(error, "Error on accepting a connection")
                        continue
                self.hand_over(sock, address)
                del self.taken[0]
                del self.made[:]
        finally:
            self.handing = False
        return 0

    def hand_over(self, sock: Any, address: Any) -> int:
        try:
            if sock.gettimeout() != 0.0:  # the socket may be non-blocking already
                sock.setblocking(False)
            self.sink.accepted(sock, address)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            sock.close()
            self.driver.report(error, "Error on accepting a connection")
        return 0

    def back_off(self, error: OSError) -> int:
        self.driver.set_interest(self, 0)
        self.retry = self.driver.kernel.call_later(RETRY_SECONDS, self.try_again)
        if not self.warned:
            self.warned = True
            self.driver.kernel.call_exception_handler(
                {
                    "message": "socket.accept() out of system resource",
                    "exception": error,
                    "socket": TransportSocket(self.sock),
                }
            )
        return 0

    def try_again(self) -> None:
        self.retry = None
        if not self.closed:
            self.driver.set_interest(self, READ)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "accepting" if self.wanted else "stopped"
        return f"<{type(self).__name__} {state} fd={self.fd}>"
