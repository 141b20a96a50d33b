"""Eager tasks: the first step is taken inside create_task."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from typing import Any

import pytest

import cede

EAGER_IN_ASYNCIO = sys.version_info >= (3, 12)
ORACLES = [asyncio.new_event_loop] if EAGER_IN_ASYNCIO else []
factories = pytest.mark.parametrize("factory", [cede.new_event_loop, *ORACLES], ids=["cede", "asyncio"][: 1 + len(ORACLES)])


def run(factory: Any, main: Any) -> Any:
    loop = factory()
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def start(coroutine: Any, **options: Any) -> Any:
    loop = asyncio.get_running_loop()
    if isinstance(loop, cede.EventLoop):
        return loop.create_task(coroutine, eager_start=True, **options)
    return asyncio.Task(coroutine, loop=loop, eager_start=True, **options)


@factories
def test_a_coroutine_that_never_waits_is_done_at_once(factory: Any) -> None:
    async def quick() -> int:
        return 5

    async def main() -> None:
        task = start(quick())
        assert task.done()
        assert task.result() == 5
        assert await task == 5
        assert task not in asyncio.all_tasks()
        if factory is cede.new_event_loop:  # asyncio's repr fails here on some versions
            assert "finished" in repr(task)

    run(factory, main)


@factories
def test_one_that_waits_is_a_task_like_any_other(factory: Any) -> None:
    seen: list[str] = []

    async def child() -> str:
        seen.append("first step")
        assert asyncio.current_task() is not main_task
        await asyncio.sleep(0)
        seen.append("second step")
        return "end"

    async def main() -> None:
        nonlocal main_task
        main_task = asyncio.current_task()
        task = start(child(), name="eager")
        assert seen == ["first step"]
        assert asyncio.current_task() is main_task
        assert not task.done()
        assert task in asyncio.all_tasks()
        assert task.get_name() == "eager"
        assert await task == "end"
        assert task not in asyncio.all_tasks()

    main_task: Any = None
    run(factory, main)


@factories
def test_an_error_in_the_first_step_belongs_to_the_task(factory: Any) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        me = asyncio.current_task()
        task = start(fail())
        assert task.done()
        assert asyncio.current_task() is me
        with pytest.raises(ZeroDivisionError):
            await task

    run(factory, main)


@factories
def test_the_first_step_runs_in_the_tasks_context(factory: Any) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")

    async def child() -> None:
        var.set("child")
        await asyncio.sleep(0)
        assert var.get() == "child"

    async def main() -> None:
        var.set("main")
        task = start(child())
        assert var.get() == "main"
        await task
        assert var.get() == "main"

    run(factory, main)


def test_a_context_that_is_entered_already_leaves_the_current_task_alone() -> None:
    async def child() -> None:
        pass

    async def main() -> None:
        me = asyncio.current_task()
        assert me is not None
        coroutine = child()
        with pytest.raises(RuntimeError, match="entered"):
            start(coroutine, context=me.get_context())
        coroutine.close()  # it never ran
        assert asyncio.current_task() is me
        await asyncio.sleep(0)
        assert asyncio.current_task() is me

    run(cede.new_event_loop, main)


@factories
def test_cancelled_in_its_first_step(factory: Any) -> None:
    async def child() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def main() -> None:
        task = start(child())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(factory, main)


def test_nested_eager_tasks_finish_inside_out() -> None:
    seen: list[int] = []

    async def level(number: int) -> None:
        if number:
            await start(level(number - 1))
        seen.append(number)

    async def main() -> None:
        assert start(level(50)).done()

    run(cede.new_event_loop, main)
    assert seen == list(range(51))


@pytest.mark.skipif(not EAGER_IN_ASYNCIO, reason="asyncio has no eager tasks before Python 3.12")
@pytest.mark.parametrize("made", ["ready-made", "by us", "by asyncio"])
def test_eager_factories(made: str) -> None:
    factory = {
        "ready-made": lambda: asyncio.eager_task_factory,
        "by us": lambda: asyncio.create_eager_task_factory(cede.Task),
        "by asyncio": lambda: asyncio.create_eager_task_factory(asyncio.Task),
    }[made]()

    async def quick() -> int:
        return 1

    async def slow() -> int:
        await asyncio.sleep(0)
        return 2

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        assert loop.create_task(quick()).done()
        assert asyncio.create_task(quick(), name="named").get_name() == "named"
        assert await asyncio.gather(quick(), slow(), quick()) == [1, 2, 1]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(slow()) for _ in range(3)]
        assert [task.result() for task in tasks] == [2, 2, 2]
        assert await asyncio.wait_for(slow(), 10) == 2

    run(cede.new_event_loop, main)


def test_without_a_running_loop_the_first_step_waits() -> None:
    seen: list[str] = []

    async def child() -> None:
        seen.append("ran")

    loop = cede.new_event_loop()
    task = loop.create_task(child(), eager_start=True)
    assert seen == []
    loop.run_until_complete(task)
    assert seen == ["ran"]
    loop.close()


def test_an_unknown_option_is_refused() -> None:
    async def child() -> None:
        pass

    loop = cede.new_event_loop()
    coroutine = child()
    with pytest.raises(TypeError, match="priority"):
        loop.create_task(coroutine, priority=3)
    coroutine.close()
    loop.close()


def test_an_eager_task_is_not_started_on_a_thread_that_is_not_its_loops() -> None:
    """cpython 155338: two threads would be inside one loop, whose own then waits for ever. It raises, in any mode, and the loop goes on."""
    ran: list[str] = []

    async def child() -> None:
        ran.append(threading.current_thread().name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        coroutine = child()

        def elsewhere() -> BaseException | None:
            try:
                cede.Task(coroutine, loop=loop, eager_start=True)
            except RuntimeError as error:
                return error
            return None

        error = await asyncio.to_thread(elsewhere)
        assert "must be the thread of its loop" in str(error)
        assert ran == []
        await cede.Task(coroutine, loop=loop, eager_start=True)
        assert ran == [threading.current_thread().name]

    cede.run(main())


def test_an_eager_step_may_run_a_turn_by_hand() -> None:
    """The turn leaves no task current, and neither is one to be current again. Python 3.12 takes it amiss where nobody follows nobody."""
    loop: Any = cede.new_event_loop()
    reports: list[Any] = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    ran: list[Any] = []

    async def step() -> None:
        loop.call_soon(ran.append, "in between")
        loop._run_once()
        ran.append(asyncio.current_task(loop))

    def begin() -> None:
        loop.stop()
        ran.append(cede.Task(step(), loop=loop, eager_start=True))
        ran.append(asyncio.current_task(loop))

    loop.call_soon(begin)
    loop.run_forever()
    loop.close()
    assert not reports
    assert ran[0] == "in between"
    assert ran[2].done()
    assert ran[3] is None
