"""asyncio's combinators and primitives on our tasks: cancelling in the same turn as the result, groups, what is kept of an error."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Run = Callable[..., Any]
# What these combinators do is the library's part and differs from version to version; ours is that each task keeps count truly.
modern = pytest.mark.skipif(sys.version_info < (3, 12), reason="wait_for was written anew in 3.12")
settled = pytest.mark.skipif(sys.version_info < (3, 13), reason="a group gives back what it took since 3.13")


@pytest.fixture
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("how", [pytest.param("wait_for", marks=modern), "timeout"])
@pytest.mark.parametrize("first", ["result", "cancel"])
@pytest.mark.parametrize("turns", range(4))
def test_cancelled_in_the_turn_of_the_result(run: Run, how: str, first: str, turns: int) -> None:
    """cpython 86296, synchronicity 208: a request to cancel is never swallowed by wait_for, and a result never lost without one."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        got: list[Any] = []

        async def wait() -> None:
            try:
                if how == "wait_for":
                    got.append(await asyncio.wait_for(future, 10))
                else:
                    async with asyncio.timeout(10):
                        got.append(await future)
                await asyncio.sleep(0)
                got.append("went on")
            except asyncio.CancelledError:
                got.append("cancelled")
                raise

        task = asyncio.create_task(wait())
        for _ in range(turns):
            await asyncio.sleep(0)
        if first == "result":
            future.set_result("result")
            task.cancel()
        else:
            task.cancel()
            if not future.done():
                future.set_result("result")
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert "went on" not in got

    run(main)


@settled
def test_nested_groups_and_a_parent_that_is_cancelled_while_its_child_fails(run: Run) -> None:
    """cpython 116720, cpython 133747, cpython 95289: the outer request is delivered, and no task is left counting one that was."""

    async def main() -> None:
        async def fail_when(event: asyncio.Event) -> None:
            await event.wait()
            raise ZeroDivisionError

        async def nested(event: asyncio.Event, counts: list[int]) -> None:
            task = asyncio.current_task()
            assert task is not None
            try:
                async with asyncio.TaskGroup() as outer:
                    outer.create_task(asyncio.sleep(0))
                    async with asyncio.TaskGroup() as inner:
                        inner.create_task(fail_when(event))
                        await asyncio.sleep(1000)
            except* ZeroDivisionError:
                pass
            counts.append(task.cancelling())
            await asyncio.sleep(0)
            counts.append(-1)  # only where nobody asked it to stop

        for order in ("fail", "fail+cancel", "cancel+fail"):
            for turns in range(4):
                event = asyncio.Event()
                counts: list[int] = []
                task = asyncio.create_task(nested(event, counts))
                for _ in range(3):
                    await asyncio.sleep(0)
                if order == "cancel+fail":
                    task.cancel()
                event.set()
                if order == "fail+cancel":
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    if not task.done():
                        task.cancel()
                with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
                    await task
                if order == "fail":
                    assert counts == [0, -1]
                elif order == "cancel+fail":
                    assert -1 not in counts
                    assert task.cancelled() or task.exception() is not None

    run(main)


@pytest.mark.parametrize("primitive", ["lock", "semaphore", "condition"])
def test_no_wake_up_is_lost_to_a_cancellation(run: Run, rng: random.Random, primitive: str) -> None:
    """cpython 112202, cpython 90155, cpython 86766, cpython 111693, bpo 27585: whoever waits for a lock that is free gets it, in order."""
    if sys.version_info < (3, 12, 1) and primitive == "semaphore":
        pytest.skip("the library's own was mended in 3.12.1")
    if sys.version_info < (3, 13) and primitive == "condition":
        pytest.skip("the library's own was mended in 3.13")

    async def main() -> None:
        lock: Any = asyncio.Lock() if primitive == "lock" else asyncio.Semaphore(2) if primitive == "semaphore" else asyncio.Condition()
        served: list[int] = []
        stock = 0

        async def use(number: int) -> None:
            nonlocal stock
            async with lock:
                if primitive == "condition":
                    while not stock:
                        await lock.wait()
                    stock -= 1
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)
                served.append(number)

        for _ in range(40):
            served.clear()
            stock = 0
            tasks = [asyncio.create_task(use(number)) for number in range(12)]
            victims = set(rng.sample(range(12), 5))
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            for number in sorted(victims, key=lambda _: rng.random()):
                tasks[number].cancel()
                if primitive == "condition":
                    async with lock:
                        stock += 1
                        lock.notify()
                elif rng.random() < 0.5:
                    await asyncio.sleep(0)
            if primitive == "condition":
                async with lock:
                    stock += 12
                    lock.notify_all()
            async with asyncio.timeout(20):
                await asyncio.gather(*tasks, return_exceptions=True)
            survivors = [number for number in range(12) if not tasks[number].cancelled()]
            assert set(survivors) == set(served)
            assert set(range(12)) - victims <= set(survivors)
            if primitive == "lock":
                assert served == sorted(served)
                assert not lock.locked()

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 13, 1), reason="the library's own groups kept it before 3.13.1")
@pytest.mark.parametrize("eager", [False, True])
def test_a_group_keeps_no_error(run: Run, collector_off: None, eager: bool) -> None:
    """cpython 124958, cpython 128552, cpython 98543: when a group has told its error, reference counting alone frees it."""

    class Failure(Exception):
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if eager:
            loop.set_task_factory(asyncio.eager_task_factory)

        async def fail() -> None:
            raise Failure

        async def caught() -> weakref.ref[Failure]:
            reference: Any = None
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fail())
                    await asyncio.sleep(0)
            except BaseExceptionGroup as error:
                reference = weakref.ref(error.exceptions[0])
            return reference

        reference = await caught()
        await asyncio.sleep(0)
        assert reference() is None

    run(main)


def test_a_handler_that_nobody_holds_survives_the_collector(run: Run) -> None:
    """cpython 91887: a task that waits for a stream alone keeps itself alive through nothing but the loop."""

    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        if "cede" not in type(loop).__module__:
            pytest.skip("asyncio lets the collector take it")
        lines: list[bytes] = []
        finished = loop.create_future()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # No server holds this one, no variable names its task.
            while line := await reader.readline():
                lines.append(line)
            writer.close()
            finished.set_result(None)

        one, other = socket.socketpair()
        with other:
            asyncio.create_task(handle(*await asyncio.open_connection(sock=one)))
            del one
            for number in range(5):
                await asyncio.sleep(0)
                gc.collect()
                other.send(b"%d\n" % number)
                await asyncio.sleep(0.001)
                gc.collect()
        await finished
        return lines

    assert run(main) == [b"%d\n" % number for number in range(5)]


def test_the_error_of_a_task_that_is_still_held_is_told_at_the_end(
    loop_factory: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio 397: a reference that is kept delays the report of an error that nobody looked at; it does not swallow it."""

    async def fail() -> None:
        raise ZeroDivisionError("kept")

    loop = loop_factory()
    kept = [loop.create_task(fail())]
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    assert "never retrieved" not in caplog.text
    kept.clear()
    gc.collect()
    assert caplog.text.count("Task exception was never retrieved") == 1


def test_what_refuses_to_be_cancelled_costs_no_turns(loop_factory: Callable[[], Any]) -> None:
    """anyio 1111, anyio 1257: a task whose awaited object says no to `cancel` is told once when it goes on; nobody asks in circles."""

    class Stubborn(asyncio.Future):  # type: ignore[type-arg]
        asked = 0

        def cancel(self, msg: Any = None) -> bool:
            self.asked += 1
            return False

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = Stubborn(loop=loop)

        async def wait() -> str:
            try:
                await future
            except asyncio.CancelledError:
                return "cancelled"
            return "went on"

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert task.cancel()
        before = getattr(loop, "steps", 0)
        await asyncio.sleep(0.02)
        assert getattr(loop, "steps", 0) - before < 5
        assert future.asked == 1
        assert not task.done()
        future.set_result(None)
        assert await task == "cancelled"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
