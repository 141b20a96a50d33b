"""Protocols, readers and writers: streams, TLS, datagrams, pipes, servers, children."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import cede
from tests.support.certificates import client_context, server_context

from ..world import Link, Script, World
from .common import known, link, pair, start


class Base:
    """What the protocols have in common."""

    may_be_buffered = True

    def __init__(self, world: World, script: Script, mine: Link, theirs: Link) -> None:
        self.world = world
        self.script = script
        self.mine = mine  # what it sends
        self.theirs = theirs  # what it receives
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.mine.made += 1
        self.world.transports.append(transport)
        self.world.act(self.script, self)

    def connection_lost(self, error: Any) -> None:
        self.mine.lost += 1
        self.world.act(self.script, self)

    def pause_writing(self) -> None:
        self.world.act(self.script, self)

    def resume_writing(self) -> None:
        self.world.act(self.script, self)

    def write(self, size: int) -> None:
        transport = self.transport
        if transport is None or transport.is_closing() or self.mine.unsure or not hasattr(transport, "write"):
            return
        if self.mine.writing:
            self.mine.overtaken = True  # a finalizer runs a turn in the middle of another write: either may go first
        self.mine.writing = True
        piece = self.mine.piece(size)
        self.mine.sent += len(piece)
        try:
            if size % 2:
                transport.write(piece)
            else:
                transport.writelines([piece[: size // 2], bytearray(piece[size // 2 :])])
        except BaseException:
            self.mine.unsure = True
            raise
        finally:
            self.mine.writing = False

    def replaced(self, buffered: bool) -> None:
        new = (Buffered if buffered and self.may_be_buffered else Plain)(self.world, self.script, self.mine, self.theirs)
        new.transport = self.transport
        new.may_be_buffered = self.may_be_buffered
        self.world.protocols.append(new)
        self.transport.set_protocol(new)


class Plain(Base, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        wrong = self.theirs.check(data)
        if wrong:
            self.world.wrong(wrong)
        self.world.act(self.script, self)

    def eof_received(self) -> Any:
        self.world.act(self.script, self)
        return self.script.position % 2 == 0


class Buffered(Base, asyncio.BufferedProtocol):
    buffer = b""
    asked = 0

    def get_buffer(self, hint: int) -> Any:
        self.world.act(self.script, self)
        self.asked += 1  # always the smallest, megabytes would take minutes
        self.buffer = bytearray((1, 100, 70_000)[(self.script.position + self.asked) % 3])  # type: ignore[assignment]
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        wrong = self.theirs.check(self.buffer[:count])
        if wrong:
            self.world.wrong(wrong)
        self.world.act(self.script, self)

    def eof_received(self) -> Any:
        self.world.act(self.script, self)
        return self.script.position % 2 == 0


def talk(world: World, one: Any, other: Any) -> None:
    """Both ends write a little each turn."""

    def tick() -> None:
        if world.turn % 2:
            one.write((10, 3001)[world.turn % 3 == 0])
        else:
            other.write(11)

    world.ticks.append(tick)


def stream(world: World, script: Script, ssl: bool = False) -> None:
    one, other = pair(world)
    there, back = link(world), link(world)
    left, right = Plain(world, script, there, back), Buffered(world, script, back, there)
    world.protocols += [left, right]
    loop = world.loop

    async def connect(protocol: Any, sock: Any, server: bool) -> None:
        options: dict[str, Any] = {}
        if ssl:
            options = {"ssl": server_context() if server else client_context()}
            if not server:
                options["server_hostname"] = "localhost"
        if server:
            await loop.connect_accepted_socket(lambda: protocol, sock, **options)
        else:
            await loop.create_connection(lambda: protocol, sock=sock, **options)

    start(world, connect(left, one, False))
    start(world, connect(right, other, True))
    talk(world, left, right)


def tls(world: World, script: Script) -> None:
    stream(world, script, True)


def datagrams(world: World, script: Script) -> None:
    """Two endpoints, and a socket that sends to both: each must be told of its own, in order."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.bind(("127.0.0.1", 0))
    plain.setblocking(False)
    world.ends.append(plain.close)
    ends = [Datagrams(world, script, link(world)) for _ in range(2)]
    loop = world.loop

    async def open_one(end: Datagrams) -> None:
        await loop.create_datagram_endpoint(lambda: end, local_addr=("127.0.0.1", 0))

    for end in ends:
        start(world, open_one(end))

    def tick() -> None:
        tick.burst(15 if world.turn % 5 == 0 else 2)  # type: ignore[attr-defined]

    def burst(count: int) -> None:
        for _ in range(count):
            for end in ends:
                if end.address is not None:
                    end.number += 1
                    try:
                        plain.sendto(b"%d %d" % (end.mine.tag, end.number), end.address)
                    except OSError:
                        pass  # no room, or the system lacks something: the next number is as good

    tick.burst = burst  # type: ignore[attr-defined]
    world.ticks.append(tick)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, world: World, script: Script, mine: Link) -> None:
        self.world = world
        self.script = script
        self.mine = mine
        self.transport: Any = None
        self.address: Any = None
        self.number = 0
        self.seen = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.mine.made += 1
        self.world.transports.append(transport)
        self.address = transport.get_extra_info("sockname")
        self.world.act(self.script, self)

    def connection_lost(self, error: Any) -> None:
        self.mine.lost += 1
        self.world.act(self.script, self)

    def datagram_received(self, data: bytes, address: Any) -> None:
        wrong = self.check(data)
        if wrong:
            self.world.wrong(wrong)
        self.world.act(self.script, self)

    def check(self, data: bytes) -> str | None:
        tag, number = map(int, data.split()) if data.count(b" ") == 1 else (-1, -1)
        late = number <= self.seen and not self.mine.overtaken
        seen, self.seen = self.seen, number
        if tag != self.mine.tag or late or number > self.number:
            return f"datagrams of {self.mine.tag}: {data!r} came, after number {seen} of {self.number}"
        return None

    def error_received(self, error: Any) -> None:
        self.world.act(self.script, self)


def pipe(world: World, script: Script) -> None:
    out, into = os.pipe()
    left, right = link(world), link(world)
    reading, writing = Plain(world, script, right, left), Plain(world, script, left, right)
    reading.may_be_buffered = writing.may_be_buffered = False  # the transports of pipes know `data_received` alone
    loop = world.loop

    async def connect() -> None:
        await loop.connect_read_pipe(lambda: reading, os.fdopen(out, "rb", 0))
        await loop.connect_write_pipe(lambda: writing, os.fdopen(into, "wb", 0))

    world.protocols.append(writing)
    start(world, connect())
    world.ticks.append(lambda: writing.write(100))


def server(world: World, script: Script) -> None:
    loop = world.loop
    opened: list[Any] = []

    def make() -> Any:
        world.act(script)
        return Plain(world, script, link(world), Link(0))

    async def serve() -> None:
        found = await loop.create_server(make, "127.0.0.1", 0, backlog=20)
        opened.append(found)
        world.ends.append(found.close)

    def tick() -> None:
        if not opened or world.turn % 2:
            return
        if opened[0].sockets:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(opened[0].sockets[0].getsockname())
            sock.close() if world.turn % 3 == 0 else world.ends.append(sock.close)

    start(world, serve())
    world.ticks.append(tick)


def process(world: World, script: Script) -> None:
    class Protocol(asyncio.SubprocessProtocol):
        transport: Any = None

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            world.act(script, self)

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            world.act(script, self)

        def pipe_connection_lost(self, fd: int, error: Any) -> None:
            world.act(script, self)

        def process_exited(self) -> None:
            world.act(script, self)

        def connection_lost(self, error: Any) -> None:
            world.act(script, self)

    async def spawn() -> None:
        transport, _ = await world.loop.subprocess_exec(Protocol, "/bin/cat")
        world.ends.append(transport.close)
        pipe = transport.get_pipe_transport(0)
        world.ticks.append(lambda: pipe.write(b"x" * 1000))

    start(world, spawn())


def watched(world: World, script: Script) -> None:
    """Readers and writers of sockets, which the program replaces, and closes behind the loop's back."""
    world.sockets.extend(pair(world))
    loop = world.loop

    def tick() -> None:
        one, other = world.sockets[0], world.sockets[1]
        if one.fileno() < 0 or other.fileno() < 0:
            world.sockets[:2] = pair(world)
            return
        if world.turn % 4 == 1:
            loop.add_reader(one, world.act, script)
            loop.add_writer(one, world.act, script)
        elif world.turn % 4 == 2:
            other.send(b"x")
        elif world.turn % 4 == 3:
            loop.remove_writer(one)
        elif world.turn % 8 == 0:
            loop.remove_reader(one)

    world.ticks.append(tick)


def streams(world: World, script: Script) -> None:
    """Readers and writers over a pair, with a task on each side."""
    one, other = pair(world)

    async def side(sock: Any, first: bool) -> None:
        reader, writer = await cede.open_connection(sock=sock)
        known(world, writer.transport)
        world.act(script)
        try:
            for round_ in range(10):
                if first:
                    writer.write(b"line\n" * (round_ + 1))
                    world.act(script)
                    await writer.drain()
                else:
                    await cede.wait_for(reader.readline(), 0.05)
                    world.act(script)
        finally:
            writer.close()

    for sock, first in ((one, True), (other, False)):
        start(world, side(sock, first))
