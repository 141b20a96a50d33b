"""run_in_executor and the end of the default executor."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import pytest


def test_results_and_errors_come_back(run: Callable[..., Any]) -> None:
    def fail() -> None:
        raise KeyError("there")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, pow, 2, 10) == 1024
        assert await loop.run_in_executor(None, threading.get_ident) != threading.get_ident()
        with pytest.raises(KeyError, match="there"):
            await loop.run_in_executor(None, fail)
        assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()
        future = loop.run_in_executor(None, int)
        assert asyncio.isfuture(future)
        assert future.get_loop() is loop
        await future

    run(main)


def test_an_executor_of_ones_own(run: Callable[..., Any]) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
            return await loop.run_in_executor(pool, lambda: threading.current_thread().name)

    assert run(main).startswith("mine")


def test_the_default_executor_can_be_set(run: Callable[..., Any]) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="given"))
        with pytest.raises(TypeError, match="executor must be ThreadPoolExecutor instance"):
            loop.set_default_executor("pool")  # type: ignore[arg-type]
        return await loop.run_in_executor(None, lambda: threading.current_thread().name)

    assert run(main).startswith("given")


def test_bad_functions_in_debug_mode(run: Callable[..., Any]) -> None:
    async def coroutine_function() -> None:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for junk in (coroutine_function, 5):
            with pytest.raises(TypeError):
                await loop.run_in_executor(None, junk)  # type: ignore[arg-type]

    run(main, debug=True)


def test_after_the_shutdown_no_more_work_is_taken(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
            loop.run_in_executor(None, int)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert await loop.run_in_executor(pool, int) == 0
        await loop.shutdown_default_executor()

    run(main)


def test_the_shutdown_waits_for_what_runs(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate, began = threading.Event(), asyncio.Event()

        def work() -> str:
            loop.call_soon_threadsafe(began.set)
            gate.wait()
            return "worked"

        future = loop.run_in_executor(None, work)
        await began.wait()
        shutdown = asyncio.ensure_future(loop.shutdown_default_executor())
        await asyncio.sleep(0)
        assert not shutdown.done()
        gate.set()
        await shutdown
        assert await future == "worked"

    run(main)


def test_a_shutdown_that_takes_too_long_names_what_it_waited_for(run: Callable[..., Any]) -> None:
    gate = threading.Event()

    def stuck_in_here() -> None:
        gate.wait()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if "cede" not in type(loop).__module__:
            pytest.skip("asyncio has no timeout in 3.11, and waits for the thread all the same in 3.12")
        future = loop.run_in_executor(None, stuck_in_here)
        try:
            with pytest.warns(RuntimeWarning) as caught:
                await loop.shutdown_default_executor(0.01)  # type: ignore[call-arg]
        finally:
            gate.set()
        (message,) = [str(warning.message) for warning in caught]
        assert "0.01 seconds" in message
        assert "asyncio_0" in message
        await future

    run(main)


def test_cancelling_the_future_of_a_job_that_has_not_begun(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate = threading.Event()
        ran: list[int] = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = loop.run_in_executor(pool, gate.wait)
            second = loop.run_in_executor(pool, ran.append, 1)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            await asyncio.sleep(0)  # the pool is told in a callback
            gate.set()
            await first
        assert ran == []

    run(main)


def test_closing_the_loop_does_not_wait_for_a_stuck_job(loop: asyncio.AbstractEventLoop) -> None:
    gate = threading.Event()
    future = loop.run_in_executor(None, gate.wait)
    loop.close()
    gate.set()
    assert not future.done()
