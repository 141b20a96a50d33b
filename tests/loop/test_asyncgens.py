"""Asynchronous generators that nobody finishes."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

closed: list[str] = []


async def numbers(name: str, error: Exception | None = None) -> AsyncIterator[int]:
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        closed.append(name)
        if error is not None:
            raise error


@pytest.fixture(autouse=True)
def forget() -> None:
    closed.clear()


def test_shutdown_closes_what_is_open(run: Callable[..., Any]) -> None:
    kept: list[AsyncIterator[int]] = []

    async def main() -> None:
        for name in ("one", "two"):
            kept.append(numbers(name))
            async for _ in kept[-1]:
                break

    run(main)
    assert sorted(closed) == ["one", "two"]


def test_errors_on_closing_are_reported(run: Callable[..., Any]) -> None:
    seen: list[dict[str, Any]] = []
    kept: list[AsyncIterator[int]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))
        kept.append(numbers("bad", ZeroDivisionError()))
        async for _ in kept[0]:
            break

    run(main)
    (context,) = seen
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["asyncgen"] is kept[0]
    assert "closing of asynchronous generator" in context["message"]


def test_an_abandoned_generator_is_closed_by_the_loop(run: Callable[..., Any]) -> None:
    async def main() -> None:
        async for _ in numbers("dropped"):
            break
        gc.collect()
        while not closed:
            await asyncio.sleep(0)

    run(main)
    assert closed == ["dropped"]


def test_the_collector_may_run_on_another_thread(run: Callable[..., Any]) -> None:
    async def main() -> None:
        generator = numbers("elsewhere")
        await generator.__anext__()
        box = [generator]
        del generator
        thread = threading.Thread(target=box.clear)
        thread.start()
        thread.join()
        gc.collect()
        while not closed:
            await asyncio.sleep(0)

    run(main)
    assert closed == ["elsewhere"]


def test_hooks_are_given_back(loop: asyncio.AbstractEventLoop) -> None:
    def mine(generator: Any) -> None:
        pass

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=mine, finalizer=mine)
    try:
        loop.run_until_complete(asyncio.sleep(0))
        assert sys.get_asyncgen_hooks() == (mine, mine)
        loop.call_soon(sys.exit)
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert sys.get_asyncgen_hooks() == (mine, mine)
    finally:
        sys.set_asyncgen_hooks(*before)


def test_iterating_after_the_shutdown_warns(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        await loop.shutdown_asyncgens()
        generator = numbers("late")
        with pytest.warns(ResourceWarning, match="shutdown_asyncgens"):
            await generator.__anext__()
        await generator.aclose()  # type: ignore[attr-defined]

    loop.run_until_complete(main())


def test_a_generator_that_outlives_its_loop_is_silent(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> AsyncIterator[int]:
        generator = forever()
        await generator.__anext__()
        return generator

    async def forever() -> AsyncIterator[int]:
        while True:
            yield 1

    generator = loop.run_until_complete(main())
    loop.close()
    del generator
    gc.collect()
