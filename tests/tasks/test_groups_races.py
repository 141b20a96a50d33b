"""Races of groups, time limits and scopes that users of event loops have met; the numbers are those of the reports they come from."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cede

Run = Callable[..., Any]


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def forever() -> None:
    await asyncio.Event().wait()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("before", range(4))
def test_cancel_in_the_turn_of_the_result_86296(run: Run, ns: Any, before: int) -> None:
    """python/cpython#86296: `wait_for` is cancelled as its future gets a result: the wait ends by one of the two, and the task is not
    stuck.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        task = asyncio.create_task(ns.wait_for(future, 60))
        await turns(before)
        future.set_result("result")
        task.cancel()
        try:
            assert await task == "result"
        except asyncio.CancelledError:
            assert task.cancelled()
        assert future.done()

    run(main)


def test_result_in_the_turn_of_the_time_limit_86296(run: Run) -> None:
    """synchronicity#208: a result that is there when the time is up is returned."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(0.02, future.set_result, "result")
        waiting = asyncio.create_task(cede.wait_for(future, 0.02))
        await turns(2)
        # Both timers are due in one turn.
        end = loop.time() + 0.05
        while loop.time() < end:
            pass
        return await waiting

    assert run(main) == "result"


def test_outer_time_limit_while_the_group_stops_155433(run: Run) -> None:
    """python/cpython#155433: the outer limit is reached while a cancelled group waits for a task that takes its time."""

    async def main() -> None:
        async def slow_to_end() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)

        with pytest.raises(TimeoutError):
            async with cede.timeout(0.01):
                async with cede.TaskGroup() as group:
                    group.create_task(slow_to_end())
                    await asyncio.sleep(0)
                    group.cancel()
                    await asyncio.sleep(0)
                raise AssertionError("never here")
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    run(main)


def test_group_that_is_cancelled_is_left_quietly(run: Run) -> None:
    async def main() -> list[str]:
        told = []
        async with cede.TaskGroup() as group:
            group.create_task(forever())
            await asyncio.sleep(0)
            group.cancel()
            group.cancel()
            await forever()
        told.append("left")
        group.cancel()
        group = cede.TaskGroup()
        group.cancel()
        async with group:
            await forever()
        told.append("left")
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)
        return told

    assert run(main) == ["left", "left"]


def test_parent_cancelled_while_a_child_fails_116720(run: Run, ns: Any) -> None:
    """python/cpython#116720, #95289: nested groups; the error is raised, and the cancellation is not lost."""

    async def main() -> None:
        async def fail() -> None:
            raise ValueError

        async def fail_when_cancelled() -> None:
            try:
                await forever()
            finally:
                raise KeyError

        async def work() -> str:
            try:
                async with ns.TaskGroup() as outer:
                    outer.create_task(forever())
                    async with ns.TaskGroup() as inner:
                        inner.create_task(fail_when_cancelled())
                        await forever()
            except* KeyError:
                pass
            # In which way the cancellation is still to come differs by version; that it is counted does not.
            assert asyncio.current_task().cancelling() == 1
            return "done"

        task = asyncio.create_task(work())
        await turns(3)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.result() == "done"

        # And without a cancellation from outside nothing is left of the groups' own.
        try:
            async with ns.TaskGroup():
                async with ns.TaskGroup() as inner:
                    inner.create_task(fail())
                    await forever()
        except* ValueError:
            pass
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0)

    run(main)


def test_cancelled_twice_while_it_waits_for_its_tasks_133747(run: Run, ns: Any) -> None:
    """python/cpython#133747: the block is not left before its tasks are done, however often it is cancelled."""

    async def main() -> None:
        ended = []

        async def stubborn() -> None:
            for _ in range(3):
                try:
                    await forever()
                except asyncio.CancelledError:
                    pass
            ended.append(True)

        async def block() -> None:
            async with ns.TaskGroup() as group:
                child.append(group.create_task(stubborn()))

        child: list[Any] = []
        task = asyncio.create_task(block())
        await turns(3)
        for _ in range(3):
            task.cancel()
            await turns(3)
            assert not task.done()
        child[0].cancel()
        await turns(3)
        child[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended

    run(main)


def test_done_task_in_a_cancelled_scope_costs_nothing_1111() -> None:
    """agronholm/anyio#1111: a scope that stays cancelled, with nobody left to ask, has no work for the loop."""

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        with cede.CancelScope() as scope:
            async with cede.TaskGroup() as group:
                group.create_task(turns(2))
                await turns(3)
                scope.cancel()
            with cede.CancelScope(shield=True):
                before = loop.steps
                await asyncio.sleep(0.05)
                return int(loop.steps - before)
        raise AssertionError("never here")

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        with pytest.raises((AssertionError, asyncio.CancelledError)):
            steps = runner.run(main())
            assert steps < 20
            raise AssertionError


def test_stopping_group_in_a_cancelled_scope_costs_nothing_1257() -> None:
    """agronholm/anyio#1257: the scope asks the tasks; it does not ask the group that waits for them again and again."""

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()

        async def slow_to_end() -> None:
            with cede.CancelScope(shield=True):
                await asyncio.sleep(0.1)

        with cede.CancelScope() as scope:
            async with cede.TaskGroup() as group:
                group.create_task(slow_to_end())
                await asyncio.sleep(0)
                scope.cancel()
                before = loop.steps
        assert scope.cancelled_caught
        return int(loop.steps - before)

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        assert runner.run(main()) < 20


def test_eager_task_made_on_the_wrong_thread_155338() -> None:
    """python/cpython#155338: an error where the mistake was made, or a task that runs; never a loop that hangs."""
    ended: list[Any] = []

    async def main() -> str:
        loop = asyncio.get_running_loop()

        async def quick() -> None:
            ended.append(threading.get_ident())

        def other_thread() -> None:
            coroutine = quick()
            try:
                cede.Task(coroutine, loop=loop, eager_start=True)
            except RuntimeError as error:
                ended.append(error)
                coroutine.close()

        await asyncio.to_thread(other_thread)
        await asyncio.sleep(0)
        return "the loop goes on"

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        assert runner.run(main()) == "the loop goes on"
    assert len(ended) == 1


def test_happy_eyeballs_with_eager_tasks_124309() -> None:
    """python/cpython#124309: connecting by several addresses works where tasks start eagerly."""

    async def main() -> bytes:
        loop = asyncio.get_running_loop()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop.set_task_factory(cede.eager_task_factory)
        async with server:
            reader, writer = await asyncio.open_connection("localhost", port, happy_eyeballs_delay=0.01)
            got = await reader.read()
            writer.close()
        loop.set_task_factory(None)
        return got

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        assert runner.run(main()) == b"hello"


@pytest.mark.parametrize("eager", [False, True])
def test_group_keeps_no_exception_124958(run: Run, no_collector: None, eager: bool) -> None:
    """python/cpython#124958, #128552, #98543: nothing of a failed group stays, with the collector off."""

    class Failure(Exception):
        pass

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        if eager:
            if not isinstance(loop, cede.EventLoop):
                return []
            loop.set_task_factory(cede.eager_task_factory)

        async def fail() -> None:
            if not eager:
                await asyncio.sleep(0)
            raise Failure

        group = cede.TaskGroup()
        dead: list[Any] = []
        try:
            async with group:
                task = group.create_task(fail())
                dead.append(weakref.ref(task))
                del task
                await forever()
        except* Failure as errors:
            dead.append(weakref.ref(errors.exceptions[0]))
        loop.set_task_factory(None)
        await asyncio.sleep(0)
        assert group._errors == []
        return dead

    assert [each() for each in run(main)] in ([None, None], [])


def test_gather_and_wait_for_keep_no_exception(run: Run, no_collector: None) -> None:
    class Failure(Exception):
        pass

    async def main() -> list[Any]:
        dead = []

        async def fail() -> None:
            await asyncio.sleep(0)
            raise Failure

        for wait in (lambda: cede.gather(fail(), forever()), lambda: cede.wait_for(fail(), 10), lambda: cede.shield(fail())):
            try:
                await wait()
            except Failure as error:
                dead.append(weakref.ref(error))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await turns(2)
        return dead

    assert [each() for each in run(main)] == [None] * 3
