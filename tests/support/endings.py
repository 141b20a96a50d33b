"""Ways in which what awaits may end: each runs to its end, and nothing that is finished may be left in a cycle.

They let go of what they hold themselves: the frame of whoever awaited is held by the traceback of what was raised there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import cede

Ending = Callable[[Any], Awaitable[None]]
BOTH: dict[str, Ending] = {}
OURS: dict[str, Ending] = {}


def ending(of: dict[str, Ending]) -> Callable[[Ending], Ending]:
    def enter(function: Ending) -> Ending:
        of[function.__name__] = function  # type: ignore[attr-defined]
        return function

    return enter


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def fail() -> None:
    raise KeyError("failed")


async def fail_later() -> None:
    await asyncio.sleep(0)
    raise KeyError("failed")


async def quiet(awaitable: Awaitable[Any]) -> None:
    """Await it, whatever it raises; this frame, which the error's traceback holds, keeps nothing of it."""
    try:
        await awaitable
    except (Exception, asyncio.CancelledError):
        pass
    finally:
        del awaitable


async def cancelled(coroutine: Any) -> None:
    """Run as a task, cancelled where it waits."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await quiet(task)


@ending(BOTH)
async def wait_for_timed_out(of: Any) -> None:
    await quiet(of.wait_for(for_ever(), 0.001))


@ending(BOTH)
async def wait_for_cancelled(of: Any) -> None:
    await cancelled(of.wait_for(for_ever(), 60))


@ending(BOTH)
async def wait_for_that_fails(of: Any) -> None:
    await quiet(of.wait_for(fail(), 60))
    await quiet(of.wait_for(fail_later(), 60))
    await quiet(of.wait_for(fail_later(), None))


@ending(BOTH)
async def wait_for_a_task(of: Any) -> None:
    await quiet(of.wait_for(asyncio.ensure_future(fail_later()), 60))
    await quiet(of.wait_for(asyncio.ensure_future(for_ever()), 0.001))
    await cancelled(of.wait_for(asyncio.ensure_future(for_ever()), 60))


@ending(BOTH)
async def wait_for_without_time(of: Any) -> None:
    await quiet(of.wait_for(for_ever(), 0))
    task = asyncio.ensure_future(fail())
    await quiet(asyncio.shield(task))
    await quiet(of.wait_for(task, 0))
    del task


@ending(BOTH)
async def wait_for_whose_body_fails_late(of: Any) -> None:
    async def body() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            raise KeyError("late") from None

    await quiet(of.wait_for(body(), 0.001))


@ending(BOTH)
async def timeout_reached(of: Any) -> None:
    with contextlib.suppress(TimeoutError):
        async with of.timeout(0.001):
            await for_ever()


@ending(BOTH)
async def timeout_left(of: Any) -> None:
    async def body() -> None:
        async with of.timeout(60):
            await for_ever()

    await cancelled(body())
    with contextlib.suppress(KeyError):
        async with of.timeout(60):
            await fail_later()


@ending(BOTH)
async def timeout_whose_body_fails_late(of: Any) -> None:
    with contextlib.suppress(KeyError):
        async with of.timeout(0.001):
            try:
                await for_ever()
            except asyncio.CancelledError:
                raise KeyError("late")  # noqa: B904


@ending(BOTH)
async def gather_that_fails(of: Any) -> None:
    await quiet(of.gather(fail(), fail_later(), asyncio.sleep(0)))
    await of.gather(fail(), fail_later(), return_exceptions=True)
    await asyncio.sleep(0)


@ending(BOTH)
async def gather_cancelled(of: Any) -> None:
    async def body() -> None:
        await of.gather(for_ever(), for_ever())

    await cancelled(body())


@ending(BOTH)
async def group_whose_task_fails(of: Any) -> None:
    async def body() -> None:
        async with of.TaskGroup() as group:
            group.create_task(fail_later())
            group.create_task(for_ever())

    await quiet(body())


@ending(BOTH)
async def group_whose_body_fails(of: Any) -> None:
    async def body() -> None:
        async with of.TaskGroup() as group:
            group.create_task(for_ever())
            await fail_later()

    await quiet(body())


@ending(BOTH)
async def group_cancelled(of: Any) -> None:
    async def body() -> None:
        async with of.TaskGroup() as group:
            group.create_task(for_ever())
            await for_ever()

    await cancelled(body())

    async def waiting() -> None:
        async with of.TaskGroup() as group:
            group.create_task(for_ever())

    await cancelled(waiting())


@ending(BOTH)
async def groups_within_groups(of: Any) -> None:
    await quiet(deep(of, 2))


async def deep(of: Any, depth: int) -> None:
    async with of.TaskGroup() as group:
        group.create_task(deep(of, depth - 1) if depth else fail_later())
        group.create_task(for_ever())


@ending(BOTH)
async def shielded(of: Any) -> None:
    task = asyncio.ensure_future(fail_later())
    await quiet(of.shield(task))
    inner = asyncio.ensure_future(asyncio.sleep(0.001))

    async def body() -> None:
        await of.shield(inner)

    await cancelled(body())
    await inner
    task = inner = None  # type: ignore[assignment]


@ending(BOTH)
async def waiting(of: Any) -> None:
    tasks = [asyncio.ensure_future(each) for each in (fail(), fail_later(), for_ever())]
    await of.wait(tasks, timeout=0.001)
    tasks[2].cancel()
    await of.wait(tasks)
    for each in of.as_completed(tasks):
        await quiet(each)
    for each in tasks:
        await quiet(each)
    for each in of.as_completed([for_ever()], timeout=0.001):
        await quiet(each)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    del tasks, task, each


@ending(BOTH)
async def primitives_cancelled(of: Any) -> None:
    lock, event, condition, semaphore, barrier, queue = of.Lock(), of.Event(), of.Condition(), of.Semaphore(0), of.Barrier(2), of.Queue(1)
    await lock.acquire()

    async def notified() -> None:
        async with condition:
            await condition.wait()

    for make in (lock.acquire, event.wait, notified, semaphore.acquire, barrier.wait, queue.get):
        await cancelled(make())
    await queue.put(1)
    await cancelled(queue.put(2))
    await cancelled(queue.join())


@ending(BOTH)
async def primitives_broken(of: Any) -> None:
    barrier = of.Barrier(2)
    task = asyncio.ensure_future(quiet(barrier.wait()))
    await asyncio.sleep(0)
    await barrier.abort()
    await task
    await quiet(barrier.wait())
    with contextlib.suppress(RuntimeError):
        of.Lock().release()
    with contextlib.suppress(asyncio.QueueEmpty):
        of.Queue().get_nowait()


@ending(BOTH)
async def streams_that_fail(of: Any) -> None:
    reader = of.StreamReader(limit=4)
    await cancelled(reader.read())
    await cancelled(reader.readexactly(3))
    await cancelled(reader.readline())
    reader.feed_data(b"x" * 20)
    await quiet(reader.readuntil(b"\n"))
    await quiet(reader.readline())
    reader.feed_data(b"ab")
    reader.feed_eof()
    await quiet(reader.readexactly(9))
    broken = of.StreamReader()
    waiting = asyncio.ensure_future(quiet(broken.read()))
    await asyncio.sleep(0)
    broken.set_exception(KeyError("broken"))
    await waiting
    await quiet(broken.read())
    del reader, broken, waiting


@ending(BOTH)
async def connections_that_fail(of: Any) -> None:
    server = await of.start_server(lambda reader, writer: writer.transport.abort(), "127.0.0.1", 0)
    reader, writer = await of.open_connection(*server.sockets[0].getsockname())
    await quiet(reader.read())
    writer.write(b"x")
    await quiet(writer.drain())
    writer.close()
    await quiet(writer.wait_closed())
    address = server.sockets[0].getsockname()
    server.close()
    await quiet(server.wait_closed())
    await quiet(of.open_connection(*address))


@ending(BOTH)
async def jobs_that_fail(of: Any) -> None:
    def job() -> None:
        raise KeyError("failed")

    await quiet(of.to_thread(job))
    await quiet(asyncio.get_running_loop().run_in_executor(None, job))


@ending(BOTH)
async def sleep_cancelled(of: Any) -> None:
    await cancelled(of.sleep(60))
    await cancelled(asyncio.get_running_loop().create_future())


@ending(OURS)
async def scopes(of: Any) -> None:
    with cede.move_on_after(0.001):
        await for_ever()
    with contextlib.suppress(TimeoutError), cede.fail_after(0.001):
        await for_ever()
    with cede.CancelScope() as scope:
        scope.cancel()
        await for_ever()
    with contextlib.suppress(KeyError), cede.move_on_after(60):
        await fail_later()

    async def in_group() -> None:
        with cede.move_on_after(0.001):
            async with cede.TaskGroup() as group:
                group.create_task(for_ever())
                await for_ever()

    await in_group()


async def numbers() -> AsyncIterator[int]:
    for each in range(5):
        await asyncio.sleep(0)
        yield each


async def broken() -> AsyncIterator[int]:
    yield 1
    raise KeyError("failed")


async def double(each: int) -> int:
    await asyncio.sleep(0)
    return each * 2


async def refuse(each: int) -> int:
    raise KeyError(each)


@ending(OURS)
async def flows_to_the_end(of: Any) -> None:
    assert [each async for each in cede.map(double, numbers())] == [0, 2, 4, 6, 8]
    assert [each async for each in cede.map(double, numbers(), limit=2)] == [0, 2, 4, 6, 8]
    assert [each async for each in cede.aiter.merge(numbers(), numbers())]
    assert [each async for each in cede.aiter.batch(numbers(), 2)]
    assert [each async for each in cede.aiter.buffer(numbers(), 2)]
    assert [each async for each in cede.aiter.timeout_each(numbers(), 60)]


@ending(OURS)
async def flows_that_fail(of: Any) -> None:
    async def drain(flow: Any) -> None:
        async for _ in flow:
            pass

    await quiet(drain(cede.map(refuse, numbers())))
    await quiet(drain(cede.map(double, broken())))
    await quiet(drain(cede.aiter.merge(numbers(), broken())))
    await quiet(drain(cede.aiter.buffer(broken(), 2)))
    await quiet(drain(cede.aiter.batch(broken(), 2)))


@ending(OURS)
async def flows_left_early(of: Any) -> None:
    async def first() -> None:
        async with cede.map(double, numbers()) as flow:
            async for _ in flow:
                break

    await first()

    async def stuck() -> None:
        async def endless() -> AsyncIterator[int]:
            yield 1
            await for_ever()

        async for _ in cede.map(double, endless()):
            pass

    await cancelled(stuck())


@ending(OURS)
async def channels(of: Any) -> None:
    sender, receiver = cede.channel(1)
    await cancelled(receiver.receive())
    await sender.send(1)
    await cancelled(sender.send(2))
    sender.close()
    assert [each async for each in receiver] == [1]
    await quiet(receiver.receive())
    receiver.close()
    await quiet(receiver.receive())
    threads = cede.thread_channel(1)
    await cancelled(threads.receive())
    threads.close()
    await quiet(threads.receive())
    await quiet(threads.send(1))


@ending(OURS)
async def limits(of: Any) -> None:
    async def group(work: Callable[[], Any]) -> None:
        async with cede.TaskGroup(limit=1) as group:
            for _ in range(3):
                group.create_task(work())

    await quiet(group(fail_later))
    await cancelled(group(for_ever))

    async def gathered() -> None:
        await cede.gather(for_ever(), for_ever(), limit=1)

    await cancelled(gathered())
    await quiet(cede.gather(fail_later(), for_ever(), limit=1))
    await asyncio.sleep(0)


@ending(OURS)
async def checkpoints(of: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await quiet(cede.checkpoint())
    task.uncancel()
