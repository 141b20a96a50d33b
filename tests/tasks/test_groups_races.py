"""Races of groups, time limits and scopes that users of event loops have met; the numbers are those of the reports they come from."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.core.task.cancel_request import request_of

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


def test_cancellation_says_who_asked(run: Run) -> None:
    """The arguments of CancelledError stay what they are; a note tells the rest."""

    async def main() -> tuple[Any, Any]:
        async def victim() -> Any:
            try:
                await forever()
            except asyncio.CancelledError as error:
                return error
            return None

        async def asker(why: Any) -> Any:
            task = cede.Task(victim(), loop=asyncio.get_running_loop())
            await asyncio.sleep(0)
            task.cancel(why)
            return await task

        asking = asyncio.create_task(asker("no longer needed"), name="Asker")
        with_reason = await asking
        without = await asyncio.create_task(asker(None))
        return with_reason, without

    with_reason, without = run(main)
    assert with_reason.args == ("no longer needed",)
    assert without.args == ()
    text = "".join(traceback.format_exception(with_reason))
    assert "cancelled" in text
    assert "no longer needed" in text
    assert "in test_cancellation_says_who_asked.<locals>.main.<locals>.asker() at" in text
    assert f"{__file__}:" in text
    request = request_of(without)
    assert request is not None
    assert request.why is None
    assert request.where.startswith(__file__)


def test_cancellation_names_the_task_that_asked() -> None:
    async def main() -> Any:
        async def victim() -> Any:
            try:
                await forever()
            except asyncio.CancelledError as error:
                return error

        async def asker() -> Any:
            task = asyncio.create_task(victim())
            await asyncio.sleep(0)
            task.cancel()
            return await task

        return await asyncio.create_task(asker(), name="Asker")

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        error = runner.run(main())
    assert request_of(error).by == "Asker"
    assert "cancelled by Asker in " in str(request_of(error))
    assert all(isinstance(note, str) for note in error.__notes__)
    error.add_note("and more")
    assert list(error.__notes__)[1] == "and more"


def test_time_limit_says_so() -> None:
    async def main() -> Any:
        try:
            async with cede.timeout(0.001):
                await forever()
        except TimeoutError as error:
            return error.__cause__

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        cause = runner.run(main())
    assert cause.args == ()
    assert request_of(cause).why == "its time limit was reached"


@pytest.mark.parametrize("debug", [True, False])
def test_task_that_does_not_stop_is_reported(debug: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def stubborn() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)  # this line

        task = asyncio.create_task(stubborn(), name="Stubborn")
        await asyncio.sleep(0)
        task.cancel()
        await task

    cede.run(main(), debug=debug, slow_cancel_duration=0.01)
    [record] = [record for record in caplog.records if "was asked to stop and still runs" in record.getMessage()]
    lines = Path(__file__).read_text().splitlines()
    [line] = [number for number, text in enumerate(lines, 1) if text.endswith("# this line")]
    assert f"{__file__}:{line}" in record.getMessage()
    assert "Stubborn" in record.getMessage()


def test_late_cancellations_are_told_where_somebody_asked_for_it(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        assert loop.slow_cancel_duration is None
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        timers = [loop.statistics().timers]
        loop.slow_cancel_duration = 60
        task.cancel()
        timers.append(loop.statistics().timers)
        with pytest.raises(asyncio.CancelledError):
            await task
        return timers[1] - timers[0]

    assert cede.run(main(), debug=False) == 1
    assert not caplog.records
    for wrong, kind in (("soon", TypeError), (-1, ValueError), (float("nan"), ValueError)):
        with pytest.raises(kind, match="slow_cancel_duration must be"):
            cede.new_event_loop(slow_cancel_duration=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="slow_cancel_duration is for the loop that cede makes"):
        cede.Runner(slow_cancel_duration=1, loop_factory=cede.EventLoop)


def test_task_of_a_closed_loop_is_cancelled_without_a_report() -> None:
    loop = cede.new_event_loop(slow_cancel_duration=0.01)
    task = loop.create_task(forever())
    loop.close()
    task._log_destroy_pending = False
    task.cancel()
    assert task.cancelling() == 1
    task.get_coro().close()


def test_group_waits_in_the_name_of_its_task() -> None:
    """A call graph leads from a task to whoever waits for it, through groups, gather, wait and shield."""

    async def main() -> None:
        found: dict[str, set[Any]] = {}

        async def child(name: str) -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            graph = cede.capture_call_graph()
            found[name] = {waiter.future for waiter in graph.awaited_by}

        me = asyncio.current_task()
        async with cede.TaskGroup() as group:
            group.create_task(child("TaskGroup"))
        await cede.gather(child("gather"))
        await cede.shield(child("shield"))
        await cede.wait([asyncio.create_task(child("wait"))])
        async for _ in cede.as_completed([child("as_completed")]):
            pass
        assert found == {name: {me} for name in ("TaskGroup", "gather", "shield", "wait", "as_completed")}
        text = cede.format_call_graph()
        assert "async test_group_waits_in_the_name_of_its_task.<locals>.main()" in text

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        runner.run(main())


def test_call_graph_shows_the_frames_of_the_program_alone(run: Run) -> None:
    async def main() -> list[str]:
        async def inner() -> None:
            await asyncio.get_running_loop().create_future()

        async def outer() -> None:
            await inner()

        task = asyncio.create_task(outer())
        await turns(1)
        graph = cede.capture_call_graph(task)
        task.cancel()
        return [entry.frame.f_code.co_name for entry in graph.call_stack]

    assert run(main) == ["inner", "outer"]


def test_call_graph_shows_what_wait_for_drives(run: Run) -> None:
    async def main() -> str:
        async def innermost() -> None:
            await forever()

        task = asyncio.create_task(cede.wait_for(innermost(), 60))
        await turns(2)
        text = cede.format_call_graph(task)
        if sys.version_info >= (3, 14):
            assert "innermost" in asyncio.format_call_graph(task)
        task.cancel()
        await asyncio.wait([task])
        return text

    text = run(main)
    assert "main.<locals>.innermost()" in text
    assert "Event.wait()" in text
