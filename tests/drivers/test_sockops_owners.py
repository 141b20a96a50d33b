"""Socket operations and their descriptor: registrations that stay, numbers that are used again, answers that go to whoever asked."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import weakref
from typing import Any

import pytest

from tests.drivers.test_sockops import pair, start
from tests.support.driver_worlds import OURS, WORLDS, World, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_of_ours
def test_waiting_stays_registered_without_keeping_the_socket_alive(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        for _ in range(3):
            receiving = start(loop.sock_recv(far, 10))
            await turns(2)
            near.send(b"x")
            await receiving
        assert list(loop.driver.channels) == [far.fileno()]
        alive = weakref.ref(far)
        far.close()
        del far, receiving
        gc.collect()
        assert alive() is None
        assert not loop.driver.channels
        near.close()

    world.run(main)


@each_of_ours
def test_closed_while_waited_on_and_the_number_reused(world: World) -> None:
    """The one who waits gets EBADF, not the bytes of the number's next owner."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        receiving = start(loop.sock_recv(far, 10))
        await turns(3)
        number = far.fileno()
        far.close()
        again, again_far = pair()
        if again.fileno() != number:
            os.dup2(again.fileno(), number)
            again.close()
            again = socket.socket(fileno=number)
            again.setblocking(False)
        second = start(loop.sock_recv(again, 10))
        await turns(3)
        with pytest.raises(OSError, match="closed while it was waited on"):
            await receiving
        again_far.send(b"for the second")
        assert await second == b"for the sec"[:10]
        for sock in (near, again, again_far):
            sock.close()

    world.run(main)


@each_of_ours
def test_a_transport_takes_over_a_socket_that_was_waited_on(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        receiving = start(loop.sock_recv(near, 10))
        await turns(2)
        with pytest.raises(RuntimeError, match="is being waited on"):
            await loop.connect_accepted_socket(asyncio.Protocol, near)
        far.send(b"x")
        assert await receiving == b"x"
        reader, writer = await asyncio.open_connection(sock=near)
        far.send(b"line\n")
        assert await reader.readline() == b"line\n"
        writer.close()
        await writer.wait_closed()
        far.close()

    # The refused attempt closed nothing that is ours.
    world.run(main)


@each_of_ours
@pytest.mark.parametrize("seed", range(3))
def test_answers_go_to_whoever_asked(world: World, rng: random.Random, seed: int) -> None:
    """Clients that come, are cancelled at random and go, while numbers are reused all the time: no answer reaches another (uvloop 645)."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        listener.setblocking(False)
        serving: set[asyncio.Task[None]] = set()

        async def serve(sock: socket.socket) -> None:
            with sock:
                try:
                    while data := await loop.sock_recv(sock, 16):
                        for _ in range(rng.randrange(4)):
                            await asyncio.sleep(0)
                        await loop.sock_sendall(sock, data)
                except ConnectionError:
                    pass

        async def accept() -> None:
            while True:
                sock, _ = await loop.sock_accept(listener)
                task = asyncio.create_task(serve(sock))
                serving.add(task)
                task.add_done_callback(serving.discard)

        wrong: list[Any] = []

        async def ask(number: int) -> None:
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, listener.getsockname())
                for request in range(rng.randrange(1, 6)):
                    question = b"%07d:%07d;" % (number, request)
                    await loop.sock_sendall(sock, question)
                    answer = b""
                    while len(answer) < len(question):
                        part = await loop.sock_recv(sock, 16 - len(answer))
                        assert part
                        answer += part
                    if answer != question:
                        wrong.append((question, answer))

        accepting = asyncio.create_task(accept())
        asking: set[asyncio.Task[None]] = set()
        for number in range(400):
            asking.add(asyncio.create_task(ask(number)))
            if rng.random() < 0.5:
                await turns(rng.randrange(4))
            if rng.random() < 0.3:
                rng.choice(sorted(asking, key=lambda task: task.get_name())).cancel()
            asking = {task for task in asking if not task.done()}
            while len(asking) > 30:
                await asyncio.sleep(0)
                asking = {task for task in asking if not task.done()}
        await asyncio.gather(*asking, return_exceptions=True)
        accepting.cancel()
        await asyncio.gather(accepting, *serving, return_exceptions=True)
        assert not wrong
        listener.close()

    world.run(main)


@each_of_ours
def test_no_garbage(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()

        async def once() -> None:
            receiving = asyncio.create_task(loop.sock_recv(far, 10))
            await asyncio.sleep(0)
            await loop.sock_sendall(near, b"x")
            await receiving
            waiting = asyncio.create_task(loop.sock_recv(far, 10))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await once()
            before = len(gc.get_objects())
            for _ in range(200):
                await once()
            after = len(gc.get_objects())
        finally:
            gc.enable()
        assert after - before < 50
        near.close()
        far.close()

    world.run(main)
