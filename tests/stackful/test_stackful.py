"""Plain functions as coroutines: whatever awaits, cancels or looks at a task finds nothing strange in them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import cede

pytest.importorskip("greenlet", reason="greenlet is not to be had for this Python")

from cede import stackful

Run = Callable[..., Any]
NUMBER: contextvars.ContextVar[int] = contextvars.ContextVar("NUMBER", default=0)


def deep(levels: int, awaitable: Any) -> Any:
    """`wait` from so many frames down."""
    return deep(levels - 1, awaitable) if levels else stackful.wait(awaitable)


async def value_later(value: Any, turns: int = 1) -> Any:
    for _ in range(turns):
        await asyncio.sleep(0)
    return value


async def error_later(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


# -- giving way


def test_a_function_waits_from_deep_inside_for_anything_that_can_be_awaited(run: Run) -> None:
    class Answer:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return "answer"

    def work(future: asyncio.Future[str], task: asyncio.Task[str]) -> list[Any]:
        return [
            deep(40, value_later("coroutine", 3)),
            deep(3, future),
            deep(3, task),
            deep(3, Answer()),
            deep(3, cede.sleep(0, "operation")),
            deep(3, cede.sleep(0.001, "timer")),
            deep(3, asyncio.sleep(0.001, "asyncio's timer")),
            deep(3, stackful.run_sync(deep, 5, value_later("another stack"))),
        ]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        loop.call_later(0.002, future.set_result, "future")
        task = asyncio.create_task(value_later("task", 2))
        assert await stackful.spawn(work, future, task) == [
            "coroutine",
            "future",
            "task",
            "answer",
            "operation",
            "timer",
            "asyncio's timer",
            "another stack",
        ]

    run(main)


def test_others_run_while_it_waits_and_two_take_turns(run: Run) -> None:
    said: list[str] = []

    def speaker(name: str) -> None:
        for number in range(3):
            said.append(f"{name}{number}")
            stackful.wait(asyncio.sleep(0))

    async def main() -> None:
        tasks = [stackful.spawn(speaker, "a"), stackful.spawn(speaker, "b")]
        await asyncio.gather(*tasks)

    run(main)
    assert said == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_what_is_done_already_is_not_waited_for(run: Run) -> None:
    turns: list[int] = []

    def work(future: asyncio.Future[int]) -> int:
        got = stackful.wait(future)
        turns.append(1)
        return got

    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(7)
        task = stackful.spawn(work, future)
        await asyncio.sleep(0)
        assert turns == [1]
        assert task.done()
        assert await task == 7

    run(main)


def test_errors_of_what_is_awaited_rise_at_the_wait_and_the_functions_own_reach_whoever_awaits_it(run: Run) -> None:
    def catches() -> str:
        try:
            deep(5, error_later(LookupError("inside")))
        except LookupError as error:
            return f"caught {error}"
        return "nothing"

    def fails(future: Any) -> None:
        deep(5, future)

    async def main() -> None:
        assert await stackful.spawn(catches) == "caught inside"
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ZeroDivisionError("from a future"))
        task = stackful.spawn(fails, future)
        with pytest.raises(ZeroDivisionError, match="from a future") as caught:
            await task
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert names.count("deep") == 6, "the traceback shows the whole stack"
        with pytest.raises(RuntimeError, match="raised StopIteration") as stopped:
            await stackful.run_sync(next, iter(()))
        assert isinstance(stopped.value.__cause__, StopIteration)

    run(main)


# -- a task to everybody else


def test_cancellation_rises_at_the_wait_after_what_is_awaited_had_it_first(run: Run) -> None:
    order: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            order.append("inner")
            raise

    def work() -> None:
        try:
            deep(4, inner())
        except asyncio.CancelledError as error:
            order.append(f"function {error.args}")
            stackful.wait(asyncio.sleep(0))  # cleaning up may wait
            order.append("cleaned up")
            raise

    async def main() -> None:
        task = stackful.spawn(work)
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert order == ["inner", "function ('enough',)", "cleaned up"]
        unstarted = stackful.spawn(work)
        unstarted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unstarted
        assert len(order) == 3, "a function that never started must not start to be cancelled"

    run(main)


def test_a_function_can_swallow_a_cancellation_and_go_on(run: Run) -> None:
    def stubborn() -> str:
        try:
            stackful.wait(asyncio.sleep(60))
        except asyncio.CancelledError:
            pass
        return stackful.wait(value_later("went on"))

    async def main() -> None:
        task = stackful.spawn(stubborn)
        await asyncio.sleep(0)
        task.cancel()
        assert await task == "went on"

    run(main)


def test_groups_timeouts_and_gather_take_it(run: Run) -> None:
    def work(number: int) -> int:
        return deep(number, value_later(number))

    def for_ever() -> None:
        stackful.wait(asyncio.get_running_loop().create_future())

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(stackful.run_sync(work, number)) for number in range(5)]
        assert [task.result() for task in tasks] == [0, 1, 2, 3, 4]
        assert await asyncio.gather(*(stackful.run_sync(work, number) for number in range(5))) == [0, 1, 2, 3, 4]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stackful.run_sync(for_ever), 0.005)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await stackful.run_sync(for_ever)
        with pytest.raises(ExceptionGroup) as failed:
            async with asyncio.TaskGroup() as group:
                group.create_task(stackful.run_sync(for_ever))
                group.create_task(stackful.run_sync(deep, 3, error_later(KeyError("one"))))
        assert [type(error) for error in failed.value.exceptions] == [KeyError]

    run(main)


def test_it_knows_its_task_and_its_loop(run: Run) -> None:
    def work() -> tuple[Any, Any]:
        before = (asyncio.current_task(), asyncio.get_running_loop())
        stackful.wait(asyncio.sleep(0))
        assert (asyncio.current_task(), asyncio.get_running_loop()) == before
        return before

    async def main() -> None:
        task = stackful.spawn(work, name="plain")
        assert task in asyncio.all_tasks()
        assert task.get_name() == "plain"
        assert asyncio.iscoroutine(task.get_coro())
        assert await task == (task, asyncio.get_running_loop())
        inside = await stackful.run_sync(work)
        assert inside[0] is asyncio.current_task(), "run_sync runs inside of the task that awaits it"

    run(main)


def test_context_variables_are_the_tasks_own(run: Run) -> None:
    def sets(number: int) -> int:
        NUMBER.set(number)
        stackful.wait(asyncio.sleep(0))
        return NUMBER.get()

    async def main() -> None:
        NUMBER.set(1)
        results = await asyncio.gather(stackful.spawn(sets, 10), stackful.spawn(sets, 20))
        assert results == [10, 20]
        assert NUMBER.get() == 1
        assert await stackful.run_sync(sets, 30) == 30
        assert NUMBER.get() == 30, "what run_sync sets is set in the task that awaits it, as by a coroutine"
        context = contextvars.copy_context()
        await stackful.spawn(sets, 40, context=context)
        assert context[NUMBER] == 40

    run(main)


def test_many_tasks_interleave_their_stacks_at_random_and_none_sees_anothers(run: Run, rng: Any) -> None:
    def walk(number: int, steps: list[int]) -> int:
        NUMBER.set(number)
        local = [number]
        for depth in steps:
            local.append(deep(depth, value_later(number)))
            assert NUMBER.get() == number
        assert set(local) == {number}
        return number

    async def main() -> None:
        plans = [[rng.randrange(30) for _ in range(rng.randrange(8))] for _ in range(60)]
        tasks = [stackful.spawn(walk, number, plan) for number, plan in enumerate(plans)]
        assert await asyncio.gather(*tasks) == list(range(60))

    run(main)


# -- mistakes


def test_mistakes_are_told(run: Run) -> None:
    def waits_for(thing: Any) -> None:
        stackful.wait(thing)

    def drives_itself() -> None:
        made[0].send(None)

    made: list[Any] = []

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"outside of a stackful coroutine.*spawn"):
            stackful.wait(value_later(1))
        with pytest.raises(TypeError, match="an awaitable is expected, not 'int'"):
            await stackful.run_sync(waits_for, 5)
        with pytest.raises(TypeError, match="a function is expected, not 'int'"):
            stackful.spawn(5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="await it"):
            stackful.run_sync(5)  # type: ignore[arg-type]
        made.append(stackful.run_sync(drives_itself))
        with pytest.raises(ValueError, match="already executing"):
            await made[0]
        with pytest.warns(RuntimeWarning, match="waits_for' was never awaited"):
            stackful.run_sync(waits_for, 1)
            gc.collect()

    run(main)
    with pytest.raises(RuntimeError, match="no running event loop"):
        stackful.spawn(print)


def test_without_greenlet_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["greenlet"] = None
try:
    import cede.stackful
except ModuleNotFoundError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'cede[stackful]'" in told
    code = "import sys, cede; print('greenlet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"



# -- nothing left


def test_nothing_keeps_a_finished_one_alive(run: Run) -> None:
    class Thing:
        pass

    def work(thing: Thing) -> None:
        stackful.wait(asyncio.sleep(0))

    def fails(thing: Thing) -> None:
        stackful.wait(asyncio.sleep(0))
        raise LookupError

    async def main() -> None:
        for function in (work, fails):
            thing = Thing()
            gone = weakref.ref(thing)
            task = stackful.spawn(function, thing)
            del thing
            await asyncio.wait([task])
            error = task.exception()
            del error, task
            assert gone() is None, f"{function.__name__}: no collector may be needed"

    gc.collect()
    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()


def test_a_loop_that_ends_cancels_what_is_suspended(run: Run) -> None:
    ended: list[str] = []

    def for_ever() -> None:
        try:
            deep(3, asyncio.sleep(3600))
        finally:
            ended.append("finally")

    async def main() -> None:
        stackful.spawn(for_ever)
        await asyncio.sleep(0)

    run(main)
    assert ended == ["finally"]


def test_loops_in_several_threads_have_their_own_stacks(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    results: dict[int, list[int]] = {}

    def work(number: int) -> int:
        return sum(deep(5, value_later(number)) for _ in range(20))

    def thread(number: int) -> None:
        async def main() -> None:
            results[number] = await asyncio.gather(*(stackful.spawn(work, number) for _ in range(10)))

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert results == {number: [20 * number] * 10 for number in range(4)}


# -- across


def test_async_with_and_async_for_have_their_plain_forms(run: Run) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def manager(swallows: bool) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        try:
            yield "value"
        except LookupError:
            told.append("saw it")
            if not swallows:
                raise
        finally:
            await asyncio.sleep(0)
            told.append("left")

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(100):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            told.append("closed")

    def work() -> None:
        with stackful.entered(manager(True)) as value:
            assert value == "value"
        with stackful.entered(manager(True)):
            raise LookupError
        with pytest.raises(LookupError), stackful.entered(manager(False)):
            raise LookupError
        assert list(zip(stackful.iterate(numbers()), range(3), strict=False)) == [(0, 0), (1, 1), (2, 2)]
        assert sum(stackful.iterate(numbers())) == 4950

    async def main() -> None:
        await stackful.spawn(work)

    run(main)
    assert told == ["left", "saw it", "left", "saw it", "left", "closed", "closed"]


def test_a_parser_that_pulls_reads_from_a_stream(run: Run) -> None:
    import csv
    import io
    import pickle

    def parse(reader: Any) -> list[list[str]]:
        with io.TextIOWrapper(stackful.open_file(reader), encoding="utf-8") as text:
            return list(csv.reader(text))

    def answer(reader: Any, writer: Any) -> None:
        with stackful.open_file(reader, writer) as file:
            pickle.dump(pickle.load(file)[::-1], file)
            file.flush()

    async def main() -> None:
        reader = asyncio.StreamReader()
        task = stackful.spawn(parse, reader)
        for piece in (b"one,tw", "o\nthr\u00e9".encode()[:-1], "\u00e9".encode()[-1:] + b"e,4\n"):
            reader.feed_data(piece)
            await asyncio.sleep(0)
        assert not task.done()
        reader.feed_eof()
        assert await task == [["one", "two"], ["thr\u00e9e", "4"]]

        served = asyncio.Event()

        async def serve(reader: Any, writer: Any) -> None:
            await stackful.run_sync(answer, reader, writer)
            await writer.wait_closed()
            served.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(pickle.dumps(list(range(50_000))))
            assert pickle.loads(await reader.read()) == list(range(50_000))[::-1]
            writer.close()
            await served.wait()
        with pytest.raises(ValueError, match="a reader, a writer, or both"):
            stackful.open_file()

    run(main)
