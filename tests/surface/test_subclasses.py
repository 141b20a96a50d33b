"""An object of a program's own subclass is of that class, whatever our own objects say of themselves.

Ours say by ``__class__`` that they are asyncio's, so that ``isinstance(task, asyncio.Task)`` holds. Where a subclass's object said so
too, ``dir(it)`` and ``inspect.getmembers(it)`` would not see what the subclass has. aiosmtpd's server, a StreamReaderProtocol, finds its
commands so, and knew none.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from asyncio import futures
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede.tasks.task_group import PatientFuture
from cede.tasks.wait_for_pure import FutureTimeout


async def nothing() -> None:
    pass


class Silent(asyncio.Transport):
    def is_closing(self) -> bool:
        return True


def a_task(cls: Any, loop: Any) -> Any:
    return cls(nothing(), loop=loop)


def a_protocol(cls: Any, loop: Any) -> Any:
    return cls(asyncio.StreamReader(loop=loop), loop=loop)


MADE: dict[str, Callable[[Any, Any], Any]] = {
    "Future": lambda cls, loop: cls(loop=loop),
    "Task": a_task,
    "Handle": lambda cls, loop: cls(print, (), loop),
    "TimerHandle": lambda cls, loop: cls(1.0, print, (), loop),
    "Lock": lambda cls, loop: cls(),
    "Event": lambda cls, loop: cls(),
    "Condition": lambda cls, loop: cls(),
    "Semaphore": lambda cls, loop: cls(),
    "BoundedSemaphore": lambda cls, loop: cls(),
    "Barrier": lambda cls, loop: cls(2),
    "Queue": lambda cls, loop: cls(),
    "PriorityQueue": lambda cls, loop: cls(),
    "LifoQueue": lambda cls, loop: cls(),
    "TaskGroup": lambda cls, loop: cls(),
    "Timeout": lambda cls, loop: cls(None),
    "StreamReader": lambda cls, loop: cls(loop=loop),
    "StreamReaderProtocol": a_protocol,
    "StreamWriter": lambda cls, loop: cls(Silent(), None, None, loop),
}


def derived(base: Any) -> Any:
    class Derived(base):  # type: ignore[misc]
        mark = 7

        def told(self) -> str:
            return type(self).__name__

    return Derived


def test_every_class_that_pretends_is_asked(loop_factory: Any) -> None:
    """A public class whose objects claim asyncio's class stands in the list above, or cannot be derived from."""
    pretends = [name for name in cede.__all__ if "__class__" in getattr(getattr(cede, name), "__dict__", ())]
    missing = []
    for name in set(pretends) - set(MADE):
        try:
            derived(getattr(cede, name))
        except TypeError:
            continue
        missing.append(name)
    assert not missing
    assert {"Future", "Task", "StreamReaderProtocol"} <= set(pretends)


@pytest.mark.parametrize("name", MADE)
def test_the_class_of_a_subclass(loop_factory: Any, name: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        base = getattr(cede if isinstance(loop, cede.EventLoop) else asyncio, name)
        cls = derived(base)
        made = MADE[name](cls, loop)
        assert made.__class__ is cls
        assert isinstance(made, base)
        assert {"told", "mark"} <= set(dir(made))
        assert ("mark", 7) in inspect.getmembers(made, lambda value: isinstance(value, int))
        assert made.told() == "Derived"
        made.mine = [1]
        assert made.mine == [1]
        if name == "Task":
            await made
        # Our own objects say that they are asyncio's.
        plain = MADE[name](base, loop)
        assert isinstance(plain, getattr(asyncio, name))
        if name == "Task":
            await plain

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_a_subclass_of_our_own_is_asyncios_too() -> None:
    """What the runtime makes for itself is seen by programs as well: the timer of a sleep, the future of a group."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sleeping = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        timers = [timer for timer in gc.get_objects() if isinstance(type(timer), type) and issubclass(type(timer), cede.TimerHandle)]
        assert timers
        assert {timer.__class__ for timer in timers} == {asyncio.TimerHandle}
        sleeping.cancel()
        assert isinstance(loop.call_later(60, futures._set_result_unless_cancelled, loop.create_future(), 1), asyncio.TimerHandle)
        group = cede.TaskGroup()
        async with group:
            group.create_task(asyncio.sleep(0))
            waiter = PatientFuture(loop=loop)
            assert isinstance(waiter, asyncio.Future)
            waiter.cancel()
        assert isinstance(FutureTimeout(None), asyncio.Timeout)

    cede.run(main())
