"""What a step holds, where a send or a clock runs the program, which writes, fails or runs a turn by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.bursts import arrived, bursts
from tests.support.driver_worlds import OURS, Notes, World, connect

pytestmark = pytest.mark.usefixtures("steps_are_short")

each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


class Wild(socket.socket):
    """Sends by way of the program."""

    hook: Callable[[], None]

    def send(self, data: Any, *flags: Any) -> int:
        self.hook()
        return super().send(data, *flags)

    def sendmsg(self, *args: Any) -> int:
        self.hook()
        return super().sendmsg(*args)


async def connect_wild() -> tuple[Any, Wild, socket.socket]:
    """A transport over a wild socket, which does nothing yet, that socket, and the other end; pieces are held."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    wild = Wild(fileno=near.detach())
    wild.hook = lambda: None
    transport, _ = await asyncio.get_running_loop().create_connection(Notes, sock=wild)
    await bursts(transport, far)
    return transport, wild, far


@each_of_ours
def test_a_send_that_takes_its_time_is_no_lesson(world: World) -> None:
    """Where the receiver gets the CPU at once the sender has to wait for it, and the step was over before."""

    async def main() -> None:
        transport, wild, far = await connect_wild()
        loop: Any = asyncio.get_running_loop()
        clock = loop.time

        def hook() -> None:
            loop.time = lambda: clock() + 1

        wild.hook = hook
        await bursts(transport, far, 1)
        transport.write(b"held")
        assert arrived(far) == b""
        transport.close()
        far.close()

    world.run(main)


@each_of_ours
def test_a_clock_that_fails_loses_nothing(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        loop: Any = asyncio.get_running_loop()
        told: list[Any] = []
        loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))
        clock = loop.time

        def broken() -> float:
            loop.time = clock
            raise ZeroDivisionError

        transport.write(b"head")
        transport.write(b"body")
        loop.time = broken
        await asyncio.sleep(0)
        assert arrived(far) == b"headbody"
        assert told == [ZeroDivisionError]
        transport.close()
        far.close()

    world.run(main)


@each_of_ours
def test_what_is_sent_between_two_steps_may_run_the_program(world: World) -> None:
    """It may write, and run a turn by hand: what others have held leaves meanwhile, and in order."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, wild, gate = await connect_wild()
        (second, one), (third, other) = [await connect(Notes()) for _ in range(2)]
        for transport, far in ((second, one), (third, other)):
            await bursts(transport, far)
        seen: list[Any] = []

        def hook() -> None:
            wild.hook = lambda: None
            third.write(b"3")
            seen.append((arrived(one), arrived(other)))
            loop._run_once()
            seen.append((arrived(one), arrived(other)))
            first.write(b" behind")

        wild.hook = hook
        first.write(b"held")
        second.write(b"2")
        loop.call_soon(lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == [(b"", b""), (b"2", b"3")]
        assert arrived(gate) == b" behindheld"  # as on asyncio: it was written before the other was sent
        for transport, far in ((first, gate), (second, one), (third, other)):
            transport.close()
            far.close()

    world.run(main)


@each_of_ours
def test_a_turn_by_hand_does_not_sleep_on_what_sending_has_made_ready(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        transport, wild, gate = await connect_wild()
        ran: list[int] = []
        wild.hook = lambda: loop.call_soon(ran.append, 1)
        transport.write(b"held")
        loop._run_once()
        assert ran == [1]
        assert arrived(gate) == b"held"
        transport.close()
        gate.close()

    world.run(main)
