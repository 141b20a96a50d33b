"""Statements of bare sockets: the loop's socket operations, readers and writers. Each socket has its peer in the same program, so what was
sent before a poll is there in that poll.

One operation a direction is under way on a socket: of two, asyncio forgets the first. None sends so much that it has to wait: what is left
is sent by cede in the step in which the operation ends, so that a cancelled one sends nothing any more, and by asyncio as soon as there is
room. Each takes a byte: asyncio takes what is there when it is told, and loses that where the operation is cancelled before it ends; cede
takes what is there when it ends, which may be more.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from .world import Actor, Body, World, named, plain, waiting

PAIRS = 2


class End:
    """One end of a pair of sockets."""

    def __init__(self, world: World, sock: socket.socket) -> None:
        self.world = world
        self.sock = sock
        self.reads = ""
        self.writes = ""
        sock.setblocking(False)
        world.closers.append(self.close)

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            for forget in (self.world.loop.remove_reader, self.world.loop.remove_writer):
                forget(self.sock)
            self.sock.close()

    def read(self) -> str:
        """What is there."""
        try:
            return str(len(self.sock.recv(65536)))
        except OSError as error:
            return named(error)


def end(world: World, index: int) -> End:
    """One of the ends, which are made when the first is asked for."""
    if not world.ends:
        world.ends = [End(world, sock) for _ in range(PAIRS) for sock in socket.socketpair()]
    found: End = world.ends[index % len(world.ends)]
    return found


@waiting
async def sock_send(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    one = end(world, index)
    if one.writes:
        return "is busy"
    one.writes = "operation"
    try:
        await world.loop.sock_sendall(one.sock, bytes(size))
    except (BrokenPipeError, ConnectionError) as error:
        return named(error)
    finally:
        one.writes = ""
    return size


@waiting
async def sock_receive(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    one = end(world, index)
    if one.reads:
        return "is busy"
    one.reads = "operation"
    try:
        # An end and a reset are not told apart: the one may become the other before the operation ends.
        answer = len(await world.loop.sock_recv(one.sock, size)) or "the end"
    except ConnectionError:
        answer = "the end"
    except asyncio.CancelledError:
        raise  # `reads` stays: what asyncio's operation had taken by then is gone, and nobody is to look for it
    one.reads = ""
    return answer


@plain
def send_now(world: World, me: Actor, where: str, index: int, size: int) -> Any:
    if not world.may_act_past_the_loop():
        return "not now"
    try:
        return end(world, index).sock.send(bytes(size))
    except OSError as error:
        return named(error)


@plain
def finish_sending(world: World, me: Actor, where: str, index: int) -> Any:
    one = end(world, index)
    if one.writes:
        return "is busy"
    if not world.may_act_past_the_loop():
        return "not now"
    try:
        one.sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        return named(error)
    return None


@plain
def add_reader(world: World, me: Actor, where: str, index: int, late: int, times: int, body: Body) -> Any:
    """A reader that does not read what is there the first `late` times that it is told, and that reads `times` times."""
    one = end(world, index)
    if one.reads:
        return "is busy"
    one.reads = "reader"
    told = 0

    def readable() -> None:
        nonlocal told
        told += 1
        world.touch()
        world.tell(f"{where}! {one.read() if told > late else 'later'}")
        if told >= late + times:
            world.loop.remove_reader(one.sock)
            one.reads = ""
        world.run_now(body, f"{where}!{told}")

    world.loop.add_reader(one.sock, readable)
    return None


@plain
def remove_reader(world: World, me: Actor, where: str, index: int) -> Any:
    one = end(world, index)
    if one.reads == "operation":
        return "is busy"
    removed = world.loop.remove_reader(one.sock)
    if removed:
        one.reads = ""
    return removed


@plain
def replace_reader(world: World, me: Actor, where: str, index: int, late: int, times: int, body: Body) -> Any:
    """Another reader in the place of one that the poll, but not yet the loop, has told of: in the turn in which its data is seen."""

    def replace() -> None:
        world.touch()
        one = end(world, index)
        if one.reads == "reader":
            one.reads = ""
        world.tell(f"{where} replaced {add_reader(world, me, where, index, late, times, body)}")

    async def send_and_replace() -> None:
        other = end(world, index % (2 * PAIRS) ^ 1)
        if not other.writes:
            with contextlib.suppress(OSError):
                await world.loop.sock_sendall(other.sock, b"x")
        world.loop.call_soon(replace)

    world.unnamed.append(world.loop.create_task(send_and_replace()))


@plain
def add_writer(world: World, me: Actor, where: str, index: int, times: int, body: Body) -> Any:
    one = end(world, index)
    if one.writes:
        return "is busy"
    one.writes = "writer"
    told = 0

    def writable() -> None:
        nonlocal told
        told += 1
        world.touch()
        world.tell(f"{where}! writable")
        if told >= times:
            world.loop.remove_writer(one.sock)
            one.writes = ""
        world.run_now(body, f"{where}!{told}")

    world.loop.add_writer(one.sock, writable)
    return None


@plain
def remove_writer(world: World, me: Actor, where: str, index: int) -> Any:
    one = end(world, index)
    if one.writes == "operation":
        return "is busy"
    removed = world.loop.remove_writer(one.sock)
    if removed:
        one.writes = ""
    return removed
