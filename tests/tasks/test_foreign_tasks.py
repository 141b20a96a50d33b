"""cede's time limits, scopes and groups in tasks that are not cede's: asyncio's, those of a factory, and on asyncio's loop.

Each scene is played with cede's tasks on cede's loop first; what it tells must be the same everywhere.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import cede

Scene = Callable[[], Awaitable[Any]]
SCENES: dict[str, Scene] = {}
# Of asyncio's tasks in Python its `current_task` knows nothing from 3.14 on.
PyTask: Any = asyncio.tasks._PyTask if sys.version_info < (3, 14) else asyncio.Task  # type: ignore[attr-defined]


class TheirTask(PyTask):  # type: ignore[misc]
    """A task class of somebody's, in plain Python."""


def their_factory(loop: Any, coro: Any, **options: Any) -> Any:
    return TheirTask(coro, loop=loop, **options)


def loop_with_their_tasks() -> asyncio.AbstractEventLoop:
    loop = cede.new_event_loop()
    loop.set_task_factory(their_factory)
    return loop


def loop_with_eager_tasks() -> asyncio.AbstractEventLoop:
    loop = cede.new_event_loop()
    loop.set_task_factory(asyncio.create_eager_task_factory(asyncio.Task))  # type: ignore[attr-defined,unused-ignore]
    return loop


def asyncio_loop_with_their_tasks() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    loop.set_task_factory(their_factory)
    return loop


WORLDS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio's tasks": lambda: cede.new_event_loop(tasks="asyncio"),
    "their tasks": loop_with_their_tasks,
    "asyncio's loop": asyncio.SelectorEventLoop,
    "asyncio's loop, their tasks": asyncio_loop_with_their_tasks,
    **({"eager tasks": loop_with_eager_tasks} if sys.version_info >= (3, 12) else {}),
}


def scene(function: Scene) -> Scene:
    SCENES[function.__name__] = function  # type: ignore[attr-defined]
    return function


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def number(value: int) -> int:
    await cede.sleep(0)
    return value


async def told(awaitable: Any) -> str:
    """What becomes of it."""
    task = asyncio.ensure_future(awaitable)
    await asyncio.wait([task])
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__} of {sorted(type(each).__name__ for each in error.exceptions)}"
    return repr(task.result()) if error is None else f"{type(error).__name__}({error})"


async def stopped(coroutine: Any) -> str:
    """What becomes of it when somebody cancels it."""
    task = asyncio.get_running_loop().create_task(coroutine)
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    return f"{await told(task)}, asked {task.cancelling()} times"


@scene
async def timeouts() -> Any:
    async def left() -> Any:
        async with cede.timeout(60) as limit:
            await cede.sleep(0)
        return limit.expired(), asyncio.current_task().cancelling()  # type: ignore[union-attr]

    async def reached() -> Any:
        try:
            async with cede.timeout(0.001):
                await for_ever()
        except TimeoutError as error:
            return type(error.__cause__).__name__, asyncio.current_task().cancelling()  # type: ignore[union-attr]

    async def stuck() -> None:
        async with cede.timeout(60):
            await for_ever()

    async def moved() -> Any:
        limit = cede.timeout(None)
        async with limit:
            limit.reschedule(asyncio.get_running_loop().time() + 0.001)
            await for_ever()

    async def nested() -> Any:
        try:
            async with cede.timeout(0.001):
                async with cede.timeout(60):
                    await for_ever()
        except TimeoutError:
            return asyncio.current_task().cancelling()  # type: ignore[union-attr]

    async def at() -> None:
        async with cede.timeout_at(asyncio.get_running_loop().time() + 0.001):
            await for_ever()

    return [await told(each) for each in (left(), reached(), moved(), nested(), at())], await stopped(stuck())


@scene
async def scopes() -> Any:
    async def moved_on() -> Any:
        with cede.move_on_after(0.001) as scope:
            await for_ever()
        return scope.cancelled_caught, scope.cancel_called, asyncio.current_task().cancelling()  # type: ignore[union-attr]

    async def failed() -> None:
        with cede.fail_after(0.001):
            await for_ever()

    async def again_and_again() -> Any:
        caught = 0
        with cede.CancelScope() as scope:
            scope.cancel()
            for _ in range(3):
                try:
                    await for_ever()
                except asyncio.CancelledError:
                    caught += 1
        return caught, asyncio.current_task().cancelling()  # type: ignore[union-attr]

    async def shielded() -> Any:
        with cede.CancelScope() as outer:
            outer.cancel()
            with cede.CancelScope(shield=True):
                value = await number(5)
            await for_ever()
        return value, outer.cancelled_caught

    async def deadline() -> Any:
        with cede.move_on_after(60):
            inside = cede.current_effective_deadline() < math.inf
        return inside, cede.current_effective_deadline() == math.inf

    async def group_inside() -> Any:
        with cede.move_on_after(0.01) as scope:
            async with cede.TaskGroup() as group:
                group.create_task(for_ever())
                await for_ever()
        return scope.cancelled_caught

    async def stuck() -> None:
        with cede.move_on_after(60):
            await for_ever()

    results = [await told(each) for each in (moved_on(), failed(), again_and_again(), shielded(), deadline(), group_inside())]
    return results, await stopped(stuck())


@scene
async def waits() -> Any:
    async def fails() -> None:
        raise KeyError("failed")

    async def late() -> str:
        try:
            await for_ever()
        except asyncio.CancelledError:
            return "late"
        return ""

    made = [
        cede.wait_for(number(1), 60),
        cede.wait_for(number(1), None),
        cede.wait_for(for_ever(), 0.001),
        cede.wait_for(for_ever(), 0),
        cede.wait_for(fails(), 60),
        cede.wait_for(asyncio.get_running_loop().create_future(), 0.001),
        cede.wait_for(cede.wait_for(for_ever(), 60), 0.001),
    ]
    return [await told(each) for each in made], await stopped(cede.wait_for(for_ever(), 60))


@scene
async def groups() -> Any:
    async def fails() -> None:
        raise KeyError("failed")

    async def works() -> Any:
        async with cede.TaskGroup() as group:
            tasks = [group.create_task(number(each)) for each in range(3)]
        return [task.result() for task in tasks]

    async def one_fails() -> None:
        async with cede.TaskGroup() as group:
            group.create_task(fails())
            group.create_task(for_ever())
            await for_ever()

    async def body_fails() -> None:
        async with cede.TaskGroup() as group:
            group.create_task(for_ever())
            raise ValueError("body")

    async def limited() -> Any:
        async with cede.TaskGroup(limit=1) as group:
            tasks = [group.create_task(number(each)) for each in range(3)]
        return [task.result() for task in tasks], asyncio.current_task().cancelling()  # type: ignore[union-attr]

    async def stuck() -> None:
        async with cede.TaskGroup() as group:
            group.create_task(for_ever())

    async def timed() -> Any:
        try:
            async with cede.timeout(0.01):
                async with cede.TaskGroup() as group:
                    group.create_task(for_ever())
        except TimeoutError:
            return asyncio.current_task().cancelling()  # type: ignore[union-attr]

    return [await told(each) for each in (works(), one_fails(), body_fails(), limited(), timed())], await stopped(stuck())


@scene
async def many_at_once() -> Any:
    async def fails() -> None:
        await cede.sleep(0)
        raise KeyError("failed")

    results = [
        await cede.gather(number(1), number(2)),
        await cede.gather(number(1), number(2), limit=1),
        await told(cede.gather(number(1), fails())),
        [type(each).__name__ for each in await cede.gather(number(1), fails(), return_exceptions=True)],
        [each async for each in cede.map(number, [1, 2, 3])],
        sorted([await each for each in cede.as_completed([number(1), number(2)])]),
        await cede.shield(number(4)),
        await cede.to_thread(int, "5"),
    ]

    async def gathered() -> None:
        await cede.gather(for_ever(), for_ever())

    async def flow() -> None:
        async def stay(each: int) -> None:
            await for_ever()

        async for _ in cede.map(stay, [1, 2]):
            pass

    done, pending = await cede.wait([asyncio.ensure_future(number(1))], timeout=60)
    return results, len(done), len(pending), await stopped(gathered()), await stopped(flow())


def played(function: Scene, factory: Any) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(asyncio.wait_for(function(), 30))


@pytest.mark.parametrize("world", list(WORLDS))
@pytest.mark.parametrize("name", list(SCENES))
def test_scene_is_the_same_everywhere(name: str, world: str) -> None:
    assert played(SCENES[name], WORLDS[world]) == played(SCENES[name], cede.new_event_loop)


def test_a_callback_is_no_task() -> None:
    """Where no task runs, it is said so, whatever tasks the loop makes."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        answers: Any = loop.create_future()

        def callback() -> None:
            found = []
            for enter in (lambda: cede.timeout(1).__aenter__().send(None), lambda: cede.move_on_after(1).__enter__()):
                try:
                    enter()
                except RuntimeError as error:
                    found.append(str(error))
            answers.set_result(found)

        loop.call_soon(callback)
        return await answers  # type: ignore[no-any-return]

    for factory in (cede.new_event_loop, *WORLDS.values()):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert len(runner.run(main())) == 2
