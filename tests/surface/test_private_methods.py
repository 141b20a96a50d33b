"""Private methods of asyncio's primitives that libraries call: each is there, takes what asyncio's takes, and does what asyncio's does.

The list is asyncio's own: a method without a row here is a failure.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import cede

PRIMITIVES = (
    "Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier", "Queue", "PriorityQueue", "LifoQueue", "TaskGroup", "Timeout",
)  # fmt: skip

# Not methods of the objects: where asyncio keeps things in class attributes.
NO_METHODS = {"_loop", "_state", "_waiters"}


def private_methods() -> Iterator[tuple[str, str]]:
    for name in PRIMITIVES:
        for kind in getattr(asyncio, name).__mro__[:-1]:
            for each, value in vars(kind).items():
                if each.startswith("_") and not each.startswith("__") and callable(value) and each not in NO_METHODS:
                    yield name, each


METHODS = sorted(set(private_methods()))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


Row = Callable[[Any, str], Awaitable[Any]]


async def get_loop(of: Any, name: str) -> Any:
    made = getattr(of, name)(*([2] if name == "Barrier" else []))
    return made._get_loop() is asyncio.get_running_loop()


async def wake_up_first(of: Any, name: str) -> Any:
    lock = of.Lock()
    told = [lock._wake_up_first()]
    await lock.acquire()
    tasks = [asyncio.create_task(lock.acquire()) for _ in range(2)]
    await turns()
    lock._locked = False
    told.append(lock._wake_up_first())
    await turns()
    told += [lock.locked(), [task.done() for task in tasks]]
    lock.release()
    await turns()
    return [*told, [task.done() for task in tasks]]


async def wake_up_next(of: Any, name: str) -> Any:
    semaphore = getattr(of, name)(1)
    semaphore._wake_up_next()  # what it returns is another thing in each version
    told: list[Any] = []
    await semaphore.acquire()
    tasks = [asyncio.create_task(semaphore.acquire()) for _ in range(2)]
    await turns()
    for _ in range(3):
        semaphore._value += 1
        semaphore._wake_up_next()
        await turns()
        told.append([task.done() for task in tasks])
    return [*told, semaphore._value]


async def notify(of: Any, name: str) -> Any:
    condition = of.Condition()

    async def wait() -> None:
        async with condition:
            await condition.wait()

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await turns()
    async with condition:
        told = condition._notify(2)
    await turns(10)
    async with condition:
        condition.notify_all()
    states = [task.done() for task in tasks]
    await asyncio.gather(*tasks)
    return told, states


async def init(of: Any, name: str) -> Any:
    queue = getattr(of, name)()
    queue.put_nowait(1)
    told = queue._init(0)
    return told, queue.qsize(), type(queue._queue)


async def put(of: Any, name: str) -> Any:
    queue = getattr(of, name)()
    told = [queue._put(3), queue._put(1), queue._put(2), queue.qsize()]
    return [*told, [queue.get_nowait() for _ in range(3)]]


async def get(of: Any, name: str) -> Any:
    queue = getattr(of, name)()
    for item in (3, 1, 2):
        queue.put_nowait(item)
    return [queue._get() for _ in range(3)], queue.empty()


async def wakeup_next(of: Any, name: str) -> Any:
    """As pools do: items put, or taken, by hand, and whoever waits is woken by hand, in lines of the queue's and in others."""
    queue = getattr(of, name)(2)
    told = [queue._wakeup_next(queue._getters)]
    getters = [asyncio.create_task(queue.get()) for _ in range(3)]
    await turns()
    for item in (1, 2):
        queue._put(item)
        told.append(queue._wakeup_next(queue._getters))
    await turns()
    told.append([task.done() for task in getters])
    getters[2].cancel()
    await turns()
    for item in (1, 2):
        queue.put_nowait(item)
    putters = [asyncio.create_task(queue.put(item)) for item in (3, 4)]
    await turns()
    for _ in range(2):
        queue._get()
        queue._wakeup_next(queue._putters)
    await turns()
    told.append([task.done() for task in putters])
    futures = deque(asyncio.get_running_loop().create_future() for _ in range(3))
    futures[0].cancel()
    kept = list(futures)
    told.append(queue._wakeup_next(futures))
    return [*told, [future.done() for future in kept], len(futures), queue.qsize()]


async def formatted(of: Any, name: str) -> Any:
    queue = getattr(of, name)(3)
    queue.put_nowait(1)
    return queue._format()


async def block(of: Any, name: str) -> Any:
    barrier = of.Barrier(2)
    async with held(barrier):
        told = [await barrier._block()]
    await barrier.abort()
    try:
        async with held(barrier):
            await barrier._block()
    except asyncio.BrokenBarrierError as error:
        told.append(str(error))
    return told


async def release_and_exit(of: Any, name: str) -> Any:
    """`_release`, `_exit` and `_wait` together: a round that is let go before it is complete."""
    barrier = of.Barrier(2)
    waiting = asyncio.create_task(inside(barrier))
    await turns()
    async with held(barrier):
        told = [await barrier._release(), barrier._state.name]
        blocked = asyncio.create_task(outside(barrier))
    await turns(10)
    told += [waiting.done(), blocked.done()]
    async with held(barrier):
        told += [barrier._exit(), barrier._state.name]
    await turns(10)
    told.append(blocked.done())
    await waiting
    await blocked
    return told


async def inside(barrier: Any) -> None:
    async with held(barrier):
        await barrier._wait()


async def outside(barrier: Any) -> None:
    async with held(barrier):
        await barrier._block()


def held(barrier: Any) -> Any:
    """What asyncio's barrier holds whenever it calls these; cede's has no such thing."""
    return barrier._cond if hasattr(barrier, "_cond") else asyncio.Lock()


async def is_base_error(of: Any, name: str) -> Any:
    group = of.TaskGroup()
    return [group._is_base_error(error) for error in (SystemExit(), KeyboardInterrupt(), ValueError(), asyncio.CancelledError())]


async def abort(of: Any, name: str) -> Any:
    group = of.TaskGroup()
    async with group:
        task = group.create_task(asyncio.sleep(60))
        await turns()
        told = [group._abort()]
        await turns()
        told += [task.cancelled(), group._aborting]
    return told


async def on_task_done(of: Any, name: str) -> Any:
    group = of.TaskGroup()
    async with group:
        task = group.create_task(asyncio.sleep(0))
        await turns()
        return [group._on_task_done(task), len(group._tasks)]


async def aexit(of: Any, name: str) -> Any:
    group = await of.TaskGroup().__aenter__()
    task = group.create_task(asyncio.sleep(0))
    return [await group._aexit(None, None), task.done(), group._exiting]


async def on_timeout(of: Any, name: str) -> Any:
    limit = of.timeout(60)
    try:
        async with limit:
            told = limit._on_timeout()
            await asyncio.sleep(60)
    except TimeoutError:
        return told, limit.expired()


async def insert_timeout_error(of: Any, name: str) -> Any:
    try:
        try:
            raise asyncio.CancelledError
        except asyncio.CancelledError:
            raise KeyError("late")  # noqa: B904
    except KeyError as error:
        told = of.Timeout(None)._insert_timeout_error(error)
        return told, type(error.__context__), type(error.__context__.__cause__)  # type: ignore[union-attr]


ROWS: dict[str, Row] = {
    "_get_loop": get_loop,
    "_wake_up_first": wake_up_first,
    "_wake_up_next": wake_up_next,
    "_notify": notify,
    "_init": init,
    "_put": put,
    "_get": get,
    "_wakeup_next": wakeup_next,
    "_format": formatted,
    "_block": block,
    "_wait": release_and_exit,
    "_release": release_and_exit,
    "_exit": release_and_exit,
    "_is_base_error": is_base_error,
    "_abort": abort,
    "_aexit": aexit,
    "_on_task_done": on_task_done,
    "_on_timeout": on_timeout,
    "_insert_timeout_error": insert_timeout_error,
}


def run_on(factory: Any, coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_private_method_does_what_asyncios_does(name: str, method: str) -> None:
    theirs, ours = getattr(getattr(asyncio, name), method), getattr(getattr(cede, name), method)
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
    row = ROWS[method]
    wanted = run_on(asyncio.SelectorEventLoop, asyncio.wait_for(row(asyncio, name), 10))
    assert run_on(cede.new_event_loop, asyncio.wait_for(row(cede, name), 10)) == wanted
    assert run_on(asyncio.SelectorEventLoop, asyncio.wait_for(row(cede, name), 10)) == wanted


def test_there_are_many() -> None:
    assert len(METHODS) >= 30


# -- queues that are woken by hand, as many programs do it


@pytest.fixture(params=["asyncio", "cede"])
def base(request: pytest.FixtureRequest) -> Any:
    return {"asyncio": asyncio, "cede": cede}[request.param]


def test_who_was_taken_out_of_the_line_goes_on_by_itself(base: Any, run: Any) -> None:
    """The futures are popped and finished one by one; the others stay in the line, and are served."""

    async def main() -> None:
        queue = base.Queue()
        getters = [asyncio.create_task(queue.get()) for _ in range(5)]
        await turns()
        for item in (1, 2):
            queue._queue.append(item)
            queue._getters.popleft().set_result(None)
        await turns()
        assert [task.done() for task in getters] == [True, True, False, False, False]
        for item in (3, 4, 5):
            queue.put_nowait(item)
        assert await asyncio.gather(*getters) == [1, 2, 3, 4, 5]

    run(main)


def test_who_was_woken_for_nothing_waits_on(base: Any, run: Any) -> None:
    async def main() -> None:
        queue = base.Queue()
        getters = [asyncio.create_task(queue.get()) for _ in range(3)]
        await turns()
        queue._getters.popleft().set_result(None)
        await turns()
        assert len(queue._getters) == 3
        for item in range(3):
            queue.put_nowait(item)
        assert sorted(await asyncio.gather(*getters)) == [0, 1, 2]

        full = base.Queue(1)
        full.put_nowait(0)
        putters = [asyncio.create_task(full.put(item)) for item in (1, 2, 3)]
        await turns()
        full._putters.popleft().set_result(None)
        await turns()
        assert len(full._putters) == 3
        got = [await full.get() for _ in range(4)]
        assert sorted(got) == [0, 1, 2, 3]
        await asyncio.gather(*putters)

    run(main)


def test_who_was_taken_out_may_be_cancelled(base: Any, run: Any) -> None:
    async def main() -> None:
        queue = base.Queue()
        getters = [asyncio.create_task(queue.get()) for _ in range(3)]
        await turns()
        taken = queue._getters.popleft()
        getters[0].cancel()
        await turns()
        assert taken.cancelled()
        for item in (1, 2):
            queue.put_nowait(item)
        assert await asyncio.gather(*getters[1:]) == [1, 2]

    run(main)


def test_an_overridden_wakeup_is_told_of_every_waking(base: Any, run: Any) -> None:
    async def main() -> None:
        woken = []

        class Told(base.Queue):  # type: ignore[misc,name-defined]
            def _wakeup_next(self, waiters: Any) -> None:
                woken.append(waiters is self._getters)
                super()._wakeup_next(waiters)

        queue: Any = Told(1)
        getter = asyncio.create_task(queue.get())
        await turns()
        queue.put_nowait(1)
        assert await getter == 1
        assert True in woken
        queue.put_nowait(2)
        putter = asyncio.create_task(queue.put(3))
        await turns()
        woken.clear()
        assert queue.get_nowait() == 2
        await putter
        assert False in woken

    run(main)
