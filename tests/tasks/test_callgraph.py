"""Call graphs lead from a task to whoever waits for it, and show the program's own frames."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import cede

Run = Callable[..., Any]


async def forever() -> None:
    await asyncio.Event().wait()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


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
