"""Statements of what else a loop knows: datagrams, pipes, signals."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
from typing import Any

from .connections import Connection
from .world import Actor, Body, Told, World, named, pick, plain, waiting

# -- datagrams


class Endpoint(Told, asyncio.DatagramProtocol):
    """One of two that send datagrams to each other.

    One datagram at a time is on its way to each, and none is sent to who is just being told of one: of several that wait, cede tells
    up to 16 in one turn, asyncio one.
    """

    def __init__(self, world: World, name: str, received: Body, failed: Body, lost: Body) -> None:
        self.world = world
        self.name = name
        self.received = received
        self.failed = failed
        self.lost = lost
        self.other: Endpoint | None = None
        self.coming = 0
        self.gone = False
        world.endpoints.append(self)
        world.closers.append(self.abort)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.tell("is made", [])

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.tell(f"receives {len(data)}", self.received)
        self.coming -= 1

    def error_received(self, error: Exception) -> None:
        self.tell(f"hears of {named(error)}", self.failed)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self.tell(f"is lost by {named(error)}", self.lost)


def endpoint(world: World, index: int) -> Any:
    made = [each for each in world.endpoints if each.transport is not None and not each.gone]
    return pick(made, index) if made else None


@waiting
async def endpoints(world: World, me: Actor, where: str, received: Body, failed: Body, lost: Body) -> None:
    """Two endpoints on sockets that know each other."""
    pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in pair:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        world.sockets.append(sock)
    pair[0].connect(pair[1].getsockname())
    pair[1].connect(pair[0].getsockname())
    made = []
    for sock, letter in zip(pair, "ab", strict=True):
        make = functools.partial(Endpoint, world, f"{where}{letter}", received, failed, lost)
        made.append((await world.loop.create_datagram_endpoint(make, sock=sock))[1])
        world.touch()
        world.tell(f"{where} {letter}")
    made[0].other, made[1].other = made[1], made[0]


@plain
def send_datagram(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    one = endpoint(world, index)
    if one is None or one.transport.is_closing() or one.other is None:
        return "not open"
    if one.other.coming:
        return "one is on its way"
    one.other.coming += not one.other.transport.is_closing()
    one.transport.sendto(bytes(size))
    return one.name


@plain
def close_endpoint(world: World, me: Actor, where: str, index: int) -> Any:
    one = endpoint(world, index)
    if one is None:
        return None
    one.transport.close()
    return f"{one.name} {one.transport.is_closing()}"


@plain
def abort_endpoint(world: World, me: Actor, where: str, index: int) -> Any:
    one = endpoint(world, index)
    if one is None:
        return None
    one.transport.abort()
    return one.name


# -- pipes

NOT_TO_READ = ("write", "writelines", "write_eof", "abort", "set_write_buffer_limits")
NOT_TO_WRITE = ("pause_reading", "resume_reading")


class PipeEnd(Connection):
    """The protocol of one end."""

    def __init__(self, world: World, name: str, parts: list[Body], unable: tuple[str, ...]) -> None:
        super().__init__(world, name, parts, False)
        self.unable = unable

    def connection_made(self, transport: Any) -> None:
        if "write" not in self.unable:
            # asyncio's has room when all is written, whatever the lower limit says; cede's obeys that.
            transport.set_write_buffer_limits(65536, 0)
        super().connection_made(transport)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.close()
            if "abort" not in self.unable:
                self.transport.abort()


@waiting
async def pipe(world: World, me: Actor, where: str, parts: list[Body], lost: Body) -> None:
    """A transport at each end of a pipe. What is done to connections is done to these too, as far as they can."""
    there, here = os.pipe()
    files = os.fdopen(there, "rb", 0), os.fdopen(here, "wb", 0)
    world.files.extend(files)
    await world.loop.connect_read_pipe(functools.partial(PipeEnd, world, f"{where}r", parts, NOT_TO_READ), files[0])
    world.touch()
    world.tell(f"{where} half")
    await world.loop.connect_write_pipe(functools.partial(PipeEnd, world, f"{where}w", [[], [], [], lost], NOT_TO_WRITE), files[1])


# -- signals

# One at a time, and none in the turns behind one that was told, or behind `call_soon_threadsafe`. These ring asyncio's bell, which it
# answers in the middle of the next turn, and there it hears of a signal that something in that turn has sent; ours hears of it when it
# looks at the world, behind that turn. (With a bell that does not ring asyncio does the same.)

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)


@plain
def on_signal(world: World, me: Actor, where: str, index: int, body: Body) -> None:
    """From now on the signal runs this."""
    number = SIGNALS[index % len(SIGNALS)]
    if number not in world.signals:
        world.signals.add(number)
        world.closers.append(functools.partial(world.loop.remove_signal_handler, number))
    callback = world.callback(body, f"{where}!")

    def hear() -> None:
        world.ring(2)
        callback()

    world.loop.add_signal_handler(number, hear)


@plain
def send_signal(world: World, me: Actor, where: str, index: int) -> Any:
    if not world.signals:
        return "nobody hears it"
    if world.bells:
        return "not now"
    world.ring(4)  # it is told two turns later, and rings the bell
    os.kill(os.getpid(), pick(sorted(world.signals), index))
    return None


@plain
def off_signal(world: World, me: Actor, where: str, index: int) -> Any:
    if not world.signals:
        return None
    number = pick(sorted(world.signals), index)
    world.signals.discard(number)
    return world.loop.remove_signal_handler(number)
