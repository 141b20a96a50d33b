"""What runs in a turn, in which order, and what happens when a callback will not behave."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import Any

import pytest


def drive(loop: asyncio.AbstractEventLoop, turns: int = 1) -> None:
    for _ in range(turns):
        loop.call_soon(loop.stop)
        loop.run_forever()


def test_ready_work_runs_in_the_order_it_came(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[int] = []
    for number in range(1000):
        loop.call_soon(seen.append, number)
    drive(loop)
    assert seen == list(range(1000))


def test_what_becomes_ready_in_a_turn_runs_in_the_next(loop: asyncio.AbstractEventLoop) -> None:
    """curio 106: what is always ready starves I/O."""
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        loop.call_soon(seen.append, "child")

    loop.call_soon(first)
    loop.call_soon(seen.append, "second")
    drive(loop)
    assert seen == ["first", "second"]
    drive(loop)
    assert seen == ["first", "second", "child"]


@pytest.mark.parametrize("before", [1, 37, 63, 64, 65, 100])
@pytest.mark.parametrize("each", [2, 3, 70])
def test_the_order_outlives_a_growing_queue(loop: asyncio.AbstractEventLoop, before: int, each: int) -> None:
    """The queue grows while it is being emptied, from wherever its beginning then is."""
    seen: list[tuple[int, int]] = []

    def first(number: int) -> None:
        for child in range(each):
            loop.call_soon(seen.append, (number, child))

    for round_ in range(3):
        for number in range(before):
            loop.call_soon(first, round_ * before + number)
        drive(loop, 2)
    assert seen == [(number, child) for number in range(3 * before) for child in range(each)]


def test_tasks_and_callbacks_share_one_queue(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []

    async def step(name: str) -> None:
        seen.append(name)
        await asyncio.sleep(0)
        seen.append(name + " again")

    async def main() -> None:
        one = asyncio.create_task(step("task 1"))
        loop.call_soon(seen.append, "callback")
        two = asyncio.create_task(step("task 2"))
        await asyncio.gather(one, two)

    loop.run_until_complete(main())
    assert seen == ["task 1", "callback", "task 2", "task 1 again", "task 2 again"]


def test_very_many_callbacks(loop: asyncio.AbstractEventLoop) -> None:
    left = 200_000

    def count() -> None:
        nonlocal left
        left -= 1

    for _ in range(left):
        loop.call_soon(count)
    drive(loop)
    assert left == 0


def test_a_chain_of_callbacks_needs_no_stack(loop: asyncio.AbstractEventLoop) -> None:
    left = 100_000

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(again)
        else:
            loop.stop()

    loop.call_soon(again)
    loop.run_forever()
    assert left == 0


def test_a_cancelled_handle_does_not_run_and_lets_go(loop: asyncio.AbstractEventLoop) -> None:
    import weakref

    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    handle = loop.call_soon(print, thing)
    handle.cancel()
    handle.cancel()  # once is enough, twice is no error
    del thing
    assert gone() is None
    assert handle.cancelled()
    drive(loop)


def test_a_handle_cancelled_by_the_one_before_it(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    loop.call_soon(lambda: handle.cancel())
    handle = loop.call_soon(seen.append, "no")
    drive(loop)
    assert seen == []


def test_an_error_is_reported_and_the_rest_runs(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    loop.call_soon(lambda: 1 // 0)
    loop.call_soon(seen.append, "next")
    drive(loop)
    assert seen == ["next"]
    assert isinstance(reports[0]["exception"], ZeroDivisionError)
    assert isinstance(reports[0]["handle"], asyncio.Handle)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_leaves_the_run_and_keeps_the_rest(loop: asyncio.AbstractEventLoop, error: type[BaseException]) -> None:
    seen: list[str] = []

    def leave() -> None:
        raise error("now")

    loop.call_soon(seen.append, "before")
    loop.call_soon(leave)
    loop.call_soon(seen.append, "behind")
    with pytest.raises(error, match="now"):
        drive(loop)
    assert seen == ["before"]
    assert not loop.is_running()
    loop.call_soon(seen.append, "later")
    drive(loop)
    assert seen == ["before", "behind", "later"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_raised_in_a_task(loop: asyncio.AbstractEventLoop, error: type[BaseException]) -> None:
    seen: list[str] = []

    async def leave() -> None:
        raise error("now")

    async def other() -> None:
        seen.append("other")

    first = loop.create_task(leave())
    second = loop.create_task(other())
    with pytest.raises(error, match="now"):
        loop.run_forever()
    assert first.done()
    assert isinstance(first.exception(), error)
    loop.run_until_complete(second)
    assert seen == ["other"]


def test_a_callback_is_called_in_its_context(loop: asyncio.AbstractEventLoop) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    seen: list[str] = []
    given = contextvars.copy_context()
    given.run(var.set, "given")
    var.set("captured")
    loop.call_soon(lambda: seen.append(var.get()))
    loop.call_soon(lambda: seen.append(var.get()), context=given)
    loop.call_soon(lambda: given.run(var.set, "changed"))
    var.set("changed afterwards")
    drive(loop)
    assert seen == ["captured", "given"]
    assert given[var] == "changed"
    assert var.get() == "changed afterwards"


def test_nested_contexts_are_left_when_a_callback_raises(loop: asyncio.AbstractEventLoop) -> None:
    var: contextvars.ContextVar[int] = contextvars.ContextVar("var", default=0)
    context = contextvars.copy_context()
    loop.set_exception_handler(lambda *_: None)

    def fail() -> None:
        var.set(var.get() + 1)
        raise ValueError

    for _ in range(3):
        loop.call_soon(fail, context=context)  # entered three times: it was left twice
    drive(loop)
    assert context[var] == 3
    assert var.get() == 0


def test_a_turn_made_by_hand_leaves_no_task_current(loop: asyncio.AbstractEventLoop) -> None:
    async def wait() -> None:
        await asyncio.sleep(3600)

    task = loop.create_task(wait())
    asyncio._set_running_loop(loop)  # as tools do that step a loop
    loop._run_once()  # type: ignore[attr-defined]
    asyncio._set_running_loop(None)
    assert asyncio.current_task(loop) is None
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))


def test_run_inside_run_is_refused(loop: asyncio.AbstractEventLoop, loop_factory: Callable[[], Any]) -> None:
    other = loop_factory()
    seen: list[str] = []

    async def main() -> None:
        for inner in (loop, other):
            waiting = asyncio.sleep(0)
            try:
                inner.run_until_complete(waiting)
            except RuntimeError as error:
                seen.append(str(error))
            waiting.close()
        assert asyncio.get_running_loop() is loop

    loop.run_until_complete(main())
    other.close()
    assert len(seen) == 2
    assert "running" in seen[0]
    assert "another loop is running" in seen[1]


def test_call_soon_refuses_what_cannot_be_called(loop: asyncio.AbstractEventLoop) -> None:
    loop.set_debug(True)
    for junk in (None, 7, "name"):
        with pytest.raises(TypeError, match="callable"):
            loop.call_soon(junk)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.call_soon(asyncio.sleep)


def test_slow_callbacks_are_told_in_debug_mode(loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # everything is too slow
    with caplog.at_level(logging.WARNING, "asyncio"):
        loop.call_soon(list)
        drive(loop)
    assert any("Executing" in record.getMessage() and "seconds" in record.getMessage() for record in caplog.records)


def test_threads_post_without_losing_anything(loop: asyncio.AbstractEventLoop) -> None:
    import threading

    count, threads = 2000, 4
    seen: list[tuple[int, int]] = []

    def post(thread: int) -> None:
        for number in range(count):
            loop.call_soon_threadsafe(receive, (thread, number))

    def receive(item: tuple[int, int]) -> None:
        seen.append(item)
        if len(seen) == count * threads:
            loop.stop()

    workers = [threading.Thread(target=post, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    loop.run_forever()
    for worker in workers:
        worker.join()
    for thread in range(threads):
        assert [number for owner, number in seen if owner == thread] == list(range(count))
