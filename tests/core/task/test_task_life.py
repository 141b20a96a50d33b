"""A task from birth to report: who keeps it, who is told, and what is left."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cede


@pytest.fixture
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_the_loop_keeps_a_pending_task() -> None:
    # asyncio holds tasks weakly: there the same program loses its task
    """cpython 91887: a task that nobody holds is collected."""
    seen: list[str] = []

    async def lonely(loop: asyncio.AbstractEventLoop) -> None:
        future = loop.create_future()
        loop.call_later(0.01, wake, weakref.ref(future))
        try:
            await future
            seen.append("woken")
        finally:
            loop.stop()

    def wake(future: Any) -> None:
        gc.collect()
        found = future()
        assert found is not None, "the task was lost, and its future with it"
        found.set_result(None)

    loop = cede.new_event_loop()
    loop.create_task(lonely(loop))
    gc.collect()
    loop.run_forever()
    assert seen == ["woken"]
    assert asyncio.all_tasks(loop) == set()
    loop.close()


def test_a_failed_task_is_reported_when_the_last_reference_goes(loop: asyncio.AbstractEventLoop, collector_off: None) -> None:
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))

    async def fail() -> None:
        raise ZeroDivisionError("nobody looks")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.done()
        assert reports == []
        name = task.get_name()
        del task
        assert len(reports) == 1, "reported when some collection comes by, and not at once"
        assert reports[0]["message"] == "Task exception was never retrieved"
        assert isinstance(reports[0]["exception"], ZeroDivisionError)
        assert reports[0]["future"].get_name() == name
        reports.clear()

    loop.run_until_complete(main())


def test_a_failed_task_that_nobody_held_is_reported_in_its_own_turn(loop: asyncio.AbstractEventLoop, collector_off: None) -> None:
    """asyncio 397: the error of a task that is held is told."""
    reports: list[str] = []
    loop.set_exception_handler(lambda _, context: reports.append(context["message"]))

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.create_task(fail())
        for _ in range(4):
            await asyncio.sleep(0)
        assert reports == ["Task exception was never retrieved"]

    loop.run_until_complete(main())


def test_a_failure_that_was_looked_at_is_not_reported(loop: asyncio.AbstractEventLoop) -> None:
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))

    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        for look in ("exception", "result", "await"):
            task = asyncio.ensure_future(fail())
            if look == "await":
                with pytest.raises(ZeroDivisionError):
                    await task
                continue
            await asyncio.wait([task])
            if look == "exception":
                assert isinstance(task.exception(), ZeroDivisionError)
            else:
                with pytest.raises(ZeroDivisionError):
                    task.result()

    loop.run_until_complete(main())
    gc.collect()
    assert reports == []


def test_a_pending_task_dropped_with_its_loop_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for factory in (cede.new_event_loop, asyncio.new_event_loop):
        caplog.clear()
        loop = factory()

        async def wait(loop: asyncio.AbstractEventLoop = loop) -> None:
            await loop.create_future()

        task = loop.create_task(wait())
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        del task, wait, loop
        gc.collect()
        assert "Task was destroyed but it is pending!" in caplog.text, factory


def test_results_exceptions_and_cancellations_leave_nothing(loop: asyncio.AbstractEventLoop, collector_off: None) -> None:
    class Payload:
        pass

    watched: list[Any] = []

    def payload() -> Payload:
        made = Payload()
        watched.append(weakref.ref(made))
        return made

    async def give() -> Payload:
        await asyncio.sleep(0)
        return payload()

    async def fail() -> None:
        held = payload()
        await asyncio.sleep(0)
        raise ValueError(held)

    async def wait() -> None:
        held = payload()
        await asyncio.sleep(3600)
        del held

    async def main() -> None:
        for coroutine in (give(), fail(), wait()):
            task = asyncio.ensure_future(coroutine)
            watched.append(weakref.ref(task))
            await asyncio.sleep(0)
            if coroutine.__name__ == "wait":
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
            del task
        del coroutine
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    alive = [ref() for ref in watched if ref() is not None]
    assert alive == []


def test_all_tasks_and_current_task(run: Callable[..., Any]) -> None:
    async def child() -> None:
        assert asyncio.current_task() is not None
        assert asyncio.current_task() in asyncio.all_tasks()
        await asyncio.sleep(0)

    async def main() -> None:
        me = asyncio.current_task()
        assert me is not None
        loop = asyncio.get_running_loop()
        assert asyncio.all_tasks() == {me}
        children = {asyncio.create_task(child()) for _ in range(3)}
        assert asyncio.all_tasks() == {me, *children}
        assert asyncio.all_tasks(loop) == {me, *children}
        seen: list[Any] = []
        loop.call_soon(lambda: seen.append(asyncio.current_task()))
        await asyncio.sleep(0)
        assert seen == [None], "a callback is no task's"
        assert asyncio.current_task() is me
        await asyncio.gather(*children)
        assert asyncio.all_tasks() == {me}
        children.clear()

    run(main)
    loop = asyncio.new_event_loop()
    assert asyncio.current_task(loop) is None
    loop.close()


def test_a_task_is_a_task_to_everyone(run: Callable[..., Any]) -> None:
    async def nothing() -> None:
        pass

    async def main() -> None:
        task = asyncio.create_task(nothing(), name="Anna")
        assert isinstance(task, asyncio.Task)
        assert isinstance(task, asyncio.Future)
        assert asyncio.isfuture(task)
        assert inspect.isawaitable(task)
        assert not asyncio.iscoroutine(task)
        assert task.get_name() == "Anna"
        task.set_name(7)
        assert task.get_name() == "7"
        coroutine = task.get_coro()
        assert asyncio.iscoroutine(coroutine)
        assert task.get_loop() is asyncio.get_running_loop()
        assert task._fut_waiter is None
        assert task._must_cancel is False
        assert task._state == "PENDING"
        assert asyncio.ensure_future(task) is task
        await task
        assert task._state == "FINISHED"
        assert task._result is None
        assert task._exception is None
        future = asyncio.get_running_loop().create_future()
        assert isinstance(future, asyncio.Future)
        assert not isinstance(future, asyncio.Task)
        future.cancel()

    run(main)


def test_the_classes_are_subclasses_of_nothing_they_are_not() -> None:
    class MyTask(cede.Task):
        extra = "mine"

    loop = cede.new_event_loop()

    async def nothing() -> int:
        return 4

    task: Any = MyTask(nothing(), loop=loop)
    assert type(task) is MyTask
    assert task.extra == "mine"
    assert "MyTask" in repr(task)
    task.anything = "an instance has attributes of its own"
    assert loop.run_until_complete(task) == 4
    assert weakref.ref(task)() is task
    assert issubclass(cede.Task, cede.Future)
    loop.close()


def test_names_are_numbers_in_the_order_of_birth(loop: asyncio.AbstractEventLoop) -> None:
    async def nothing() -> None:
        pass

    first, second = (loop.create_task(nothing()) for _ in range(2))
    given = loop.create_task(nothing(), name="given")
    assert given.get_name() == "given"
    # asked for in the wrong order, and still told in the order of birth
    later, earlier = second.get_name(), first.get_name()
    assert int(later.removeprefix("Task-")) == int(earlier.removeprefix("Task-")) + 1
    loop.run_until_complete(asyncio.gather(first, second, given))


def test_a_task_shows_where_it_waits(loop: asyncio.AbstractEventLoop) -> None:
    import io

    async def inner(future: Any) -> None:
        await future

    async def outer(future: Any) -> None:
        await inner(future)

    future = loop.create_future()
    task = loop.create_task(outer(future), name="Berta")
    loop.call_soon(loop.stop)
    loop.run_forever()
    [frame] = task.get_stack()
    assert frame.f_code.co_name == "outer"
    text = io.StringIO()
    task.print_stack(file=text)
    assert "outer" in text.getvalue()
    assert "Berta" in repr(task)
    assert "wait_for=<" in repr(task)
    assert task._fut_waiter is future
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_each_task_has_a_context_of_its_own(run: Callable[..., Any]) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")

    async def child(name: str) -> str:
        before = var.get()
        var.set(name)
        await asyncio.sleep(0)
        assert var.get() == name
        return before

    async def main() -> None:
        var.set("main")
        context = contextvars.copy_context()
        context.run(var.set, "given")
        assert await asyncio.gather(child("a"), child("b")) == ["main", "main"]
        assert var.get() == "main"
        assert await asyncio.create_task(child("c"), context=context) == "given"
        assert context[var] == "c"

    run(main)


def test_a_task_refuses_what_is_no_coroutine(loop: asyncio.AbstractEventLoop) -> None:
    for junk in (None, 7, "coroutine", print, object(), [1]):
        with pytest.raises(TypeError, match="a coroutine was expected"):
            loop.create_task(junk)  # type: ignore[arg-type]


def test_bad_options_leave_no_half_made_task(loop: asyncio.AbstractEventLoop) -> None:
    reports: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))

    class Nameless:
        def __str__(self) -> str:
            raise ZeroDivisionError

    async def nothing() -> None:
        pass

    coroutine = nothing()
    with pytest.raises(ZeroDivisionError):
        loop.create_task(coroutine, name=Nameless())  # type: ignore[arg-type]
    if isinstance(loop, cede.EventLoop):  # asyncio looks at the context from Python 3.15 on
        with pytest.raises(TypeError, match=r"contextvars\.Context was expected"):
            loop.create_task(coroutine, context={})  # type: ignore[arg-type]
        assert asyncio.all_tasks(loop) == set()
        assert reports == []
    coroutine.close()
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_a_pending_object_cannot_be_made_anew() -> None:
    async def nothing() -> None:
        pass

    loop = cede.new_event_loop()
    future, task = loop.create_future(), loop.create_task(nothing())
    coroutine = nothing()
    with pytest.raises(RuntimeError, match="already initialized"):
        future.__init__(loop=loop)  # type: ignore[misc]
    with pytest.raises(RuntimeError, match="already initialized"):
        task.__init__(coroutine, loop=loop)
    coroutine.close()
    loop.run_until_complete(task)
    loop.close()


def test_a_result_cannot_be_forced_on_a_task(run: Callable[..., Any]) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(RuntimeError, match="does not support set_result"):
            task.set_result(1)  # type: ignore[attr-defined]
        with pytest.raises(RuntimeError, match="does not support set_exception"):
            task.set_exception(ValueError())  # type: ignore[attr-defined]

    run(main)


def test_a_task_on_a_closed_loop_is_refused(loop_factory: Callable[[], Any]) -> None:
    loop = loop_factory()
    loop.close()

    async def nothing() -> None:
        pass

    coroutine = nothing()
    with pytest.raises(RuntimeError, match="closed"):
        loop.create_task(coroutine)
    coroutine.close()


def test_who_replaces_call_soon_sees_the_callbacks_of_a_task(loop: asyncio.AbstractEventLoop) -> None:
    real = loop.call_soon
    scheduled: list[Any] = []

    def spy(callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        scheduled.append(callback)
        return real(callback, *args, context=context)

    def told(task: asyncio.Task[None]) -> None:
        assert task.done()

    async def nothing() -> None:
        pass

    async def main() -> None:
        task = loop.create_task(nothing())
        task.add_done_callback(told)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.call_soon = spy  # type: ignore[method-assign]
    loop.run_until_complete(main())
    del loop.call_soon
    assert told in scheduled


def test_the_callbacks_of_a_task_run_in_order_however_many(loop: asyncio.AbstractEventLoop) -> None:
    async def nothing() -> None:
        pass

    async def main() -> None:
        for count in range(4):
            told: list[int] = []
            task = loop.create_task(nothing())
            callbacks: list[Callable[[Any], None]] = [lambda _, n=n, told=told: told.append(n) for n in range(count)]  # type: ignore[misc]
            for callback in callbacks:
                task.add_done_callback(callback)
            unwanted: Callable[[Any], None] = lambda _, told=told: told.append(-1)  # type: ignore[misc]  # noqa: E731
            task.add_done_callback(unwanted)
            assert task.remove_done_callback(unwanted) == 1
            assert task.remove_done_callback(unwanted) == 0
            await task
            await asyncio.sleep(0)
            assert told == list(range(count))

    loop.run_until_complete(main())
