"""What can be seen of a stackful function from outside: its stack while it is suspended, and a coroutine's methods and attributes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("greenlet", reason="greenlet is not to be had for this Python")

from cede import stackful
from tests.stackful.test_stackful import deep, value_later

Run = Callable[..., Any]


def test_the_saved_stack_can_be_read_while_it_is_suspended(run: Run) -> None:
    def outer(future: Any) -> None:
        here = "outer's local"
        deep(2, future)
        assert here

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = stackful.spawn(outer, future)
        fresh = stackful.saved_stack(task)
        assert (fresh.entry, fresh.state, fresh.frames) == (outer, "fresh", ())
        await asyncio.sleep(0)
        saved = stackful.saved_stack(task)
        assert saved.state == "suspended"
        assert saved.awaiting is future
        own = [frame.f_code.co_name for frame in saved.frames if frame.f_code.co_filename in (__file__, deep.__code__.co_filename)]
        assert own == ["outer", "deep", "deep", "deep"]
        assert saved.frames[[frame.f_code.co_name for frame in saved.frames].index("outer")].f_locals["here"] == "outer's local"
        assert "deep(levels - 1, awaitable)" in saved.format()
        files = (__file__, deep.__code__.co_filename)
        assert [frame.f_code.co_name for frame in task.get_stack() if frame.f_code.co_filename in files] == own
        assert "outer()" in repr(task)
        future.set_result(None)
        await task
        over = stackful.saved_stack(task)
        assert (over.state, over.frames, over.awaiting) == ("over", (), None)

        plain = asyncio.create_task(value_later(1))
        with pytest.raises(TypeError, match=r"made by stackful\.spawn"):
            stackful.saved_stack(plain)
        await plain

    run(main)


def test_it_is_a_coroutine_by_its_methods_and_attributes() -> None:
    def work() -> str:
        try:
            return deep(1, iter_twice())
        finally:
            ended.append("finally")

    class Twice:
        def __await__(self) -> Any:
            yield None
            yield None
            return "twice"

    ended: list[str] = []
    iter_twice = Twice
    made = stackful.run_sync(work)
    assert inspect.isawaitable(made)
    assert asyncio.iscoroutine(made)
    assert (made.__name__, made.cr_running, made.cr_await, made.cr_frame) == ("work", False, None, None)
    assert made.cr_code is work.__code__
    assert made.send(None) is None
    assert made.cr_frame is not None
    assert isinstance(made.cr_await, Twice)
    assert made.send(None) is None
    with pytest.raises(StopIteration) as stop:
        made.send(None)
    assert stop.value.value == "twice"
    assert ended == ["finally"]
    with pytest.raises(RuntimeError, match="cannot reuse"):
        made.send(None)

    thrown = stackful.run_sync(work)
    thrown.send(None)
    with pytest.raises(KeyError, match="thrown in"):
        thrown.throw(KeyError("thrown in"))
    closed = stackful.run_sync(work)
    closed.send(None)
    closed.close()
    closed.close()
    assert ended == ["finally"] * 3
    unstarted = stackful.run_sync(work)
    unstarted.close()
    refused = stackful.run_sync(work)
    with pytest.raises(ValueError, match="before it began"):
        refused.throw(ValueError("before it began"))
    assert ended == ["finally"] * 3

    def ignores() -> None:
        while True:
            try:
                stackful.wait(Twice())
            except GeneratorExit:
                pass

    stubborn = stackful.run_sync(ignores)
    stubborn.send(None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        stubborn.close()
    with pytest.raises(StopAsyncIteration):
        stubborn.throw(StopAsyncIteration())
