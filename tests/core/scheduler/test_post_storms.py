"""Storms of posts: threads that call `call_soon_threadsafe` as fast as they can."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

POSTS = 6000
"""More than one turn's worth."""


async def joined(*threads: threading.Thread) -> None:
    """Wait for threads that need the loop to turn meanwhile, and until what they posted has run, and what that posted."""
    for thread in threads:
        while thread.is_alive():
            await asyncio.sleep(0.001)
    loop = asyncio.get_running_loop()
    for _ in range(2):
        passed: asyncio.Future[None] = loop.create_future()
        loop.call_soon_threadsafe(passed.set_result, None)
        await passed


def test_each_of_several_storms_keeps_its_order_and_nothing_is_lost(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: dict[int, list[int]] = {who: [] for who in range(3)}

        def storm(who: int) -> None:
            for i in range(POSTS):
                loop.call_soon_threadsafe(told[who].append, i)

        threads = [threading.Thread(target=storm, args=(who,)) for who in told]
        for thread in threads:
            thread.start()
        await joined(*threads)
        assert all(numbers == list(range(POSTS)) for numbers in told.values())

    run(main)


def test_a_storm_that_pauses_anywhere_is_served(run: Callable[..., Any]) -> None:
    """The thread posts no more before the loop has run what it posted last: a loop that waited for more of them would stand still."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        served: list[bool] = []

        def storm() -> None:
            for count in (1023, 1, 1024, 1025, 1, 2048, 3000, 5, 1024, 1, 1):
                ran = threading.Event()
                for _ in range(count - 1):
                    loop.call_soon_threadsafe(abs, 1)
                loop.call_soon_threadsafe(ran.set)
                served.append(ran.wait(30))

        thread = threading.Thread(target=storm)
        thread.start()
        await joined(thread)
        assert served == [True] * 11

    run(main)


def test_timers_and_sockets_have_their_turn_in_a_storm(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = threading.Event()

        def storm() -> None:
            while not over.is_set():
                loop.call_soon_threadsafe(abs, 1)

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        thread = threading.Thread(target=storm)
        thread.start()
        try:
            async with asyncio.timeout(30):
                for _ in range(5):
                    await asyncio.sleep(0.002)
                    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                    writer.write(b"here")
                    assert await reader.read() == b"here"
                    writer.close()
                    await writer.wait_closed()
        finally:
            over.set()
            await joined(thread)
            server.close()
            await server.wait_closed()

    run(main)


def test_a_post_cancelled_before_its_turn_never_runs(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ran: list[int] = []
        go = threading.Event()
        posted = threading.Event()

        def storm() -> None:
            go.wait()
            handles = [loop.call_soon_threadsafe(ran.append, i) for i in range(POSTS)]
            for handle in handles[1::2]:
                handle.cancel()
            posted.set()

        thread = threading.Thread(target=storm)
        thread.start()
        loop.call_soon(go.set)
        loop.call_soon(posted.wait)  # the loop stands still: all of it is posted and cancelled before it goes on
        await joined(thread)
        assert ran == list(range(0, POSTS, 2))

    run(main)


def test_callbacks_of_a_storm_may_post_and_fail(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        failures: list[Any] = []
        loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))
        ran: list[int] = []

        def each(i: int) -> None:
            loop.call_soon_threadsafe(ran.append, i)
            if i % 1000 == 0:
                raise LookupError(i)

        def storm() -> None:
            for i in range(POSTS):
                loop.call_soon_threadsafe(each, i)

        thread = threading.Thread(target=storm)
        thread.start()
        await joined(thread)
        assert ran == list(range(POSTS))
        assert [error.args[0] for error in failures] == list(range(0, POSTS, 1000))

    run(main)
