"""Channels between threads and loops."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import cede

Run = Callable[..., Any]


def test_a_thread_feeds_a_loop_and_hears_from_it(run: Run) -> None:
    there: Any = cede.thread_channel(4)
    back: Any = cede.thread_channel(4)

    def double() -> None:
        for item in there:
            back.put(2 * item)
        back.close()

    async def main() -> None:
        async def feed() -> None:
            for item in range(300):
                await there.send(item)
            there.close()

        feeding = asyncio.create_task(feed())
        assert [item async for item in back] == [2 * item for item in range(300)]
        await feeding

    thread = threading.Thread(target=double)
    thread.start()
    run(main)
    thread.join()


def test_many_on_each_side_and_batches_each_item_once(run: Run) -> None:
    channel: Any = cede.thread_channel(7)
    got: list[int] = []

    def produce(first: int) -> None:
        for begin in range(first, first + 1000, 50):
            channel.put_many(range(begin, begin + 50))

    def consume() -> list[int]:
        taken: list[int] = []
        while True:
            try:
                taken.extend(channel.get_many(5))
            except cede.EndOfChannel:
                return taken

    async def main() -> None:
        async def take() -> None:
            while True:
                try:
                    got.extend(await channel.receive_many(3))
                except cede.EndOfChannel:
                    return
                await asyncio.sleep(0)

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as pool:
            takers = [asyncio.create_task(take()) for _ in range(3)]
            consumers = [loop.run_in_executor(pool, consume) for _ in range(2)]
            producers = [loop.run_in_executor(pool, produce, first) for first in (0, 1000, 2000)]
            await channel.send_many(range(3000, 3100))
            await asyncio.gather(*producers)
            channel.close()
            for part in await asyncio.gather(*consumers):
                got.extend(part)
            await asyncio.gather(*takers)

    run(main)
    assert sorted(got) == list(range(3100))


def test_time_limits_of_threads() -> None:
    channel: Any = cede.thread_channel(2)
    with pytest.raises(TimeoutError, match=r"get_many\(\): nothing happened within 0.001 seconds"):
        channel.get(timeout=0.001)
    with pytest.raises(cede.WouldBlock):
        channel.get_nowait()
    with pytest.raises(TimeoutError) as caught:
        channel.put_many([1, 2, 3, 4], timeout=0)
    assert caught.value.put == 2  # type: ignore[attr-defined]
    with pytest.raises(TimeoutError):
        channel.put(5, timeout=0.001)
    with pytest.raises(cede.WouldBlock):
        channel.put_nowait(5)
    assert channel.statistics() == (2, 2, 0, 0)
    assert channel.get_many() == [1, 2]
    assert "open, 0 items of 2" in repr(channel)


def test_the_end() -> None:
    channel: Any = cede.thread_channel(math.inf)
    with channel:
        channel.put_many([1, 2, 3])
    for call in (lambda: channel.put(1), lambda: channel.put_many([1]), lambda: channel.put_nowait(1)):
        with pytest.raises(cede.ClosedResourceError):
            call()
    assert channel.get() == 1
    assert list(channel) == [2, 3]
    with pytest.raises(cede.EndOfChannel):
        channel.get()


def test_closing_wakes_everybody(run: Run) -> None:
    channel: Any = cede.thread_channel(1)
    ended: list[str] = []

    def get() -> None:
        with pytest.raises(cede.EndOfChannel):
            channel.get()
        ended.append("thread")

    async def main() -> None:
        waiting = asyncio.create_task(channel.receive())
        thread = threading.Thread(target=get)
        thread.start()
        while channel.statistics().waiting_get < 2:
            await asyncio.sleep(0)
        channel.close()
        with pytest.raises(cede.EndOfChannel):
            await waiting
        await asyncio.to_thread(thread.join)

    run(main)
    assert ended == ["thread"]


def test_a_cancelled_task_takes_and_puts_nothing(run: Run) -> None:
    async def main() -> None:
        channel: Any = cede.thread_channel(1)
        for woken in (False, True):
            first, second = asyncio.create_task(channel.receive()), asyncio.create_task(channel.receive())
            await asyncio.sleep(0)
            if woken:
                channel.put("item")
            first.cancel()
            if not woken:
                channel.put("item")
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await second == "item"
            channel.put("full")
            first, second = asyncio.create_task(channel.send("first")), asyncio.create_task(channel.send("second"))
            await asyncio.sleep(0)
            first.cancel()
            assert channel.get() == "full"
            await second
            assert channel.get() == "second"
            assert channel.statistics() == (0, 1, 0, 0)

    run(main)


def test_a_thread_with_a_running_loop_must_not_block(run: Run) -> None:
    async def main() -> None:
        channel: Any = cede.thread_channel(1)
        channel.put(1)
        with pytest.raises(RuntimeError, match=r"put\(\) would block the event loop of this thread"):
            channel.put(2)
        assert channel.get() == 1
        with pytest.raises(RuntimeError, match="would block the event loop"):
            channel.get()
        assert channel.statistics() == (0, 1, 0, 0)

    run(main)


def test_a_loop_that_is_gone_is_passed_over(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    channel: Any = cede.thread_channel(1)
    loop = loop_factory()
    task = loop.create_task(channel.receive())
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    channel.put("item")
    assert channel.get() == "item"
    task.get_coro().close()
    del task


def test_what_is_refused() -> None:
    for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("1", TypeError)):
        with pytest.raises(error, match=r"thread_channel\(\): capacity must be"):
            cede.thread_channel(wrong)
    with pytest.raises(ValueError, match=r"get_many\(\): max must be a number of items"):
        cede.thread_channel(1).get_many(0)


def test_what_a_task_awaits_is_driven_by_hand_as_a_coroutine_is(run: Run) -> None:
    async def main() -> None:
        channel: Any = cede.thread_channel(1)
        waiting = channel.receive()
        future = waiting.send(None)
        assert asyncio.isfuture(future)
        assert waiting.cr_await is not None
        with pytest.raises(KeyError):
            waiting.throw(KeyError("thrown in"))
        assert channel.statistics().waiting_get == 0
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            waiting.send(None)

        channel.put("in the way")
        waiting = channel.send("item")
        waiting.send(None)
        assert channel.statistics().waiting_put == 1
        waiting.close()
        assert channel.statistics().waiting_put == 0
        assert channel.get() == "in the way"

        waiting = channel.__anext__()
        future = waiting.send(None)
        channel.close()
        while not future.done():
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            waiting.send(None)
        with pytest.raises(cede.EndOfChannel):
            await channel.receive()
        with pytest.raises(cede.ClosedResourceError):
            await channel.send("late")

    run(main)


def test_subclasses_and_references(run: Run) -> None:
    class Named(cede.ThreadChannel):
        def __init__(self, name: str) -> None:
            super().__init__(3)
            self.name = name

    async def main() -> None:
        channel: Any = Named("line")
        alive = weakref.ref(channel)
        for item in range(3):
            await channel.send(item)
        assert channel.name == "line"
        assert channel.capacity == 3
        assert [channel.get(), await channel.receive(), await channel.__anext__()] == [0, 1, 2]
        del channel
        gc.collect()
        assert alive() is None

    run(main)


def test_a_finalizer_uses_the_channel_that_it_interrupts() -> None:
    """As a signal's handler may, on the thread that holds the lock: it waits for nobody, and what would have to is refused."""
    import gc
    import subprocess
    import sys
    import textwrap

    script = """
    import gc, signal, sys
    import cede
    channel = cede.thread_channel(10_000)
    heard = []
    class Garbage:
        def __init__(self):
            self.me = self
        def __del__(self):
            for call in (lambda: channel.put_nowait("late"), channel.statistics, lambda: heard.append(channel.get_nowait())):
                try:
                    call()
                except cede.WouldBlock:
                    pass
    def interrupted(*_):
        channel.put_nowait("signal")
    signal.signal(signal.SIGALRM, interrupted)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    gc.set_threshold(1)  # a finalizer wherever anything is made
    put = got = 0
    for number in range(3000):
        Garbage()
        channel.put_many([number] * 3)
        put += 3
        got += len(channel.get_many(2))
        channel.put_nowait(number)
        put += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.set_threshold(1000)
    rest = channel.get_many()
    items = [item for item in (*heard, *rest) if isinstance(item, int)]
    assert len(items) <= put
    print("whole")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-2000:]
    assert gc.isenabled()


def test_a_guard_that_its_own_thread_takes_again() -> None:
    from cede.sync.thread_lock import new_thread_lock

    lock = new_thread_lock()
    with lock:
        assert not lock.is_nested()
        with lock:
            assert lock.is_nested()
        assert not lock.is_nested()
    with pytest.raises(RuntimeError):
        lock.release()
