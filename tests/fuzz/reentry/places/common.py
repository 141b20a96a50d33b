"""What several places are made of."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import cede

from ..world import Link, Planned, Script, World


class Finalized:
    """Runs a script where it dies."""

    me: Any = None

    def __init__(self, world: World, script: Script | None) -> None:
        self.world = world
        self.script = script

    def __del__(self) -> None:
        self.world.act(self.script, self)


class Called:
    """A callback whose comparison and hash are scripts as well."""

    def __init__(self, world: World, script: Script) -> None:
        self.world = world
        self.script = script

    def __call__(self, *args: Any) -> None:
        self.world.act(self.script, self)

    def __eq__(self, other: object) -> bool:
        self.world.act(self.script, self)
        return self is other

    def __hash__(self) -> int:
        self.world.act(self.script, self)
        return 1


def start(world: World, coroutine: Any) -> Any:
    """Run what makes a connection as a task of the program, which may be cancelled."""

    async def guarded() -> None:
        with contextlib.suppress(OSError, Planned, RuntimeError, TimeoutError, ValueError):
            await coroutine

    task = world.loop.create_task(guarded())
    world.tasks.append(task)
    return task


def link(world: World) -> Link:
    made = Link(len(world.links))
    made.overtaken = world.overtakes
    world.links.append(made)
    return made


def pair(world: World) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    for sock in (one, other):
        sock.setblocking(False)
        world.ends.append(sock.close)
    return one, other


def known(world: World, transport: Any) -> None:
    world.transports.append(transport)


class Finish:
    def __init__(self, world: World, script: Script, future: Any) -> None:
        self.world = world
        self.script = script
        self.future = future

    def __del__(self) -> None:
        if not self.future.done():
            try:
                self.future.set_result(None)
            except RuntimeError:
                pass
        self.world.act(self.script)


def print_nothing(*args: Any) -> None:
    pass


def settle(future: Any) -> None:
    if not future.done():
        future.set_result(None)


async def nap() -> None:
    await cede.sleep(0)
