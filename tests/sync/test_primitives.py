"""Locks, events, semaphores, conditions, barriers and queues: ours, and asyncio's as the oracle."""

from __future__ import annotations

import asyncio
import collections
import copy
import gc
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cede

Run = Callable[..., Any]
ours_only = pytest.mark.parametrize("ns", [cede], ids=["cede"])


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def blockers(ns: Any) -> list[tuple[Any, Callable[[], Any]]]:
    """A primitive of each kind, and a call on it that waits."""
    lock, semaphore, queue, full = ns.Lock(), ns.Semaphore(0), ns.Queue(), ns.Queue(1)
    lock._locked = True
    full.put_nowait(None)
    event, barrier = ns.Event(), ns.Barrier(2)
    return [
        (lock, lock.acquire),
        (semaphore, semaphore.acquire),
        (event, event.wait),
        (queue, queue.get),
        (full, lambda: full.put(1)),
        (full, full.join),
        (barrier, barrier.wait),
    ]


def test_waiters_wake_in_order(run: Callable[..., Any], ns: Any) -> None:
    async def main() -> list[int]:
        event = ns.Event()
        woken: list[int] = []

        async def wait(number: int) -> None:
            await event.wait()
            woken.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(3)]
        await asyncio.sleep(0)  # each has run to its wait: a turn, not a time
        tasks[0].cancel()
        event.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return woken

    assert run(main) == [1, 2]


def test_waiting_is_lazy_and_cancellable_in_each_way(ns: Any, run: Run) -> None:
    """Nothing happens before the await; a task, wait_for, gather and timeout all take what the methods return."""

    async def main() -> None:
        for _, wait in blockers(ns):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await wait()
            task = asyncio.create_task(wait())
            both = asyncio.gather(wait(), wait(), return_exceptions=True)
            await turns(1)
            task.cancel("why")
            both.cancel()
            with pytest.raises(asyncio.CancelledError, match="why"):
                await task
            with pytest.raises(asyncio.CancelledError):
                await both
        lock = ns.Lock()
        coroutine = lock.acquire()
        assert not lock.locked()
        assert await coroutine is True
        assert lock.locked()
        lock.release()
        assert asyncio.iscoroutine(coroutine)
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await coroutine

    run(main)


def test_a_call_without_await_warns(ns: Any) -> None:
    for _, wait in blockers(ns):
        with pytest.warns(RuntimeWarning, match="was never awaited"):
            wait()
            gc.collect()


def test_a_second_loop_is_refused(ns: Any, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    for primitive, wait in blockers(ns):

        async def once(wait: Callable[[], Any] = wait) -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait(), 0.001)

        async def again(wait: Callable[[], Any] = wait) -> None:
            await wait()

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(once())
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            with pytest.raises(RuntimeError, match="is bound to a different event loop") as caught:
                runner.run(again())
        if not isinstance(primitive, ns.Barrier) and wait != getattr(primitive, "join", None):
            assert repr(primitive) in str(caught.value)


def test_texts(ns: Any, run: Run) -> None:
    async def main() -> None:
        lock, event, semaphore = ns.Lock(), ns.Event(), ns.Semaphore(2)
        condition, barrier, queue = ns.Condition(), ns.Barrier(3), ns.Queue(2)
        assert repr(lock).endswith(" [unlocked]>")
        assert repr(event).endswith(" [unset]>")
        assert repr(semaphore).endswith(" [unlocked, value:2]>")
        assert repr(condition).endswith(" [unlocked]>")
        assert repr(barrier).endswith(" [filling, waiters:0/3]>")
        assert f" object at {id(lock):#x} " in repr(lock)
        assert ".Lock object at " in repr(lock)
        assert str(queue) == "<Queue maxsize=2>"
        await queue.put(1)
        assert repr(queue) == f"<Queue at {id(queue):#x} maxsize=2 _queue=[1] tasks=1>"
        await lock.acquire()
        task = asyncio.create_task(lock.acquire())
        await turns(1)
        assert repr(lock).endswith(" [locked, waiters:1]>")
        lock.release()
        await task

    run(main)


def test_bodies(ns: Any, run: Run) -> None:
    async def main() -> None:
        for guard in (ns.Lock(), ns.Semaphore(1), ns.BoundedSemaphore(1), ns.Condition()):
            async with guard as value:
                assert value is None
                assert guard.locked()
            with pytest.raises(ZeroDivisionError):
                async with guard:
                    raise ZeroDivisionError
            assert not guard.locked()
        async with ns.Barrier(1) as number:
            assert number == 0
        lock = ns.Lock()
        with pytest.raises(RuntimeError, match="Lock is not acquired"):
            async with lock:
                lock.release()

    run(main)


def test_releases_that_are_too_many(ns: Any) -> None:
    with pytest.raises(RuntimeError, match=r"Lock is not acquired\."):
        ns.Lock().release()
    with pytest.raises(ValueError, match="BoundedSemaphore released too many times"):
        ns.BoundedSemaphore(2).release()
    with pytest.raises(ValueError, match="Semaphore initial value must be >= 0"):
        ns.Semaphore(-1)
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        ns.Queue().task_done()
    with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
        ns.Condition().notify()
    with pytest.raises(ValueError, match="parties must be"):
        ns.Barrier(0)


def test_subclasses_replace_what_holds_the_items(ns: Any, run: Run) -> None:
    class Unique(ns.Queue):
        def _init(self, maxsize: int) -> None:
            self._queue: Any = collections.OrderedDict()

        def _put(self, item: Any) -> None:
            self._queue[item] = None

        def _get(self) -> Any:
            return self._queue.popitem(last=False)[0]

    class Counting(ns.PriorityQueue):
        puts = 0

        def put_nowait(self, item: Any) -> None:
            self.puts += 1
            super().put_nowait(item)

    async def main() -> None:
        queue = Unique(2)
        for item in (1, 2, 1):
            if not queue.full():
                await queue.put(item)
        assert [await queue.get(), await queue.get()] == [1, 2]
        getter = asyncio.create_task(queue.get())
        await turns(1)
        await queue.put(5)
        assert await getter == 5
        counting = Counting(1)
        putter = asyncio.create_task(counting.put(2))
        other = asyncio.create_task(counting.put(1))
        await turns(1)
        assert [await counting.get(), await counting.get()] == [2, 1]
        await asyncio.gather(putter, other)
        assert counting.puts == 2
        assert type(queue) is queue.__class__ is Unique
        queue.anything = 1
        assert isinstance(queue, ns.Queue)

    run(main)


def test_subclasses_replace_acquire_and_release(ns: Any, run: Run) -> None:
    calls: list[str] = []

    def watched(kind: Any) -> Any:
        class Watched(kind):  # type: ignore[misc]
            async def acquire(self) -> Any:
                calls.append("acquire")
                return await super().acquire()

            def release(self) -> None:
                calls.append("release")
                super().release()

        return Watched

    async def main() -> None:
        for kind in (ns.Lock, ns.Semaphore, ns.BoundedSemaphore):
            calls.clear()
            async with watched(kind)():
                pass
            assert calls == ["acquire", "release"]
        calls.clear()
        condition = ns.Condition(watched(ns.Lock)())
        async with condition:
            waiter = asyncio.create_task(wait_under(condition))
        await turns()
        async with condition:
            condition.notify()
        assert await waiter
        assert calls.count("acquire") == calls.count("release") == 4

    async def wait_under(condition: Any) -> Any:
        async with condition:
            return await condition.wait()

    run(main)


def test_order_of_priorities_and_stacks(ns: Any, run: Run) -> None:
    async def main() -> None:
        for kind, order in ((ns.PriorityQueue, [1, 2, 3]), (ns.LifoQueue, [2, 1, 3])):
            queue = kind()
            for item in (3, 1, 2):
                await queue.put(item)
            assert [await queue.get() for _ in range(3)] == order
        queue = ns.PriorityQueue(1)
        await queue.put(1)
        queue._queue[:] = ["text"]
        queue._maxsize = 5
        with pytest.raises(TypeError):
            await queue.put(5)
        assert queue.get_nowait() == "text"

    run(main)


@ours_only
def test_a_queue_can_be_shut_down_on_every_version(ns: Any, run: Run) -> None:
    async def main() -> None:
        queue = ns.Queue(1)
        await queue.put(1)
        putter = asyncio.create_task(queue.put(2))
        joiner = asyncio.create_task(queue.join())
        await turns(1)
        queue.shutdown()
        with pytest.raises(ns.QueueShutDown):
            await putter
        assert await queue.get() == 1
        with pytest.raises(ns.QueueShutDown):
            await queue.get()
        assert not joiner.done()
        queue.task_done()
        await joiner
        assert "shutdown" in repr(queue)
        assert pickle.loads(pickle.dumps(ns.QueueShutDown("x"))).args == ("x",)
        assert ns.QueueEmpty is asyncio.QueueEmpty
        assert ns.QueueFull is asyncio.QueueFull
        assert ns.BrokenBarrierError is asyncio.BrokenBarrierError

    run(main)


@ours_only
def test_they_pass_for_asyncio_s(ns: Any) -> None:
    for name in ("Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Queue", "PriorityQueue", "LifoQueue"):
        primitive = getattr(ns, name)()
        assert isinstance(primitive, getattr(asyncio, name))
        assert isinstance(primitive, getattr(ns, name))
        primitive.note = 1
        assert weakref.ref(primitive)() is primitive
    assert ns.Queue[int].__args__ == (int,)


@ours_only
def test_copies(ns: Any) -> None:
    for primitive in (ns.Lock(), ns.Event(), ns.Semaphore(3), ns.BoundedSemaphore(2)):
        primitive.note = [1]
        for twin in (copy.copy(primitive), copy.deepcopy(primitive), pickle.loads(pickle.dumps(primitive))):
            assert type(twin) is type(primitive)
            assert repr(twin).partition("[")[2] == repr(primitive).partition("[")[2]
            assert twin.note == [1]
    with pytest.raises(TypeError, match="cannot pickle 'Queue' object"):
        copy.copy(ns.Queue())


@ours_only
def test_bad_arguments(ns: Any) -> None:
    with pytest.raises(TypeError, match=r"Queue\(\): maxsize must be a number of items, got 'x'"):
        ns.Queue("x")
    with pytest.raises(AttributeError):
        ns.Condition(5)


@ours_only
def test_who_came_first_is_served_first_whatever_is_there(ns: Any, run: Run) -> None:
    async def main() -> None:
        queue = ns.Queue()
        first = asyncio.create_task(queue.get())
        await turns(1)
        queue.put_nowait("a")
        queue.put_nowait("b")
        assert await queue.get() == "b"
        assert await first == "a"
        # Woken for an item that somebody took without waiting, it keeps its place.
        first = asyncio.create_task(queue.get())
        second = asyncio.create_task(queue.get())
        await turns(1)
        queue.put_nowait("c")
        assert queue.get_nowait() == "c"
        await turns()
        queue.put_nowait("d")
        queue.put_nowait("e")
        assert [await first, await second] == ["d", "e"]

    run(main)


def test_49_a_notified_waiter_that_is_cancelled_passes_it_on(run: Run) -> None:
    """Cases 49: the notification goes to the next, in the wait itself and in the wait for the lock."""

    async def main() -> None:
        for phase in range(3):
            condition = cede.Condition()
            through: list[int] = []

            async def wait(number: int, condition: Any = condition, through: list[int] = through) -> None:
                async with condition:
                    await condition.wait()
                    through.append(number)

            tasks = [asyncio.create_task(wait(number)) for number in range(3)]
            await turns(1)
            async with condition:
                condition.notify()
                await turns(phase)
                tasks[0].cancel()
            await turns(6)
            assert through == [1]
            assert tasks[0].cancelled()
            assert not condition.locked()
            tasks[2].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    run(main)


def test_49_a_cancelled_wait_holds_the_lock_when_it_ends(run: Run) -> None:
    async def main() -> None:
        condition = cede.Condition()
        ended: list[bool] = []

        async def wait() -> None:
            async with condition:
                try:
                    await condition.wait()
                finally:
                    ended.append(condition.locked())

        task = asyncio.create_task(wait())
        await turns(1)
        await condition.acquire()
        for message in ("first", "second"):
            task.cancel(message)
            await turns(2)
            assert not task.done()
        condition.release()
        with pytest.raises(asyncio.CancelledError, match="second"):
            await task
        assert ended == [True]
        assert not condition.locked()

    run(main)


def test_49_release_and_cancel_in_one_turn(run: Run) -> None:
    """Cases 49: whoever got the lock, or a permit, and is cancelled before it runs, hands it on."""

    async def main() -> None:
        for guard in (cede.Lock(), cede.Semaphore(1)):
            await guard.acquire()
            first, second, third = (asyncio.create_task(guard.acquire()) for _ in range(3))
            await turns(1)
            guard.release()
            first.cancel()
            await turns(3)
            assert first.cancelled()
            assert second.done()
            assert not third.done()
            guard.release()
            assert await third

    run(main)


def test_50_a_timeout_that_fires_with_the_item_loses_none(run: Run) -> None:
    """Cases 50: the item that arrives in the turn of the timeout is either got or still there."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for after in (False, True):
            queue = cede.Queue()
            getter = asyncio.create_task(asyncio.wait_for(queue.get(), 60))
            await turns(2)
            steps: list[Callable[[], Any]] = [lambda queue=queue: queue.put_nowait("item"), getter.cancel]
            for step in reversed(steps) if after else steps:
                loop.call_soon(step)
            try:
                assert await getter == "item"
            except asyncio.CancelledError:
                assert queue.get_nowait() == "item"
            assert queue.empty()

    run(main)


def test_a_line_that_is_cancelled_from_its_tail_is_not_walked_each_time(run: Run) -> None:
    """Ten thousand who wait, and are cancelled newest first: each leaves from where it stands."""

    async def main() -> None:
        lock = cede.Lock()
        await lock.acquire()
        tasks = [asyncio.create_task(lock.acquire()) for _ in range(10_000)]
        await turns(1)
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(lock._waiters) == 0
        lock.release()
        assert not lock.locked()

    run(main)


def test_one_primitive_many_threads_each_its_own(ns: Any, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """The loop that was first keeps it; a thread with another loop is told so."""
    event = ns.Event()
    told: list[str] = []

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(event.wait(), 0.001)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    def elsewhere() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            try:
                runner.run(asyncio.wait_for(event.wait(), 1))
            except RuntimeError as error:
                told.append(str(error))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(wait())
    assert len(told) == 1
    assert "is bound to a different event loop" in told[0]


def test_a_dead_program_frees_what_waited() -> None:
    """Closed with tasks that wait in every line, the interpreter ends quietly."""
    script = """
import asyncio, cede
async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # this machine may be busy, and the first use of a name loads it
    kept = cede.Lock(), cede.Queue(1), cede.Event(), cede.Condition(), cede.Semaphore(0), cede.Barrier(2)
    lock, queue, event, condition, semaphore, barrier = kept
    async def under():
        async with condition:
            await condition.wait()
    await lock.acquire()
    for wait in (lock.acquire, queue.get, event.wait, under, semaphore.acquire, barrier.wait):
        for _ in range(3):
            cede.create_task(wait())
    await asyncio.sleep(0)
cede.run(main())
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_they_die_at_once_when_nobody_holds_them(run: Run) -> None:
    async def main() -> None:
        gc.disable()
        try:
            event = cede.Event()
            reference = weakref.ref(event)
            task = asyncio.create_task(event.wait())
            await turns(1)
            event.set()
            await task
            del event, task
            await turns(1)  # whoever finished last may be held until something else runs
            assert reference() is None
        finally:
            gc.enable()

    run(main)
