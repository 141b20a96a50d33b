"""What a task waits for can be asked of the future that it waits on: its subject, which leaves with the end of the wait."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import re
import socket
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.core.scheduler.kernel import COMPILED

SRC = Path(__file__).resolve().parents[3] / "src" / "cede"


async def turns(count: int = 6) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def subject_of(task: Any) -> Any:
    waited = task._fut_waiter
    assert waited is not None, f"{task!r} does not wait"
    return waited._subject


async def lock() -> tuple[Any, Any]:
    thing = cede.Lock()
    await thing.acquire()
    return thing, thing.acquire()


async def event() -> tuple[Any, Any]:
    thing = cede.Event()
    return thing, thing.wait()


async def semaphore() -> tuple[Any, Any]:
    thing = cede.Semaphore(0)
    return thing, thing.acquire()


async def condition() -> tuple[Any, Any]:
    thing = cede.Condition()

    async def wait() -> None:
        async with thing:
            await thing.wait()

    return thing, wait()


async def condition_for() -> tuple[Any, Any]:
    thing = cede.Condition()

    async def wait() -> None:
        async with thing:
            await thing.wait_for(lambda: False)

    return thing, wait()


async def barrier() -> tuple[Any, Any]:
    thing = cede.Barrier(2)
    return thing, thing.wait()


async def queue_get() -> tuple[Any, Any]:
    thing: cede.Queue[int] = cede.Queue()
    return thing, thing.get()


async def queue_put() -> tuple[Any, Any]:
    thing: cede.Queue[int] = cede.Queue(1)
    thing.put_nowait(1)
    return thing, thing.put(2)


async def queue_join() -> tuple[Any, Any]:
    thing: cede.Queue[int] = cede.Queue()
    thing.put_nowait(1)
    return thing._finished, thing.join()  # type: ignore[attr-defined]


async def thread_channel() -> tuple[Any, Any]:
    thing: Any = cede.thread_channel(1)
    return thing, thing.receive()


async def gather() -> tuple[Any, Any]:
    thing = cede.gather(asyncio.sleep(60), asyncio.sleep(60))

    async def wait() -> None:
        await thing

    return thing, wait()


async def group() -> tuple[Any, Any]:
    thing = cede.TaskGroup()

    async def wait() -> None:
        async with thing:
            thing.create_task(asyncio.sleep(60))

    return thing, wait()


async def a_child() -> tuple[Any, Any]:
    thing = asyncio.ensure_future(asyncio.sleep(60))

    async def wait() -> None:
        try:
            await thing
        finally:
            thing.cancel()

    return None, wait()


async def a_future_of_the_programs_own() -> tuple[Any, Any]:
    thing = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await thing

    return None, wait()


async def reader() -> tuple[Any, Any]:
    thing = cede.StreamReader()
    return thing, thing.readline()


async def server() -> tuple[Any, Any]:
    thing = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)

    async def wait() -> None:
        async with thing:
            await thing.serve_forever()

    return thing, wait()


EXACT: list[Callable[[], Awaitable[tuple[Any, Any]]]] = [
    *(lock, event, semaphore, condition, condition_for, barrier, queue_get, queue_put, queue_join, thread_channel),
    *(gather, group, a_child, a_future_of_the_programs_own, reader, server),
]


@pytest.mark.parametrize("make", EXACT, ids=lambda make: make.__name__)
def test_the_subject_is_the_very_object(make: Callable[[], Awaitable[tuple[Any, Any]]]) -> None:
    async def main() -> None:
        expected, coroutine = await make()
        task = asyncio.ensure_future(coroutine)
        await turns()
        waited = task._fut_waiter  # type: ignore[attr-defined]
        assert subject_of(task) is expected
        assert waited._result is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if waited is not expected:
            assert waited._subject is None

    cede.run(main())


async def sleep() -> AsyncIterator[Any]:
    yield cede.sleep(60)


async def stdlib_sleep() -> AsyncIterator[Any]:
    yield asyncio.sleep(60)


async def wait() -> AsyncIterator[Any]:
    yield cede.wait([asyncio.ensure_future(asyncio.sleep(60))])


async def as_completed() -> AsyncIterator[Any]:
    yield next(iter(cede.as_completed([asyncio.ensure_future(asyncio.sleep(60))])))


async def shield() -> AsyncIterator[Any]:
    yield cede.shield(asyncio.sleep(60))


async def limit() -> AsyncIterator[Any]:
    from cede.sync.limiter import CapacityLimiter

    yield CapacityLimiter().wait(0)


async def flow() -> AsyncIterator[Any]:
    async def slowly(_: int) -> None:
        await asyncio.sleep(60)

    async with cede.map(slowly, [1]) as items:
        yield anext(aiter(items))


async def thread() -> AsyncIterator[Any]:
    read, write = os.pipe()
    try:
        yield cede.to_thread(os.read, read, 1)
    finally:
        os.write(write, b"x")
        os.close(write)


async def name() -> AsyncIterator[Any]:
    entered, release = os.pipe()

    def slow(*question: Any) -> list[Any]:
        os.read(entered, 1)
        return []

    before = socket.getaddrinfo
    socket.getaddrinfo = slow
    try:
        yield asyncio.get_running_loop().getaddrinfo("a.example", 80)
    finally:
        socket.getaddrinfo = before
        os.write(release, b"x")
        os.close(release)


async def received() -> AsyncIterator[Any]:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        yield asyncio.get_running_loop().sock_recv(one, 1)


async def accepted() -> AsyncIterator[Any]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield asyncio.get_running_loop().sock_accept(listening)


async def child() -> AsyncIterator[Any]:
    process = await cede.create_subprocess_exec(sys.executable, "-c", "import sys; sys.stdin.read()", stdin=asyncio.subprocess.PIPE)
    yield process.wait()
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def closed() -> AsyncIterator[Any]:
    handed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    server = await cede.start_server(lambda reader, writer: handed.set_result(writer), "127.0.0.1", 0)
    _reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
    other = await handed
    server.close()
    try:
        yield writer.wait_closed()
    finally:
        for each in (writer, other):
            each.close()
            await each.wait_closed()


KINDS: list[tuple[Callable[[], AsyncIterator[Any]], str]] = [
    (sleep, "WakingTimer"),
    (stdlib_sleep, "WakingTimer" if COMPILED else "NoneType"),  # uncompiled, asyncio's own function is left as it is
    (wait, "Wait"),
    (as_completed, "AsCompleted"),
    (shield, "Shield"),
    (limit, "CapacityLimiter"),
    (flow, "Mapping"),
    (thread, "partial"),
    (name, "tuple"),
    (received, "Watch"),
    (accepted, "Watch"),
    (child, "SubprocessTransport"),
    (closed, "StreamReaderProtocol"),
]


@pytest.mark.parametrize(("make", "kind"), KINDS, ids=lambda each: getattr(each, "__name__", None))
def test_the_subject_tells_its_kind(make: Callable[[], AsyncIterator[Any]], kind: str) -> None:
    async def main() -> None:
        made = make()
        awaitable = await anext(made)

        async def body() -> None:
            await awaitable

        task = asyncio.ensure_future(body())
        await turns()
        assert type(subject_of(task)).__name__ == kind
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(StopAsyncIteration):
            await anext(made)
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            other.cancel()

    cede.run(main())


@pytest.mark.parametrize("end", ["result", "exception", "cancel"])
def test_a_subject_leaves_with_the_end(end: str) -> None:
    """It is no reference longer than the wait is, nor a result meanwhile."""

    class Thing:
        pass

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        thing = Thing()
        gone = weakref.ref(thing)
        future = loop.new_waiter(thing)
        del thing
        assert future._subject is gone()
        assert future._result is None
        assert repr(future) == "<Future pending>"
        with pytest.raises(asyncio.InvalidStateError):
            future.result()
        if end == "result":
            future.set_result(None)
        elif end == "exception":
            future.set_exception(ValueError())
            assert isinstance(future.exception(), ValueError)
        else:
            future.cancel()
        gc.collect()
        assert gone() is None
        assert future._subject is None
        assert future._result is None

    cede.run(main())


@pytest.mark.parametrize("end", ["set_result", "set_exception", "cancel"])
def test_a_subjects_finalizer_finds_the_future_done(end: str) -> None:
    """The subject may be the last of the program's objects that anybody holds, and its finalizer may do what it likes with the future."""
    seen: list[Any] = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        class Thing:
            def __del__(self) -> None:
                seen.append((future.done(), future.cancel(), future._subject))

        future = loop.new_waiter(Thing())
        getattr(future, end)(*{"set_result": (1,), "set_exception": (ValueError(),), "cancel": ()}[end])
        gc.collect()
        if end == "set_exception":
            future.exception()
        else:
            assert future.cancelled() == (end == "cancel")

    cede.run(main())
    assert seen == [(True, False, None)]


# Where the runtime makes a future that is no wait of its own.
OTHERS = {
    "core/task/operation.py": "`new_waiter` itself, on a loop of somebody else's",
    "core/scheduler/task_kernel.py": "the makers",
    "core/scheduler/task_kernel.pxd": "the makers",
    "core/pure/turn.py": "the makers",
    "tasks/sleep.py": "the timer makes itself the subject; another loop's has none",
    "tasks/gather.py": "a future that is done",
    "tasks/wait.py": "a future that is cancelled",
    "streams/read_buffer.py": "a loop of somebody else's",
    "core/scheduler/waking_timer.py": "names asyncio's function in a comment",
}


def test_new_waiter_makes_each_future_that_the_runtime_waits_on() -> None:
    makes = re.compile(r"\b(create_future|new_future)\(")
    found = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*")
        if path.suffix in (".py", ".pyx", ".pxd")
        if any(makes.search(line.split("#")[0]) for line in path.read_text().splitlines())
    }
    assert found - set(OTHERS) == set(), "these make a future to wait on, and do not say what for: use new_waiter(loop, subject)"


def test_a_thread_job_names_its_function() -> None:
    async def main() -> None:
        read, write = os.pipe()
        task = asyncio.ensure_future(cede.to_thread(os.read, read, 1))
        await turns()
        subject = subject_of(task)
        assert isinstance(subject, functools.partial)
        assert os.read in subject.args
        os.write(write, b"x")
        assert await task == b"x"
        os.close(read)
        os.close(write)

    cede.run(main())
