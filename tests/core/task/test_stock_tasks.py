"""asyncio's own tasks on cede's loop: by a task factory, for a loop from its first task on, and from outside the program."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
from typing import Any

import pytest

import cede

StockTask = type(asyncio.Task.__new__(asyncio.Task))  # `type` asks the object itself, not what it says that it is


def kind_of(task: Any) -> type:
    return type(task)


async def all_sorts() -> list[Any]:
    """What programs do, and the kinds of the tasks that did it."""
    loop = asyncio.get_running_loop()
    kinds = {kind_of(asyncio.current_task())}

    async def note(value: Any) -> Any:
        kinds.add(kind_of(asyncio.current_task()))
        await cede.sleep(0)
        return value

    results: list[Any] = list(await asyncio.gather(note(1), note(2)))
    async with asyncio.TaskGroup() as group:
        three = group.create_task(note(3), name="three")
        four = cede.create_task(note(4))
    results += [three.result(), four.result(), three.get_name()]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.create_future(), 0.001)
    results.append(await asyncio.to_thread(int, "5"))

    async def echo(reader: cede.StreamReader, writer: cede.StreamWriter) -> None:
        kinds.add(kind_of(asyncio.current_task()))
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await cede.start_server(echo, "127.0.0.1", 0)
    reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    results.append(await reader.readexactly(5))
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    cancelled = loop.create_task(asyncio.sleep(1000))
    await asyncio.sleep(0)
    assert cancelled in asyncio.all_tasks()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert kind_of(loop.create_future()) is cede.Future
    return [kinds, results]


EXPECTED = [1, 2, 3, 4, "three", 5, b"hello"]


def test_a_loop_whose_tasks_are_asyncios() -> None:
    with cede.Runner(loop_factory=lambda: cede.new_event_loop(tasks="asyncio")) as runner:
        kinds, results = runner.run(all_sorts())
        assert runner.get_loop().get_task_factory() is cede.stock_task_factory
    assert kinds == {StockTask}
    assert results == EXPECTED


def test_as_a_task_factory_at_any_time() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(cede.stock_task_factory)
        stock = loop.create_task(all_sorts(), name="stock")
        assert kind_of(stock) is StockTask
        assert stock.get_name() == "stock"
        kinds, results = await stock
        assert kinds == {StockTask}
        assert results == EXPECTED
        loop.set_task_factory(None)
        ours = loop.create_task(all_sorts())
        assert kind_of(ours) is cede.Task
        kinds, results = await ours
        assert kinds == {cede.Task}
        assert results == EXPECTED

    cede.run(main())


def test_the_context_is_passed_on() -> None:
    colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")

    async def ask() -> str:
        return colour.get()

    async def main() -> None:
        context = contextvars.copy_context()
        context.run(colour.set, "red")
        assert await asyncio.get_running_loop().create_task(ask(), context=context) == "red"

    with cede.Runner(loop_factory=lambda: cede.new_event_loop(tasks="asyncio")) as runner:
        runner.run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_ones() -> None:
    async def at_once() -> str:
        return "done"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.create_eager_task_factory(asyncio.Task))
        task = loop.create_task(at_once())
        assert kind_of(task) is StockTask
        assert task.done()
        kinds, results = await loop.create_task(all_sorts())
        assert kinds == {StockTask}
        assert results == EXPECTED

    cede.run(main())


@pytest.mark.parametrize(("value", "expected"), [("asyncio", "_asyncio"), ("cede", "cede.core.task.task"), ("", "cede.core.task.task")])
def test_from_outside(value: str, expected: str) -> None:
    code = "import asyncio, cede\nasync def main(): print(type(asyncio.current_task()).__module__)\ncede.run(main())"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"CEDE_TASKS": value}, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (expected + "\n", "")


def test_a_word_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="tasks must be 'cede' or 'asyncio', got 'stock'"):
        cede.new_event_loop(tasks="stock")
    monkeypatch.setenv("CEDE_TASKS", "stock")
    with pytest.raises(ValueError, match="CEDE_TASKS must be 'cede' or 'asyncio', got 'stock'"):
        cede.new_event_loop()
