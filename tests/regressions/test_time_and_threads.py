"""Timers by the million, and what threads and patched threads post."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cede
from tests.support.loops import is_cede

Run = Callable[..., Any]


@pytest.fixture
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
def test_timeouts_leave_nothing_for_the_collector(run: Run, collector_off: None) -> None:
    """uvloop 37, uvloop 201: a great many timers and wait_for timeouts, met and not, with the collector off: the memory stays."""

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def answer() -> int:
            await asyncio.sleep(0)
            return 1

        async def batch(count: int) -> None:
            for _ in range(count):
                assert await asyncio.wait_for(answer(), 1000) == 1
            for _ in range(count // 20):
                try:
                    async with asyncio.timeout(0):
                        await loop.create_future()
                except TimeoutError:
                    pass
            for _ in range(count):
                loop.call_later(1000, print, bytes(100)).cancel()

        await batch(200)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            await batch(4000)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # asyncio keeps up to half of a heap of cancelled timers, and what they hold is let go of.
        assert after - before < (60_000 if is_cede(loop) else 4_000_000)

    run(main)


@pytest.mark.slow
def test_heartbeats_set_anew_again_and_again(run: Run, collector_off: None) -> None:
    """aiohttp 8608, twisted 1232: each message puts its connection's heartbeat off; the timers that wait are as many as the connections."""
    connections, rounds = 100, 500

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        beats = [loop.call_later(30, print) for _ in range(connections)]
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(rounds):
            for index, beat in enumerate(beats):
                beat.cancel()
                beats[index] = loop.call_later(30, print)
            await asyncio.sleep(0)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # Those that wait were made while memory was counted; asyncio keeps as many cancelled ones again, and some.
        assert after - before < (400 if is_cede(loop) else 4000) * connections
        for beat in beats:
            beat.cancel()

    run(main)


def test_the_result_of_a_thread_that_is_none_of_the_librarys(run: Run) -> None:
    """gevent 2213: whoever posts needs no Thread object, no name and no lock of ours: a bare thread wakes a sleeping loop."""
    import _thread

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            future = loop.create_future()
            _thread.start_new_thread(loop.call_soon_threadsafe, (future.set_result, number))
            assert await future == number

    run(main)


def test_several_loops_in_several_threads() -> None:
    """uvloop 408, uvloop 421: each loop posts to all the others, for thousands of rounds; none ends early, and nothing is lost."""
    loops_count, messages = 4, 1500
    loops: list[Any] = [None] * loops_count
    received: list[list[int]] = [[] for _ in range(loops_count)]
    all_there = threading.Barrier(loops_count)
    errors: list[BaseException] = []

    async def main(me: int) -> None:
        loop = asyncio.get_running_loop()
        loops[me] = loop
        everything = loop.create_future()

        def take(number: int) -> None:
            assert asyncio.get_running_loop() is loop
            received[me].append(number)
            if len(received[me]) == (loops_count - 1) * messages:
                everything.set_result(None)

        takers[me] = take
        await asyncio.to_thread(all_there.wait, 60)
        for number in range(messages):
            for other in range(loops_count):
                if other != me:
                    loops[other].call_soon_threadsafe(takers[other], me * messages + number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await everything
        await asyncio.to_thread(all_there.wait, 60)  # nobody closes while another may still post

    takers: list[Any] = [None] * loops_count

    def run_one(me: int) -> None:
        try:
            cede.run(main(me))
        except BaseException as error:
            errors.append(error)
            all_there.abort()

    threads = [threading.Thread(target=run_one, args=(number,)) for number in range(loops_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for me in range(loops_count):
        expected = [other * messages + number for other in range(loops_count) if other != me for number in range(messages)]
        assert sorted(received[me]) == expected
        for other in range(loops_count):
            from_other = [number for number in received[me] if number // messages == other]
            assert from_other == sorted(from_other)  # in the order in which they were posted


def test_servers_and_clients_on_loops_of_several_threads() -> None:
    """The same with sockets: a server a thread, and clients on every loop; each answer is the asked server's."""
    count = 3
    addresses: list[Any] = [None] * count
    ready = threading.Barrier(count)
    errors: list[BaseException] = []

    async def main(me: int) -> None:
        async def answer(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(b"%d:" % me + line)
                await writer.drain()
            writer.close()

        server = await cede.start_server(answer, "127.0.0.1", 0)
        addresses[me] = server.sockets[0].getsockname()
        await asyncio.to_thread(ready.wait, 60)

        async def ask(whom: int, number: int) -> None:
            reader, writer = await cede.open_connection(*addresses[whom])
            for turn in range(20):
                writer.write(b"%d/%d/%d\n" % (me, number, turn))
                assert await reader.readline() == b"%d:%d/%d/%d\n" % (whom, me, number, turn)
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*[ask(whom, number) for whom in range(count) for number in range(8)])
        await asyncio.to_thread(ready.wait, 60)
        server.close()
        await server.wait_closed()

    def run_one(me: int) -> None:
        try:
            cede.run(main(me))
        except BaseException as error:
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=run_one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
