"""Futures: who waits, in which order they are woken, and what asyncio's own tools make of ours."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

import cede


def test_waiters_and_callbacks_are_woken_in_the_order_they_came(run: Callable[..., Any]) -> None:
    seen: list[str] = []

    async def wait(name: str, future: Any) -> None:
        await future
        seen.append(name)

    async def main() -> None:
        for order in ("tctc", "cttc", "tttt", "cctt"):
            future = asyncio.get_running_loop().create_future()
            tasks = []
            for number, kind in enumerate(order):
                if kind == "t":
                    tasks.append(asyncio.create_task(wait(f"t{number}", future)))
                    await asyncio.sleep(0)
                else:
                    future.add_done_callback(lambda _, name=f"c{number}": seen.append(name))
            future.set_result(None)
            await asyncio.gather(*tasks)
            await asyncio.sleep(0)
            assert seen == [f"{kind}{number}" for number, kind in enumerate(order)]
            seen.clear()

    run(main)


def test_the_first_waiter_is_a_callback_like_any_other(run: Callable[..., Any]) -> None:
    async def wait(future: Any) -> None:
        await future

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(wait(future))
        await asyncio.sleep(0)
        assert task._fut_waiter is future
        assert len(future._callbacks) == 1
        assert task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.cancelled()
        assert future.cancelled()

    run(main)


def test_a_result_for_many_waiters(run: Callable[..., Any]) -> None:
    async def wait(future: Any) -> Any:
        return await future

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(wait(future)) for _ in range(1000)]
        await asyncio.sleep(0)
        future.set_result("all")
        assert await asyncio.gather(*tasks) == ["all"] * 1000

    run(main)


def test_one_waiter_cancelled_cancels_the_future_for_all(run: Callable[..., Any]) -> None:
    async def wait(future: Any) -> Any:
        return await future

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(wait(future)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3

    run(main)


def test_a_callback_that_raises_does_not_stop_the_others(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    future = loop.create_future()
    future.add_done_callback(lambda _: 1 // 0)  # type: ignore[arg-type, return-value]
    future.add_done_callback(lambda _: seen.append("next"))
    future.set_result(None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["next"]
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_cannot_be_called_is_reported_and_the_others_are_called(loop: asyncio.AbstractEventLoop, when: str) -> None:
    seen: list[Any] = []
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    future = loop.create_future()
    if when == "after":
        future.set_result(None)
    future.add_done_callback(5)  # type: ignore[arg-type]
    future.add_done_callback(seen.append)
    if when == "before":
        future.set_result(None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [future]
    assert [str(report["exception"]) for report in reports] == ["'int' object is not callable"]


def test_a_callback_that_exits_keeps_the_others(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []

    def leave(_: Any) -> None:
        raise SystemExit(3)

    future = loop.create_future()
    future.add_done_callback(leave)
    future.add_done_callback(lambda _: seen.append("next"))
    future.set_result(None)
    with pytest.raises(SystemExit):
        loop.run_forever()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["next"]


def test_callbacks_run_in_their_context(loop: asyncio.AbstractEventLoop) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")
    seen: list[str] = []
    given = contextvars.copy_context()
    given.run(var.set, "given")
    future = loop.create_future()
    var.set("at the call")
    future.add_done_callback(lambda _: seen.append(var.get()))
    future.add_done_callback(lambda _: seen.append(var.get()), context=given)
    var.set("later")
    future.set_result(None)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == ["at the call", "given"]


def test_states(loop: asyncio.AbstractEventLoop) -> None:
    for finish, state in (
        (lambda future: future.set_result(1), "FINISHED"),
        (lambda future: future.set_exception(ValueError()), "FINISHED"),
        (lambda future: future.cancel(), "CANCELLED"),
    ):
        future: Any = loop.create_future()
        assert future._state == "PENDING"
        with pytest.raises(asyncio.InvalidStateError):
            future.result()
        with pytest.raises(asyncio.InvalidStateError):
            future.exception()
        finish(future)
        assert future._state == state
        assert future.done()
        with pytest.raises(asyncio.InvalidStateError):
            future.set_result(2)
        with pytest.raises(asyncio.InvalidStateError):
            future.set_exception(KeyError())
        assert not future.cancel()
        if not future.cancelled():
            future.exception()


def test_an_exception_raised_twice_does_not_grow(run: Callable[..., Any]) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("again"))
        lengths = []
        for _ in range(5):
            try:
                await future
            except ValueError as error:
                trace, length = error.__traceback__, 0
                while trace is not None:
                    trace, length = trace.tb_next, length + 1
                lengths.append(length)
        assert len(set(lengths)) == 1

    run(main)


def test_unfetched_exceptions_are_reported_when_the_future_dies(loop: asyncio.AbstractEventLoop) -> None:
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    future = loop.create_future()
    future.set_exception(ValueError("nobody looks"))
    del future
    assert [report["message"] for report in reports] == ["Future exception was never retrieved"]
    future = loop.create_future()
    future.set_exception(ValueError("somebody looks"))
    future.exception()
    del future
    gc.collect()
    assert len(reports) == 1


def test_wrapping_a_thread_pools_future(run: Callable[..., Any]) -> None:
    async def main() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert await asyncio.wrap_future(pool.submit(lambda: 7)) == 7
            with pytest.raises(ZeroDivisionError):
                await asyncio.wrap_future(pool.submit(lambda: 1 // 0))
            assert await asyncio.get_running_loop().run_in_executor(pool, threading.get_ident) != threading.get_ident()

    run(main)


def test_run_coroutine_threadsafe(run: Callable[..., Any]) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def other_thread() -> list[int]:
            futures = [asyncio.run_coroutine_threadsafe(double(number), loop) for number in range(100)]
            return [future.result(10) for future in futures]

        assert await asyncio.to_thread(other_thread) == [number * 2 for number in range(100)]

    run(main)


# -- asyncio's tools on our futures and tasks


def test_gather(run: Callable[..., Any]) -> None:
    async def value(number: int) -> int:
        await asyncio.sleep(0)
        if number == 3:
            raise ValueError(number)
        return number

    async def main() -> None:
        assert await asyncio.gather(*(value(number) for number in (1, 2))) == [1, 2]
        got = await asyncio.gather(*(value(number) for number in (1, 3)), return_exceptions=True)
        assert got[0] == 1
        assert isinstance(got[1], ValueError)
        with pytest.raises(ValueError, match="3"):
            await asyncio.gather(*(value(number) for number in (1, 2, 3)))
        assert await asyncio.gather() == []

    run(main)


def test_wait_in_its_three_ways(run: Callable[..., Any]) -> None:
    async def value(delay: float, error: bool = False) -> float:
        await asyncio.sleep(delay)
        if error:
            raise ValueError(delay)
        return delay

    async def main() -> None:
        quick, slow = asyncio.create_task(value(0)), asyncio.create_task(value(3600))
        done, pending = await asyncio.wait([quick, slow], return_when=asyncio.FIRST_COMPLETED)
        assert (done, pending) == ({quick}, {slow})
        done, pending = await asyncio.wait([slow], timeout=0.001)
        assert (done, pending) == (set(), {slow})
        failing = asyncio.create_task(value(0, True))
        done, pending = await asyncio.wait([failing, slow], return_when=asyncio.FIRST_EXCEPTION)
        assert (done, pending) == ({failing}, {slow})
        assert isinstance(failing.exception(), ValueError)
        slow.cancel()
        done, pending = await asyncio.wait([quick, slow])
        assert done == {quick, slow}

    run(main)


def test_wait_for_shield_and_as_completed(run: Callable[..., Any]) -> None:
    async def value(delay: float) -> float:
        await asyncio.sleep(delay)
        return delay

    async def main() -> None:
        assert await asyncio.wait_for(value(0), 10) == 0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(value(3600), 0.001)
        inner = asyncio.create_task(value(3600))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 0.001)
        assert not inner.done()
        inner.cancel()
        order = [await next_one for next_one in asyncio.as_completed([value(0.003), value(0.001), value(0.002)])]
        assert order == [0.001, 0.002, 0.003]

    run(main)


def test_queue_lock_event_condition_semaphore_barrier(run: Callable[..., Any]) -> None:
    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(2)

        async def produce() -> None:
            for number in range(10):
                await queue.put(number)

        async def consume() -> list[int]:
            got = []
            for _ in range(10):
                got.append(await queue.get())
                queue.task_done()
            return got

        _, got = await asyncio.gather(produce(), consume())
        assert got == list(range(10))
        await queue.join()

        lock, held = asyncio.Lock(), 0

        async def exclusive() -> None:
            nonlocal held
            async with lock:
                held += 1
                assert held == 1
                await asyncio.sleep(0)
                held -= 1

        await asyncio.gather(*(exclusive() for _ in range(20)))

        semaphore, inside, most = asyncio.Semaphore(3), 0, 0

        async def limited() -> None:
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(limited() for _ in range(20)))
        assert most == 3

        event, condition, barrier = asyncio.Event(), asyncio.Condition(), asyncio.Barrier(3)
        seen: list[str] = []

        async def wait_for_event() -> None:
            await event.wait()
            seen.append("event")

        async def wait_for_condition() -> None:
            async with condition:
                await condition.wait()
                seen.append("condition")

        waiting = [asyncio.create_task(wait_for_event()), asyncio.create_task(wait_for_condition())]
        await asyncio.sleep(0)
        event.set()
        async with condition:
            condition.notify_all()
        await asyncio.gather(*waiting, *(barrier.wait() for _ in range(3)))
        assert sorted(seen) == ["condition", "event"]

    run(main)


def test_a_cancelled_getter_loses_no_item(run: Callable[..., Any]) -> None:
    """asyncio 343, asyncio 201, tornado 2826, cpython 92824, websockets 486: a get that times out loses its item."""

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        for number in range(50):
            getter = asyncio.create_task(queue.get())
            await asyncio.sleep(0)
            queue.put_nowait(number)
            getter.cancel()
            [outcome] = await asyncio.gather(getter, return_exceptions=True)
            got = number if outcome == number else queue.get_nowait()
            assert got == number
            assert queue.empty()

    run(main)


def test_mixing_our_futures_with_asyncios() -> None:
    """Each kind of task awaits each kind of future, on our loop."""

    async def wait(future: Any) -> Any:
        return await future

    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks = asyncio.tasks
        for task_class in (cede.Task, tasks._CTask, tasks._PyTask):  # type: ignore[attr-defined]
            for future_class in (cede.Future, asyncio.futures._CFuture, asyncio.futures._PyFuture):  # type: ignore[attr-defined]
                future = future_class(loop=loop)
                task = task_class(wait(future), loop=loop)
                await asyncio.sleep(0)
                future.set_result((task_class, future_class))
                assert await task == (task_class, future_class)
                future = future_class(loop=loop)
                task = task_class(wait(future), loop=loop)
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert future.cancelled()

    loop = cede.new_event_loop()
    loop.run_until_complete(main())
    loop.close()


def test_our_classes_on_asyncios_loop() -> None:
    async def wait(future: Any) -> Any:
        return await future

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: Any = cede.Future(loop=loop)
        task: Any = cede.Task(wait(future), loop=loop, name="guest")
        assert task in asyncio.all_tasks()
        await asyncio.sleep(0)
        loop.call_soon(future.set_result, "across")
        assert await asyncio.wait_for(task, 10) == "across"
        assert task not in asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cede.Task(wait(cede.Future(loop=loop)), loop=loop), 0.001)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
