"""Fair loops: a task that never has to wait is made to give way, loses nothing by it, and is named."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import cede

BUDGET = 8
ROUNDS = 100


async def queue() -> None:
    line: Any = cede.Queue()
    for number in range(ROUNDS):
        await line.put(number)
        assert await line.get() == number


async def lock() -> None:
    free = cede.Lock()
    for _ in range(ROUNDS):
        async with free:
            assert free.locked()


async def semaphore() -> None:
    free = cede.Semaphore(2)
    for _ in range(ROUNDS):
        async with free:
            pass


async def condition() -> None:
    free = cede.Condition()
    for _ in range(ROUNDS):
        async with free:
            free.notify()


async def event() -> None:
    up = cede.Event()
    up.set()
    for _ in range(ROUNDS):
        assert await up.wait()


async def channel() -> None:
    sender, receiver = cede.channel(10)
    for number in range(ROUNDS):
        await sender.send(number)
        assert await receiver.receive() == number


async def channel_by_for() -> None:
    sender, receiver = cede.channel(ROUNDS)
    for number in range(ROUNDS):
        sender.send_nowait(number)
    sender.close()
    assert [number async for number in receiver] == list(range(ROUNDS))


async def thread_channel() -> None:
    line = cede.thread_channel(10)
    for number in range(ROUNDS):
        await line.send(number)
        assert await line.receive() == number


async def reader() -> None:
    stream = cede.StreamReader()
    stream.feed_data(b"line\n" * ROUNDS)
    for _ in range(ROUNDS):
        assert await stream.readline() == b"line\n"


async def future() -> None:
    done = asyncio.get_running_loop().create_future()
    done.set_result("there")
    for _ in range(ROUNDS):
        assert await done == "there"


async def failed_future() -> None:
    done = asyncio.get_running_loop().create_future()
    done.set_exception(OSError())
    for _ in range(ROUNDS):
        with pytest.raises(OSError):
            await done


async def timeout() -> None:
    for _ in range(ROUNDS):
        async with cede.timeout(60):
            pass


async def wait_for_coroutine() -> None:
    async def nothing() -> int:
        return 3

    for _ in range(ROUNDS):
        assert await cede.wait_for(nothing(), 60) == 3


async def wait_for_future() -> None:
    done = asyncio.get_running_loop().create_future()
    done.set_result("there")
    for _ in range(ROUNDS):
        assert await cede.wait_for(done, 60) == "there"


async def task_group() -> None:
    for _ in range(ROUNDS):
        async with cede.TaskGroup():
            pass


SPINNERS = (
    queue,
    lock,
    semaphore,
    condition,
    event,
    channel,
    channel_by_for,
    thread_channel,
    reader,
    future,
    failed_future,
    timeout,
    wait_for_coroutine,
    wait_for_future,
    task_group,
)


async def turns_of(spinner: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """How many turns of the loop a task takes."""
    task = asyncio.create_task(spinner())
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


@pytest.mark.parametrize("spinner", SPINNERS)
def test_task_that_never_waits_gives_way(spinner: Any) -> None:
    assert cede.run(turns_of(spinner), fair=BUDGET) >= ROUNDS // BUDGET
    assert cede.run(turns_of(spinner), fair=False) == 1


@pytest.mark.parametrize("spinner", SPINNERS)
def test_smallest_budget_comes_to_an_end(spinner: Any) -> None:
    turns = cede.run(turns_of(spinner), fair=1)
    assert ROUNDS - 1 <= turns <= 3 * ROUNDS


def test_sockets_give_way(pair: Any) -> None:
    one, other = pair
    loop = cede.new_event_loop(fair=BUDGET)

    async def spin() -> None:
        for _ in range(ROUNDS):
            await loop.sock_sendall(one, b"x")
            assert await loop.sock_recv(other, 1) == b"x"

    try:
        assert loop.run_until_complete(turns_of(spin)) >= 2 * ROUNDS // BUDGET
    finally:
        loop.close()


def test_budget_is_that_of_a_step() -> None:
    """Awaits that had to wait cost nothing that is left over."""

    async def main() -> int:
        line: Any = cede.Queue()
        for number in range(ROUNDS):
            await line.put(number)
            await line.get()
            await asyncio.sleep(0)
        return cede_loop().statistics().forced_yields

    assert cede.run(main(), fair=BUDGET) == 0


def cede_loop() -> Any:
    return asyncio.get_running_loop()


async def stopped_where_it_gives_way(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task whose budget of 1 was spent before it awaits `work`'s await, cancelled while it gives way."""

    async def first_spend() -> Any:
        up = cede.Event()
        up.set()
        await up.wait()
        return await work

    before = cede_loop().statistics().forced_yields
    task = asyncio.create_task(first_spend())
    await asyncio.sleep(0)
    assert cede_loop().statistics().forced_yields == before + 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return task


def test_cancelled_while_it_gives_way_nothing_is_taken_or_held() -> None:
    async def main() -> None:
        line: Any = cede.Queue()
        line.put_nowait("item")
        await stopped_where_it_gives_way(line.get())
        assert line.get_nowait() == "item"
        await stopped_where_it_gives_way(line.put("other"))
        assert line.empty()
        free = cede.Lock()
        await stopped_where_it_gives_way(free.acquire())
        assert not free.locked()
        permits = cede.Semaphore(1)
        await stopped_where_it_gives_way(permits.acquire())
        assert not permits.locked()
        stream = cede.StreamReader()
        stream.feed_data(b"bytes")
        await stopped_where_it_gives_way(stream.read(5))
        assert await stream.read(5) == b"bytes"

        async def limited() -> None:
            async with cede.timeout(0.01):
                raise AssertionError("the block was entered")

        task = await stopped_where_it_gives_way(limited())
        assert task.cancelling() == 1

        async def grouped() -> None:
            async with cede.TaskGroup():
                raise AssertionError("the block was entered")

        await stopped_where_it_gives_way(grouped())

    cede.run(main(), fair=1)


def test_a_cancellation_reaches_the_future_that_is_awaited() -> None:
    async def main() -> bool:
        pending = cede_loop().create_future()

        async def work() -> None:
            up = cede.Event()
            up.set()
            await up.wait()
            await pending

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return bool(pending.cancelled())

    assert cede.run(main(), fair=1)


def test_the_end_of_a_group_waits_for_its_tasks() -> None:
    async def main() -> list[str]:
        story: list[str] = []

        async def child() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                story.append("child")

        async def block() -> None:
            try:
                async with cede.TaskGroup() as group:
                    group.create_task(child())
                    await asyncio.sleep(0)
                    up = cede.Event()
                    up.set()
                    await up.wait()
            finally:
                story.append("block")

        task = asyncio.create_task(block())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return story

    assert cede.run(main(), fair=1) == ["child", "block"]


def test_whoever_had_to_be_made_to_is_named() -> None:
    async def main() -> Any:
        await asyncio.gather(asyncio.create_task(queue(), name="Greedy"), asyncio.create_task(event(), name="Lesser"))
        return cede_loop().statistics()

    seen = cede.run(main(), fair=BUDGET)
    first, second = seen.greedy
    assert isinstance(first, cede.GreedyPlace)
    assert (first.task, second.task) == ("Greedy", "Lesser")
    assert first.where.startswith(f"queue() at {__file__}:")
    assert second.where.startswith(f"event() at {__file__}:")
    assert first.yields > second.yields > 0
    assert first.yields + second.yields == seen.forced_yields
    assert seen.fair == BUDGET


def test_places_without_end_are_counted_together() -> None:
    async def main() -> Any:
        for number in range(100):
            space: dict[str, Any] = {}
            exec(f"async def f{number}(up):\n    await up.wait()\n    await up.wait()", space)
            up = cede.Event()
            up.set()
            await asyncio.create_task(space[f"f{number}"](up))
        return cede_loop().statistics()

    seen = cede.run(main(), fair=1)
    assert seen.forced_yields == 100
    assert len(seen.greedy) == 65
    assert seen.greedy[0].where == "elsewhere"
    assert seen.greedy[0].yields == 36


def test_one_loop_is_fair_and_another_is_not() -> None:
    """Each in a thread of its own, at the same time."""
    meet = threading.Barrier(2)
    turns: dict[str, list[int]] = {"fair": [], "plain": []}

    def thread(name: str, fair: int | bool) -> None:
        async def main() -> None:
            for _ in range(20):
                meet.wait(60)
                turns[name].append(await turns_of(event))

        cede.run(main(), fair=fair)

    both = [threading.Thread(target=thread, args=each) for each in (("fair", BUDGET), ("plain", False))]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert set(turns["plain"]) == {1}
    assert min(turns["fair"]) >= ROUNDS // BUDGET
    assert len(turns["fair"]) == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_made_by_fork_is_no_fairer_than_it_asks_to_be() -> None:
    code = """
    import asyncio, os, cede
    async def spin():
        up = cede.Event(); up.set()
        for _ in range(100):
            await up.wait()
    async def turns():
        task = asyncio.create_task(spin())
        count = 0
        while not task.done():
            await asyncio.sleep(0)
            count += 1
        return count
    async def main():
        pid = os.fork()
        if not pid:
            try:
                fair = cede.run(turns(), fair=10)
                os._exit(0 if cede.run(turns(), fair=False) == 1 and fair > 1 else 1)
            except BaseException:
                os._exit(2)
        assert await turns() > 1
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(cede.run(main(), fair=10))
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize(("fair", "limit"), [(None, 0), (False, 0), (True, 128), (1, 1), (1000, 1000), (10**30, sys.maxsize)])
def test_what_fair_means(fair: Any, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CEDE_FAIR", raising=False)
    with cede.Runner(fair=fair) as runner:
        loop: Any = runner.get_loop()
        assert loop.statistics().fair == limit


@pytest.mark.parametrize(("said", "limit"), [("", 0), ("off", 0), ("0", 0), ("on", 128), ("ON", 128), ("17", 17)])
def test_what_the_environment_says(said: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEDE_FAIR", said)
    for fair, meant in ((None, limit), (False, 0), (5, 5)):
        loop = cede.new_event_loop(fair=fair)
        assert loop.statistics().fair == meant
        loop.close()


def test_what_fair_cannot_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="fair must be True, False or a number of awaits, got 'yes'"):
        cede.new_event_loop(fair="yes")  # type: ignore[arg-type]
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=f"fair must be 1 await or more, got {wrong}"):
            cede.new_event_loop(fair=wrong)
    with pytest.raises(TypeError, match="fair is for the loop that cede makes"):
        cede.Runner(fair=True, loop_factory=asyncio.SelectorEventLoop)
    monkeypatch.setenv("CEDE_FAIR", "often")
    with pytest.raises(ValueError, match="CEDE_FAIR must be 'on', 'off' or a number of awaits, got 'often'"):
        cede.new_event_loop()


@pytest.mark.parametrize(("option", "limit"), [((), 0), (("--fair",), 128), (("--fair=9",), 9)])
def test_command_line(option: tuple[str, ...], limit: int, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import asyncio\nasync def main():\n    print(asyncio.get_running_loop().statistics().fair)\nasyncio.run(main())\n")
    environment = {name: value for name, value in os.environ.items() if name != "CEDE_FAIR"}
    done = subprocess.run(
        [sys.executable, "-m", "cede", "run", *option, program], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{limit}\n", "", 0)


def test_command_line_refuses_what_is_no_number(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cede", "run", "--fair=much", "-c", "print(1)"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "cede run: CEDE_FAIR must be 'on', 'off' or a number of awaits, got 'much'" in done.stderr
