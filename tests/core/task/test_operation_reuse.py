"""What an awaiting method returns is used again by a later call, when nobody holds it any more: nobody can tell."""

from __future__ import annotations

import asyncio
import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cede


def of_lock() -> tuple[Any, Callable[[], Any]]:
    lock = cede.Lock()

    def call() -> Any:
        if lock.locked():
            lock.release()
        return lock.acquire()

    return lock, call


def of_semaphore() -> tuple[Any, Callable[[], Any]]:
    semaphore = cede.Semaphore(1000)
    return semaphore, semaphore.acquire


def of_event() -> tuple[Any, Callable[[], Any]]:
    event = cede.Event()
    event.set()
    return event, event.wait


def of_put() -> tuple[Any, Callable[[], Any]]:
    queue: Any = cede.Queue()
    return queue, lambda: queue.put(1)


def of_get() -> tuple[Any, Callable[[], Any]]:
    queue: Any = cede.Queue()
    for number in range(1000):
        queue.put_nowait(number)
    return queue, queue.get


def of_send() -> tuple[Any, Callable[[], Any]]:
    sender, receiver = cede.channel(1000)

    def call() -> Any:
        assert receiver.statistics().open_receivers
        return sender.send(1)

    return sender, call


def of_receive() -> tuple[Any, Callable[[], Any]]:
    sender, receiver = cede.channel(1000)
    for number in range(1000):
        sender.send_nowait(number)
    return receiver, receiver.receive


def of_next_item() -> tuple[Any, Callable[[], Any]]:
    receiver, _ = of_receive()
    return receiver, receiver.__anext__


def of_send_across() -> tuple[Any, Callable[[], Any]]:
    channel: Any = cede.thread_channel(1000)
    return channel, lambda: channel.send(1)


def of_receive_across() -> tuple[Any, Callable[[], Any]]:
    channel: Any = cede.thread_channel(1000)
    channel.put_many(range(1000))
    return channel, channel.receive


def of_next_across() -> tuple[Any, Callable[[], Any]]:
    channel, _ = of_receive_across()
    return channel, channel.__anext__


KINDS = (
    of_lock, of_semaphore, of_event, of_put, of_get, of_send, of_receive, of_next_item, of_send_across, of_receive_across, of_next_across
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_two_calls_are_two_operations(kind: Any, run: Any) -> None:
    async def main() -> None:
        _, call = kind()
        await call()
        first, second = call(), call()
        assert first is not second
        await first
        third = call()
        assert third is not first
        assert third is not second
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await first
        await second
        third.close()

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_worked_on_is_let_go(kind: Any, run: Any) -> None:
    async def main() -> None:
        owner, call = kind()
        await call()
        await call()
        alive = weakref.ref(owner)
        del owner, call
        gc.collect()
        assert alive() is None

    run(main)


def test_item_that_was_put_and_got_is_let_go(run: Any) -> None:
    class Item:
        pass

    async def main() -> None:
        queue: Any = cede.Queue()
        item = Item()
        alive = weakref.ref(item)
        await queue.put(item)
        del item
        assert await queue.get() is alive()
        gc.collect()
        assert alive() is None

    run(main)


@pytest.mark.parametrize("kind", KINDS)
def test_a_forgotten_await_is_still_told(kind: Any, run: Any) -> None:
    async def main() -> int:
        _, call = kind()
        await call()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
            gc.collect()
        await call()
        return sum("was never awaited" in str(each.message) for each in caught)

    assert run(main) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_cancelled_and_closed_ones_do_no_harm(kind: Any, run: Any) -> None:
    async def main() -> None:
        _, call = kind()
        for _ in range(3):
            call().close()
            task = asyncio.create_task(call())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await call()

    run(main)
