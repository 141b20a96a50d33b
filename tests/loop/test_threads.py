"""The default executor: a crew of threads that are handed their jobs directly."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede.core.scheduler.gil_hints import GilHints
from cede.loop.threads.pool import ThreadJob, WorkerPool


def job(function: Callable[..., Any], *args: Any) -> tuple[ThreadJob, concurrent.futures.Future[Any]]:
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    return ThreadJob(future, function, args, {}), future


def test_it_is_a_thread_pool_by_its_face(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        assert name == "asyncio_0"
        pool = loop._default_executor
        assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
        assert pool.submit(pow, 2, 3).result(10) == 8
        assert pool.submit(int, "11", base=2).result(10) == 3
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result(10)
        assert {thread.name for thread in pool._threads} >= {"asyncio_0"}

    run(main)


def test_errors_of_concurrent_futures_become_asyncios(run: Callable[..., Any]) -> None:
    def fail(error: BaseException) -> None:
        raise error

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.InvalidStateError, match="why"):
            await loop.run_in_executor(None, fail, concurrent.futures.InvalidStateError("why"))
        with pytest.raises(asyncio.CancelledError):
            await loop.run_in_executor(None, fail, concurrent.futures.CancelledError())
        with pytest.raises(TimeoutError):
            await loop.run_in_executor(None, fail, concurrent.futures.TimeoutError())
        # A job's own context: what it sets there is not the caller's.
        assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()

    run(main)


def test_more_jobs_than_threads_begin_in_order() -> None:
    crew = WorkerPool(2, "crew", GilHints())
    gate, begun = threading.Semaphore(0), []

    def work(number: int) -> int:
        begun.append(number)
        assert gate.acquire(timeout=10)
        return number

    pairs = [job(work, number) for number in range(8)]
    for one, _ in pairs:
        crew.give(one)
    for _ in pairs:
        gate.release()
    assert [future.result(10) for _, future in pairs] == list(range(8))
    assert sorted(begun[:2]) == [0, 1]
    assert begun[2:] == sorted(begun[2:])
    crew.close()
    for thread in list(crew.threads):
        thread.join(10)
        assert not thread.is_alive()
    assert len(crew.threads) == 2
    with pytest.raises(RuntimeError, match="after shutdown"):
        crew.give(job(work, 9)[0])


def test_a_job_given_up_is_never_begun_and_its_future_cancelled(run: Callable[..., Any]) -> None:
    gate, begun = threading.Event(), threading.Semaphore(0)
    ran: list[int] = []

    def hold() -> None:
        begun.release()
        assert gate.wait(10)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        await loop.run_in_executor(None, int)
        pool = loop._default_executor
        holding = [loop.run_in_executor(None, hold) for _ in range(pool._max_workers)]
        for _ in holding:
            assert begun.acquire(timeout=10)  # a thread that starts late would find its job given up
        waiting = [loop.run_in_executor(None, ran.append, number) for number in range(3)]
        submitted = pool.submit(ran.append, 99)
        waiting[0].cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        gate.set()
        await asyncio.gather(*holding)
        for future in waiting:
            with pytest.raises(asyncio.CancelledError):
                await future
        assert submitted.cancelled()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(int)

    run(main)
    assert ran == []


def test_idle_threads_go_with_a_loop_that_was_dropped() -> None:
    loop: Any = cede.new_event_loop()
    loop.run_until_complete(loop.run_in_executor(None, int))
    (thread,) = loop._default_executor._threads
    gone = weakref.ref(loop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it was not closed, which is the point
        del loop
        gc.collect()
    assert gone() is None
    thread.join(10)
    assert not thread.is_alive()


def test_what_a_job_held_goes_when_it_is_done() -> None:
    class Held:
        pass

    loop: Any = cede.new_event_loop()
    held = Held()
    seen = weakref.ref(held)
    loop.run_until_complete(loop.run_in_executor(None, lambda thing: None, held))
    del held
    loop.run_until_complete(loop.run_in_executor(None, int))
    loop.close()
    gc.collect()
    assert seen() is None


def test_the_programs_end_waits_for_jobs_and_takes_no_more() -> None:
    script = """
import os, threading, cede
def say(text):
    os.write(1, text.encode() + b"\\n")  # in one piece: print() writes the end of the line by itself, and two threads speak here
gate = threading.Event()
def last():
    gate.wait()
    try:
        loop.run_in_executor(None, say, "never")
    except RuntimeError as error:
        say(f"refused: {error}")
    say("done")
loop = cede.new_event_loop()
job = loop.run_in_executor(None, last)
waiting = loop.run_in_executor(None, say, "second")
threading._register_atexit(gate.set)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    refused = "refused: cannot schedule new futures after interpreter shutdown"
    assert sorted(done.stdout.splitlines()) == ["done", refused, "second"], done.stderr


def test_many_loops_at_once_lose_no_job() -> None:
    def serve(results: list[int]) -> None:
        async def main() -> None:
            for _ in range(100):
                results.extend(await asyncio.gather(*[asyncio.to_thread(int, 1) for _ in range(5)]))

        cede.run(main())

    lists: list[list[int]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=serve, args=(results,)) for results in lists]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [len(results) for results in lists] == [500] * 4


def test_a_job_in_flight_when_the_loop_closes_is_dropped_quietly() -> None:
    gate, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert gate.wait(10)

    loop: Any = cede.new_event_loop()
    loop.run_in_executor(None, hold)
    assert begun.wait(10)
    (thread,) = loop._default_executor._threads
    loop.close()
    gate.set()
    thread.join(10)
    assert not thread.is_alive()


# -- posts


def test_a_storm_of_posts_is_run_in_order_and_whole() -> None:
    loop = cede.new_event_loop()
    ran: list[int] = []

    def storm() -> None:
        for number in range(20_000):
            loop.call_soon_threadsafe(ran.append, number)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=storm)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    loop.close()
    assert ran == list(range(20_000))


def test_a_storm_from_the_loops_own_thread() -> None:
    loop = cede.new_event_loop()
    ran: list[int] = []

    def storm() -> None:
        for number in range(5000):
            loop.call_soon_threadsafe(ran.append, number)
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(storm)
    loop.run_forever()
    loop.close()
    assert ran == list(range(5000))


def test_posts_to_a_loop_that_does_not_run_wait_for_it() -> None:
    loop = cede.new_event_loop()
    ran: list[int] = []
    for number in range(3000):
        loop.call_soon_threadsafe(ran.append, number)
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    loop.close()
    assert ran == list(range(3000))
