"""Statements of transports and their protocols: on pairs of sockets and through servers, with TLS and without; streams.

A protocol tells all that it is told, and runs what its program says where it is told of it.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import select
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support import certificates

from .world import Actor, Body, Told, World, named, pick, plain, waiting

numbers = itertools.count()

# Clients that their own servers spawn never end, but where there are no more descriptors: there asyncio tells of each turn without one.
CROWD = 30


class Connection(Told, asyncio.Protocol):
    """A protocol of the program, with its transport."""

    def __init__(self, world: World, name: str, parts: list[Body], keeps_open: bool) -> None:
        self.world = world
        self.name = name
        self.made, self.received, self.ended, self.lost = parts
        self.keeps_open = keeps_open
        self.sock: Any = None
        self.gone = False
        self.at_end = False
        self.receiving = False
        self.unable: tuple[str, ...] = ()  # the methods that its transport has not, on asyncio
        self.upgrades = False  # nobody touches it then: of a `start_tls` that fails asyncio does not tell the protocol
        world.connections.append(self)
        world.closers.append(self.abort)

    def is_closing(self) -> bool:
        """What is held until the end of the step fails then, where nobody is left to take it: here it leaves before it is asked."""
        if self.sock is not None and self.sock.fileno() >= 0 and "write" not in self.unable:
            look = select.poll()
            look.register(self.sock.fileno(), 0)
            if look.poll(0):
                self.transport.get_write_buffer_size()
        return bool(self.transport.is_closing())

    def is_secure(self) -> bool:
        return self.transport.get_extra_info("sslcontext") is not None

    def is_tcp(self) -> bool:
        sock = self.transport.get_extra_info("socket")
        return sock is not None and sock.family == socket.AF_INET

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.sock = transport.get_extra_info("socket")
        self.tell("is made", self.made)

    def data_received(self, data: bytes) -> None:
        self.receiving = True
        try:
            self.tell(f"receives {len(data)}", self.received)
        except BaseException:
            self.gone = self.is_secure()  # as in `eof_received`
            raise
        finally:
            self.receiving = False

    def eof_received(self) -> bool:
        # asyncio's TLS does not say then that it is closing, and drops what is written.
        self.gone = self.is_secure()
        self.at_end = True
        self.tell("is at its end", self.ended)
        return self.keeps_open

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self.tell(f"is lost by {named(error)}", self.lost)

    def pause_writing(self) -> None:
        self.tell("is full", [])

    def resume_writing(self) -> None:
        self.tell("has room", [])


def connection(world: World, index: int, method: str = "close") -> Any:
    """One whose transport can do that."""
    made = [each for each in world.connections if each.transport is not None and not each.upgrades and not each.gone]
    able = [each for each in made if method not in each.unable]
    return pick(able, index) if able else None


def is_reset(one: Connection) -> bool:
    """Whether the system has given the connection up, which its transport does not know yet."""
    sock = one.transport.get_extra_info("socket")
    if sock is None:
        return False
    try:
        sock.getpeername()
    except OSError:
        return True
    return False


def sockets(world: World) -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for each in pair:
        each.setblocking(False)
        world.sockets.append(each)
    return pair


@functools.cache
def contexts() -> tuple[Any, Any]:
    return certificates.server_context(), certificates.client_context()


def for_tls(parts: list[Body]) -> list[Body]:
    """asyncio's TLS lets nothing be written when it tells of the end, where the peer has not said goodbye; and where connection_made raises
    it closes, which its plain transports do not.
    """
    made, received, _, lost = parts
    return [[statement for statement in made if statement[0] != "fail"], received, [], lost]


@waiting
async def connect(world: World, me: Actor, where: str, parts: list[Body], keeps_open: bool, secure: bool) -> None:
    """Two transports on a pair of sockets."""
    one, other = sockets(world)
    loop = world.loop
    # A connection that outlives the end of what it receives: TLS has no such thing.
    if secure:
        parts = for_tls(parts)
    make_one = functools.partial(Connection, world, f"{where}c", parts, keeps_open and not secure)
    make_other = functools.partial(Connection, world, f"{where}s", [[], parts[3], [], []], not (keeps_open or secure))
    if not secure:
        await loop.connect_accepted_socket(make_other, other)
        world.touch()
        world.tell(f"{where} half")
        await loop.create_unix_connection(make_one, sock=one)
        return
    server, client = contexts()
    serving = world.loop.create_task(loop.connect_accepted_socket(make_other, other, ssl=server))
    await loop.create_unix_connection(make_one, sock=one, ssl=client, server_hostname="localhost")
    world.touch()
    world.tell(f"{where} half")
    await serving


@waiting
async def connect_to_end(world: World, me: Actor, where: str, parts: list[Body], keeps_open: bool) -> None:
    """A transport whose peer is a bare socket."""
    from .sockets import End

    one, other = sockets(world)
    world.ends.append(End(world, other))
    make_one = functools.partial(Connection, world, f"{where}c", parts, keeps_open)
    await world.loop.create_unix_connection(make_one, sock=one)


@waiting
async def upgrade(world: World, me: Actor, where: str, parts: list[Body]) -> None:
    """Two plain transports, and then TLS on both. Nothing cancels it: asyncio's protocol would not hear of the end."""
    await asyncio.shield(world.loop.create_task(upgraded(world, where, parts)))


async def upgraded(world: World, where: str, parts: list[Body]) -> None:
    one, other = sockets(world)
    loop = world.loop
    server, client = contexts()
    parts_of_server: list[Body] = [[], [], [], []]
    server_protocol = Connection(world, f"{where}s", parts_of_server, False)
    protocol = Connection(world, f"{where}c", for_tls(parts), False)
    server_protocol.upgrades = protocol.upgrades = True
    there, _ = await loop.connect_accepted_socket(lambda: server_protocol, other)
    here, _ = await loop.create_unix_connection(lambda: protocol, sock=one)
    world.touch()
    serving = world.loop.create_task(loop.start_tls(there, server_protocol, server, server_side=True))
    protocol.transport = await loop.start_tls(here, protocol, client, server_hostname="localhost")
    world.touch()
    world.tell(f"{where} half")
    server_protocol.transport = await serving
    server_protocol.upgrades = protocol.upgrades = False


@waiting
async def serve(world: World, me: Actor, where: str, parts: list[Body], keeps_open: bool) -> None:
    """A server, whose connections do what `parts` say."""
    path = new_path(world)
    serving = Serving(path)
    serving.server = await world.loop.create_unix_server(serving_factory(world, where, parts, keeps_open, serving), path)
    world.servers.append(serving)
    world.closers.append(serving.server.close)


@waiting
async def serve_tcp(world: World, me: Actor, where: str, parts: list[Body], keeps_open: bool) -> None:
    serving = Serving(None)
    serving.server = await world.loop.create_server(serving_factory(world, where, parts, keeps_open, serving), "127.0.0.1", 0)
    serving.address = serving.server.sockets[0].getsockname()
    world.servers.append(serving)
    world.closers.append(serving.server.close)


def new_path(world: World) -> str:
    """For a Unix socket. Linux has names that are in no folder: to make and remove folders takes longer than most programs."""
    if sys.platform == "linux":
        return f"\0cede-differential-{os.getpid()}-{next(numbers)}"
    folder = tempfile.TemporaryDirectory(prefix="cede-")
    world.closers.append(folder.cleanup)
    return str(Path(folder.name, "socket"))


class Serving:
    """A server, and how many clients are on their way into it."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.server: Any = None
        self.coming = 0


def serving_factory(world: World, where: str, parts: list[Body], keeps_open: bool, serving: Serving) -> Any:
    count = 0

    def make() -> Connection:
        nonlocal count
        count += 1
        serving.coming -= 1
        return Connection(world, f"{where}s{count}", parts, keeps_open)

    return make


@waiting
async def visit(world: World, me: Actor, where: str, index: int, parts: list[Body], keeps_open: bool) -> Any:
    """A client of one of the servers."""
    if not world.servers:
        return "no server"
    if len(world.connections) > CROWD:
        return "too many"
    serving = pick(world.servers, index)
    address = serving.address
    serving.coming += 1
    make = functools.partial(Connection, world, f"{where}c", parts, keeps_open)
    try:
        if isinstance(address, str):
            await world.loop.create_unix_connection(make, address)
        else:
            await world.loop.create_connection(make, *address)
    except OSError as error:
        serving.coming -= 1
        return named(error)
    return None


@plain
def close_server(world: World, me: Actor, where: str, index: int) -> Any:
    if not world.servers:
        return "no server"
    serving = pick(world.servers, index)
    if serving.coming:
        return "others come"  # asyncio's server loses sight of them; cede's closes them
    serving.server.close()
    return None


@plain
def write(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    one = connection(world, index, "write")
    if one is None or one.is_closing():
        return "not open"
    if size > 10_000 and (one.is_secure() or one.is_tcp()):
        return "too much"  # cede's TLS sends no more than 64 KiB in one step; what TCP takes depends on time
    try:
        one.transport.write(bytes(size))
    except RuntimeError as error:
        return named(error)
    return one.name


@plain
def write_pieces(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    one = connection(world, index, "writelines")
    if one is None or one.is_closing():
        return "not open"
    try:
        one.transport.writelines([bytes(size), b"", bytes(1)])
    except RuntimeError as error:
        return named(error)
    return one.name


@plain
def write_end(world: World, me: Actor, where: str, index: int) -> Any:
    one = connection(world, index, "write_eof")
    if one is None or one.is_closing() or not one.transport.can_write_eof():
        return "not open"
    if is_reset(one):
        return "reset"  # asyncio raises the system's error, and tells the protocol nothing
    one.transport.write_eof()
    return one.name


@plain
def last_words(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    """Data, and the end with it: one look finds both."""
    return f"{write(world, me, where, index, size)} {write_end(world, me, where, index)}"


@plain
def close(world: World, me: Actor, where: str, index: int) -> Any:
    one = connection(world, index)
    if one is None:
        return None
    if one.is_secure() and one.is_closing():
        return "closes"  # asyncio's TLS transport lets go of its protocol at the second close, and its abort does nothing then
    one.transport.close()
    return f"{one.name} {one.is_closing()}"


@plain
def abort(world: World, me: Actor, where: str, index: int) -> Any:
    one = connection(world, index, "abort")
    if one is None:
        return None
    if one.receiving and one.is_secure():
        return "receives"  # asyncio's TLS tells of the end after that, where it came in the same piece
    one.transport.abort()
    return one.name


@plain
def pause(world: World, me: Actor, where: str, index: int) -> Any:
    one = connection(world, index, "pause_reading")
    if one is None or one.is_closing() or one.is_secure():
        return None  # asyncio's TLS receives on while it is paused, and keeps that; in connection_made it does not end its handshake
    one.transport.pause_reading()
    return one.name if one.is_closing() else f"{one.name} {one.transport.is_reading()}"


@plain
def resume(world: World, me: Actor, where: str, index: int) -> Any:
    one = connection(world, index, "resume_reading")
    if one is None or (one.is_closing() and one.is_secure()):
        return None
    if one.at_end:
        return "at its end"  # asyncio tells it of the end once more
    one.transport.resume_reading()
    return one.name if one.is_closing() else f"{one.name} {one.transport.is_reading()}"


@plain
def limits(world: World, me: Actor, where: str, index: int, high: int) -> Any:
    one = connection(world, index, "set_write_buffer_limits")
    if one is None or one.is_secure():
        return None  # asyncio's TLS says "full" where its handshake waits
    if one.transport.get_extra_info("pipe") is None:
        one.transport.set_write_buffer_limits(high)
    else:
        one.transport.set_write_buffer_limits(high, 0)  # asyncio's pipe has room when nothing waits, whatever its lower limit
    return one.name


@waiting
async def streams(world: World, me: Actor, where: str) -> None:
    """A reader and a writer at each end of a pair of sockets."""
    for sock in sockets(world):
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=1000)
        world.touch()
        world.streams.append((reader, writer))
        world.closers.append(writer.transport.abort)


@waiting
async def serve_streams(world: World, me: Actor, where: str, rounds: int) -> None:
    """A server whose handler, a task for each connection, gives lines back."""
    path = new_path(world)

    async def handle(reader: Any, writer: Any) -> None:
        world.closers.append(writer.transport.abort)
        world.touch()
        world.tell(f"{where} has a client")
        try:
            for _ in range(rounds):
                line = await reader.readline()
                world.touch()
                world.tell(f"{where} got {len(line)}")
                writer.write(line)
                await writer.drain()
        except (ValueError, ConnectionError) as error:
            world.tell(f"{where} ends by {named(error)}")
        finally:
            writer.close()

    server = await asyncio.start_unix_server(handle, path, limit=1000)
    world.stream_servers.append(path)
    world.closers.append(server.close)


@waiting
async def visit_streams(world: World, me: Actor, where: str, index: int) -> Any:
    if not world.stream_servers:
        return "no server"
    reader, writer = await asyncio.open_unix_connection(pick(world.stream_servers, index), limit=1000)
    world.touch()
    world.streams.append((reader, writer))
    world.closers.append(writer.transport.abort)
    return None


@plain
def send_line(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    if not world.streams:
        return "no stream"
    writer = pick(world.streams, index)[1]
    if not writer.is_closing():
        writer.write(bytes(size) + b"\n")
    return None


@plain
def close_stream(world: World, me: Actor, where: str, index: int) -> Any:
    if world.streams:
        pick(world.streams, index)[1].close()
    return None


@waiting
async def drain(world: World, me: Actor, where: str, index: int) -> Any:
    if not world.streams:
        return "no stream"
    try:
        await pick(world.streams, index)[1].drain()
    except ConnectionError as error:
        return named(error)
    return None


@waiting
async def wait_closed(world: World, me: Actor, where: str, index: int) -> Any:
    if not world.streams:
        return "no stream"
    writer = pick(world.streams, index)[1]
    if not writer.is_closing():
        return "not closing"
    try:
        await writer.wait_closed()
    except ConnectionError as error:
        return named(error)
    return None


@waiting
async def read(world: World, me: Actor, where: str, index: int, how: int) -> Any:
    if not world.streams:
        return "no stream"
    reader = pick(world.streams, index)[0]
    if reader in world.read_from:
        return "is busy"
    world.read_from.add(reader)
    try:
        if how == 0:
            return len(await reader.read(100))
        if how == 1:
            return len(await reader.readline())
        return len(await reader.readexactly(10))
    except (asyncio.IncompleteReadError, ValueError, ConnectionError) as error:
        return named(error)
    finally:
        world.read_from.discard(reader)
