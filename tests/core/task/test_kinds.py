"""What can be a task: coroutines, generators, objects that act as one; and what they may yield."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Generator
from typing import Any

import pytest

import cede
from cede.core.scheduler.kernel import COMPILED


def run_on_cede(coroutine: Any) -> Any:
    loop = cede.new_event_loop()
    try:
        return loop.run_until_complete(loop.create_task(coroutine))
    finally:
        loop.close()


# -- generators: cede alone takes them


def test_a_generator_is_a_task() -> None:
    def count(to: int) -> Generator[None, None, int]:
        total = 0
        for number in range(to):
            total += number
            yield
        return total

    assert run_on_cede(count(5)) == 10


def test_generators_take_turns() -> None:
    seen: list[str] = []

    def talk(name: str) -> Generator[Any, None, None]:
        for number in range(3):
            seen.append(f"{name}{number}")
            yield "anything that cannot be awaited gives way"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(loop.create_task(talk("a")), loop.create_task(talk("b")))  # type: ignore[arg-type]

    run_on_cede(main())
    assert seen == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_generator_waits_for_what_can_be_awaited() -> None:
    async def later(value: int) -> int:
        await asyncio.sleep(0.001)
        return value

    def work() -> Generator[Any, Any, list[Any]]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, "future")
        got = [(yield future)]
        got.append((yield later(2)))
        got.append((yield loop.create_task(later(3))))
        got.append((yield asyncio.sleep(0, "four")))
        got.append((yield asyncio.gather(later(5), later(6))))
        got.append((yield))
        got.append((yield 7))
        return got

    assert run_on_cede(work()) == ["future", 2, 3, "four", [5, 6], None, None]


def test_an_error_is_raised_at_the_yield() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    def work() -> Generator[Any, Any, str]:
        try:
            yield fail()
        except ZeroDivisionError:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(KeyError("second"))
            try:
                yield future
            except KeyError as error:
                return str(error)
        return "not reached"

    assert run_on_cede(work()) == "'second'"


def test_a_generator_task_can_be_cancelled() -> None:
    seen: list[str] = []

    def work() -> Generator[Any, Any, None]:
        try:
            yield asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            seen.append("told")
            raise

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(work())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run_on_cede(main())
    assert seen == ["told"]


def test_yield_from_goes_through() -> None:
    def inner() -> Generator[Any, Any, str]:
        value = yield asyncio.sleep(0, "inner")
        return f"{value} out"

    def outer() -> Generator[Any, Any, str]:
        return (yield from inner())

    assert run_on_cede(outer()) == "inner out"


def test_a_generator_may_await_itself_no_more_than_a_coroutine() -> None:
    def work() -> Generator[Any, Any, str]:
        try:
            yield asyncio.current_task()
        except RuntimeError as error:
            return str(error)
        return "not reached"

    assert "cannot await on itself" in run_on_cede(work())


def test_a_generator_task_tells_what_it_is() -> None:
    seen: list[str] = []

    def work() -> Generator[Any, Any, None]:
        seen.append(repr(asyncio.current_task()))
        yield
        seen.append(repr(asyncio.current_task()))

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(work(), name="Clara")  # type: ignore[arg-type]
        seen.append(repr(task))
        await task
        seen.append(repr(task))

    run_on_cede(main())
    line = work.__code__.co_firstlineno
    for text, where in zip(seen, (f":{line}", f":{line + 1}", f":{line + 3}", "done, defined at"), strict=True):
        assert "Clara" in text
        assert "work()" in text
        assert where in text


# -- coroutines made by @types.coroutine, and nonsense


@types.coroutine
def give(value: Any) -> Generator[Any, Any, Any]:
    return (yield value)


@pytest.mark.parametrize("nonsense", [7, "text", object(), [1], 0.0, asyncio])
def test_nonsense_yielded_in_a_coroutine_is_an_error_at_that_point(run: Callable[..., Any], nonsense: Any) -> None:
    async def main() -> str:
        try:
            await give(nonsense)
        except RuntimeError as error:
            return str(error)
        return "not reached"

    assert "got bad yield" in run(main)


def test_a_future_yielded_without_await_is_an_error_at_that_point(run: Callable[..., Any]) -> None:
    async def main() -> str:
        future = asyncio.get_running_loop().create_future()
        try:
            await give(future)
        except RuntimeError as error:
            return str(error)
        return "not reached"

    assert "yield was used instead of yield from" in run(main)


def test_a_generator_yielded_in_a_coroutine_is_an_error_at_that_point(run: Callable[..., Any]) -> None:
    async def main() -> str:
        try:
            await give(x for x in ())
        except RuntimeError as error:
            return str(error)
        return "not reached"

    assert "yield was used instead of yield from for generator" in run(main)


def test_what_is_yielded_may_fail_when_it_is_asked() -> None:
    """A mock, or a half-made future: the error is the task's. asyncio reports it and leaves the task waiting for ever."""

    class Mute:
        _asyncio_future_blocking = True  # and no loop, and no callbacks

    class Evil:
        def __getattr__(self, name: str) -> Any:
            raise ZeroDivisionError(name)

        def __repr__(self) -> str:
            raise ZeroDivisionError("repr")

    class Refusing(Mute):
        def get_loop(self) -> Any:
            return asyncio.get_running_loop()

        def add_done_callback(self, *args: Any, **kwargs: Any) -> None:
            raise KeyError("not now")

    async def ask(thing: Any) -> None:
        await give(thing)

    async def main() -> None:
        for thing, error in ((Mute(), AttributeError), (Evil(), ZeroDivisionError), (Refusing(), KeyError)):
            task = asyncio.create_task(ask(thing))
            with pytest.raises(error):
                await task
            assert task._fut_waiter is None

    run_on_cede(main())


def test_a_future_of_another_loop_is_refused(run: Callable[..., Any], loop_factory: Callable[[], Any]) -> None:
    other = loop_factory()

    async def main() -> str:
        future = other.create_future()
        try:
            await future
        except RuntimeError as error:
            return str(error)
        return "not reached"

    assert "attached to a different loop" in run(main)
    other.close()


def test_a_task_cannot_await_itself(run: Callable[..., Any]) -> None:
    async def main() -> str:
        try:
            await asyncio.current_task()  # type: ignore[misc]
        except RuntimeError as error:
            return str(error)
        return "not reached"

    assert "cannot await on itself" in run(main)


def test_an_object_with_the_methods_of_a_coroutine(run: Callable[..., Any]) -> None:
    class Countdown:
        def __init__(self, left: int) -> None:
            self.left = left

        def __await__(self) -> Any:
            return self

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> None:
            return self.send(None)

        def send(self, value: Any) -> None:
            if not self.left:
                raise StopIteration("off")
            self.left -= 1

        def throw(self, *error: Any) -> None:
            raise error[0]

        def close(self) -> None:
            pass

    async def main() -> None:
        assert await asyncio.ensure_future(Countdown(3)) == "off"

    run(main)


# -- depth


@pytest.mark.parametrize("depth", [10_000])
def test_a_deep_chain_of_awaits(loop_factory: Callable[[], Any], depth: int) -> None:
    import threading

    async def level(number: int) -> int:
        if number:
            return 1 + await level(number - 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return 0

    outcome: list[Any] = []

    def work() -> None:
        loop = loop_factory()
        try:
            outcome.append(loop.run_until_complete(level(depth)))
        except BaseException as error:
            outcome.append(error)
        finally:
            loop.close()

    # The interpreter recurses in C for each level on some versions: a thread with a large stack gives it the room.
    limit = sys.getrecursionlimit()
    size = threading.stack_size(512 * 1024 * 1024)
    sys.setrecursionlimit(depth * 4)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    assert outcome == [depth]


def test_a_long_chain_of_tasks(run: Callable[..., Any]) -> None:
    """Each task awaits the one before it: the end must run through all of them without recursion."""

    async def link(before: Any) -> int:
        return 1 + await before

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = loop.create_future()
        last: Any = first
        for _ in range(10_000):
            last = asyncio.create_task(link(last))
        await asyncio.sleep(0)
        first.set_result(0)
        assert await last == 10_000

    run(main)


def test_cancelling_a_chain_of_tasks(run: Callable[..., Any]) -> None:
    async def link(before: Any) -> None:
        await before

    async def main() -> None:
        last: Any = asyncio.get_running_loop().create_future()
        for _ in range(500):
            last = asyncio.create_task(link(last))
        await asyncio.sleep(0)
        last.cancel()
        with pytest.raises(asyncio.CancelledError):
            await last

    run(main)


@pytest.mark.skipif(not COMPILED, reason="uncompiled, all names are Python's")
@pytest.mark.parametrize("name", ["Future", "Task"])
def test_no_field_of_ours_is_in_the_way_of_an_attribute(name: str) -> None:
    """asyncio's tasks and futures take attributes of any name; a field of ours that Python could set would be one that a program breaks."""
    kind = getattr(cede, name)
    ours = [each for each in dir(kind) if not each.startswith("_") and not hasattr(getattr(asyncio, name), each)]
    assert not [each for each in ours if not callable(getattr(kind, each))]


@pytest.mark.skipif(not COMPILED, reason="uncompiled, all names are Python's")
def test_attributes_of_any_name_on_a_task_disturb_nothing() -> None:
    async def main() -> bool:
        task: Any = asyncio.current_task()
        waited: Any = asyncio.get_running_loop().create_future()
        for name in ("scope", "asked", "blocking", "state", "value", "waiter", "coro", "must", "loop", "kernel"):
            setattr(task, name, "mine")
            setattr(waited, name, "mine")
        asyncio.get_running_loop().call_soon(waited.set_result, 1)
        assert await waited == 1
        with cede.move_on_after(0.001) as scope:
            async with cede.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))
        assert (task.scope, task.asked, waited.blocking) == ("mine",) * 3
        return scope.cancelled_caught

    assert run_on_cede(main())
