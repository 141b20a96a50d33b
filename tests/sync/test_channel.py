"""Channels between tasks: what closes, who hears of it, and what is refused."""

from __future__ import annotations

import asyncio
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import cede

Run = Callable[..., Any]


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_many_senders_many_receivers_each_item_once(run: Run) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(3)
        got: list[list[int]] = [[], [], []]

        async def produce(end: Any, first: int) -> None:
            async with end:
                for item in range(first, first + 50):
                    await end.send(item)

        async def consume(end: Any, into: list[int]) -> None:
            async with end:
                async for item in end:
                    into.append(item)
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            with sender, receiver:
                for first in (0, 100, 200):
                    group.create_task(produce(sender.clone(), first))
                for into in got:
                    group.create_task(consume(receiver.clone(), into))
        assert sorted(item for part in got for item in part) == [*range(50), *range(100, 150), *range(200, 250)]
        assert all(got)
        assert sender.statistics() == (0, 3, 0, 0, 0, 0)

    run(main)


def test_without_a_buffer_send_waits_for_a_receiver(run: Run) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(0)
        with pytest.raises(cede.WouldBlock):
            sender.send_nowait(1)
        sending = asyncio.create_task(sender.send(1))
        await turns()
        assert not sending.done()
        assert sender.statistics().tasks_waiting_send == 1
        assert await receiver.receive() == 1
        await sending
        receiving = asyncio.create_task(receiver.receive_many())
        await turns()
        sender.send_nowait(2)
        assert await receiving == [2]

    run(main)


def test_the_end(run: Run) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(math.inf)
        other = sender.clone()
        sender.send_nowait(1)
        sender.close()
        sender.close()
        for call in (lambda: sender.send_nowait(1), sender.clone):
            with pytest.raises(cede.ClosedResourceError):
                call()
        with pytest.raises(cede.ClosedResourceError):
            await sender.send(1)
        await other.send(2)
        waiting = [asyncio.create_task(receiver.clone().receive()) for _ in range(4)]
        await turns()
        await other.aclose()
        await turns()
        assert [task.result() for task in waiting[:2]] == [1, 2]
        for task in waiting[2:]:
            with pytest.raises(cede.EndOfChannel):
                await task
        with pytest.raises(cede.EndOfChannel):
            receiver.receive_nowait()
        with pytest.raises(cede.EndOfChannel):
            await receiver.receive_many(3)
        assert [item async for item in receiver] == []

    run(main)


def test_a_broken_channel(run: Run) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(1)
        await sender.send("dropped")
        waiting = [asyncio.create_task(sender.send(item)) for item in range(3)]
        await turns()
        receiver.close()
        for task in waiting:
            with pytest.raises(cede.BrokenResourceError):
                await task
        with pytest.raises(cede.BrokenResourceError):
            await sender.send(1)
        with pytest.raises(cede.BrokenResourceError):
            sender.send_nowait(1)
        with pytest.raises(cede.ClosedResourceError):
            await receiver.receive()
        with pytest.raises(cede.ClosedResourceError):
            receiver.receive_nowait()
        assert sender.statistics().current_buffer_used == 0

    run(main)


def test_closing_an_end_stops_who_waits_on_it_and_nobody_else(run: Run) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(1)
        other = receiver.clone()
        mine, theirs = asyncio.create_task(receiver.receive()), asyncio.create_task(other.receive())
        await turns()
        receiver.close()
        with pytest.raises(cede.ClosedResourceError):
            await mine
        assert not theirs.done()
        await sender.send(1)
        assert await theirs == 1
        second = sender.clone()
        await sender.send("fills it")
        mine, theirs = asyncio.create_task(sender.send("mine")), asyncio.create_task(second.send("theirs"))
        await turns()
        sender.close()
        with pytest.raises(cede.ClosedResourceError):
            await mine
        assert [await other.receive(), await other.receive()] == ["fills it", "theirs"]
        await theirs

    run(main)


def test_a_wake_up_that_meets_a_closed_end_goes_on_to_the_next(run: Run) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(2)
        other = receiver.clone()
        first, second = asyncio.create_task(receiver.receive()), asyncio.create_task(other.receive())
        await turns()
        sender.send_nowait("item")
        receiver.close()
        with pytest.raises(cede.ClosedResourceError):
            await first
        assert await second == "item"

    run(main)


def test_batches(run: Run) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(10)
        for item in range(10):
            sender.send_nowait(item)
        late = asyncio.create_task(sender.send(10))
        await turns()
        assert await receiver.receive_many(4) == [0, 1, 2, 3]
        await late
        assert await receiver.receive_many() == [4, 5, 6, 7, 8, 9, 10]
        for wrong in (0, -1, "2", 1.5):
            with pytest.raises(ValueError, match=r"receive_many\(\): max must be a number of items, 1 or more"):
                await receiver.receive_many(wrong)

    run(main)


def test_what_is_refused() -> None:
    for wrong, error in ((-1, ValueError), (1.5, TypeError), ("1", TypeError), (None, TypeError)):
        with pytest.raises(error, match=r"channel\(\): capacity must"):
            cede.channel(wrong)
    sender, _ = cede.channel(1)
    with pytest.raises(TypeError, match="cannot pickle a channel's end"):
        pickle.dumps(sender)
    with pytest.warns(RuntimeWarning, match=r"coroutine 'Sender.send' was never awaited"):
        sender.send(1)
    assert "open" in repr(sender)
