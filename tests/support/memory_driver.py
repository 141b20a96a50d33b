"""A driver in plain Python: a network in memory, without a descriptor. What `cede.drivers.python_driver` asks for, and no more.

Its order is fixed: what was sent first arrives first, one poll later. With a `Clock` of its own it waits by moving that on.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections import deque
from typing import Any

WINDOW = 64 * 1024  # bytes that one end takes before the other has read them
NAMES = {"server.test": "10.0.0.1", "localhost": "127.0.0.1"}


class Clock:
    """Time that passes while the driver waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


class MemorySocket:
    """What stands for a socket."""

    def __init__(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0) -> None:
        self.family = family
        self.type = kind
        self.proto = proto
        self.name: Any = ("0.0.0.0", 0)
        self.peer: Any = None
        self.end: End | None = None
        self.closed = False
        self.backlog = -1
        self.options: list[Any] = []

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def gettimeout(self) -> float:
        return 0.0

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)

    def getsockopt(self, *option: Any) -> int:
        return 0

    def getsockname(self) -> Any:
        return self.name

    def getpeername(self) -> Any:
        if self.peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self.peer

    def bind(self, address: Any) -> None:
        self.name = address

    def listen(self, backlog: int = 0) -> None:
        self.backlog = backlog

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.end is not None:
                self.end.close()


class End:
    """One end of a connection, which is also the stream that the loop asks."""

    def __init__(self, driver: MemoryDriver) -> None:
        self.driver = driver
        self.door: Any = None
        self.other: End = self
        self.receiving = False
        self.wants_room = False
        self.unread: deque[bytes | None] = deque()  # None: the end
        self.on_the_way = 0  # bytes that the other end sent and this one has not taken
        self.closed = False
        self.sent_end = False

    def resume(self) -> None:
        self.receiving = True
        self.driver.fly(self.take)

    def pause(self) -> None:
        self.receiving = False

    def write(self, data: Any) -> int:
        if self.other.closed:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        taken = min(len(data), WINDOW - self.other.on_the_way)
        if taken:
            self.other.on_the_way += taken
            self.driver.fly(self.other.arrive, bytes(memoryview(data)[:taken]))
        return taken

    def want_writable(self, on: bool) -> None:
        self.wants_room = on
        if on:
            self.driver.fly(self.tell_room)

    def shutdown_write(self) -> None:
        if not self.sent_end:
            self.sent_end = True
            self.driver.fly(self.other.arrive, None)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.shutdown_write()

    def arrive(self, data: bytes | None) -> None:
        self.unread.append(data)
        self.take()

    def take(self) -> None:
        while self.receiving and self.unread and self.door is not None:
            data = self.unread.popleft()
            if data is None:
                self.receiving = False
                self.door.deliver_eof()
            else:
                self.on_the_way -= len(data)
                self.door.deliver(data)
                self.driver.fly(self.other.tell_room)

    def tell_room(self) -> None:
        if self.wants_room and self.door is not None and (self.other.closed or self.other.on_the_way < WINDOW):
            self.door.deliver_room()


class Listener:
    def __init__(self, driver: MemoryDriver, sock: MemorySocket, door: Any) -> None:
        self.driver = driver
        self.sock = sock
        self.door = door
        self.open = False

    def start(self) -> None:
        self.open = True

    def stop(self) -> None:
        self.open = False

    def close(self) -> None:
        self.driver.listeners.pop(self.sock.name, None)


class Mailbox:
    """A datagram socket."""

    def __init__(self, driver: MemoryDriver, sock: MemorySocket, door: Any) -> None:
        self.driver = driver
        self.sock = sock
        self.door = door

    def resume(self) -> None:
        pass

    def pause(self) -> None:
        pass

    def want_writable(self, on: bool) -> None:
        if on:
            self.driver.fly(self.door.deliver_room)

    def send(self, data: Any, address: Any) -> int:
        target = self.driver.mailboxes.get(address or self.sock.peer)
        if target is None:
            self.driver.fly(self.door.deliver_datagram_error, ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
        else:
            self.driver.fly(target.door.deliver_from, bytes(data), self.sock.name)
        return 1

    def close(self) -> None:
        self.driver.mailboxes.pop(self.sock.name, None)


class MemoryDriver:
    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock
        self.loop: Any = None
        self.flying: deque[Any] = deque()
        self.listeners: dict[Any, Listener] = {}
        self.mailboxes: dict[Any, Mailbox] = {}
        self.woken = threading.Event()
        self.next_port = 40_000
        self.log: list[Any] = []
        self.closed = False

    def fly(self, function: Any, *args: Any) -> None:
        """It happens at the next poll."""
        self.flying.append((function, args))

    # -- what the loop asks

    def attach(self, loop: Any) -> None:
        self.loop = loop

    def wait(self, timeout: float) -> None:
        if not self.flying and timeout != 0.0:
            if self.clock is not None and timeout > 0.0:
                self.clock.now += timeout
            elif not self.woken.wait(None if timeout < 0 else timeout) and timeout < 0:
                raise AssertionError("nothing will ever happen")
        self.woken.clear()
        for _ in range(len(self.flying)):
            function, args = self.flying.popleft()
            function(*args)

    def wake(self) -> None:
        self.woken.set()

    def close(self) -> None:
        self.closed = True

    def port(self) -> int:
        self.next_port += 1
        return self.next_port

    def make_socket(self, family: int, kind: int, proto: int) -> MemorySocket:
        self.log.append(("socket", int(family), int(kind)))
        return MemorySocket(family, kind, proto)

    def resolve(self, host: Any, port: Any, family: int, kind: int, proto: int, flags: int) -> Any:
        self.log.append(("resolve", host, port))
        if host is None:
            host = "0.0.0.0"
        if host not in NAMES and not host[0].isdigit():
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is unknown")
        return [(socket.AF_INET, kind or socket.SOCK_STREAM, proto, "", (NAMES.get(host, host), int(port or 0)))]

    async def connect(self, sock: MemorySocket, address: Any) -> None:
        self.log.append(("connect", address))
        done = self.loop.create_future()
        self.fly(self.arrive, sock, address[:2], done)
        await done

    def arrive(self, sock: MemorySocket, address: Any, done: asyncio.Future[None]) -> None:
        sock.peer = address
        if not sock.name[1]:
            sock.name = ("10.0.0.2", self.port())
        if sock.type == socket.SOCK_STREAM:
            listener = self.listeners.get(address) or self.listeners.get(("0.0.0.0", address[1]))
            if listener is None:
                if not done.done():
                    done.set_exception(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
                return
            theirs = MemorySocket(sock.family, sock.type, sock.proto)
            theirs.name, theirs.peer = address, sock.name
            sock.end, theirs.end = End(self), End(self)
            sock.end.other, theirs.end.other = theirs.end, sock.end
            listener.door.deliver_connection(theirs, sock.name)
        if not done.done():
            done.set_result(None)

    def open_stream(self, sock: MemorySocket, door: Any) -> End:
        assert sock.end is not None
        sock.end.door = door
        return sock.end

    def open_acceptor(self, sock: MemorySocket, door: Any, backlog: int) -> Listener:
        host, port = sock.name[:2]
        sock.name = (host, port or self.port())
        listener = self.listeners[sock.name] = Listener(self, sock, door)
        return listener

    def open_datagrams(self, sock: MemorySocket, door: Any) -> Mailbox:
        host, port = sock.name[:2]
        sock.name = (host, port or self.port())
        mailbox = self.mailboxes[sock.name] = Mailbox(self, sock, door)
        return mailbox
