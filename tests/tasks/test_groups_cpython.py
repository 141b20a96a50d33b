"""CPython's own tests of groups, time limits, gather, wait, as_completed and shield, with cede's functions in the place of asyncio's."""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

import cede

# They are CPython's, and so is how they deal with warnings: some provoke them on purpose.
pytestmark = pytest.mark.filterwarnings("default")

SWAPPED = (
    "Timeout",
    "timeout",
    "timeout_at",
    "TaskGroup",
    "wait_for",
    "gather",
    "wait",
    "as_completed",
    "shield",
    "ensure_future",
    "capture_call_graph",
    "format_call_graph",
    "print_call_graph",
)

# What these tests say of asyncio's own inside, or of a version's old ways, with the reason.
NOT_OURS: dict[str, str] = {}
if sys.version_info < (3, 12):
    # The awaitable runs in the task that waits, as it does from 3.12 on: one that holds up the cancellation holds up the wait.
    NOT_OURS["AsyncioWaitForTest.test_wait_for_self_cancellation"] = "wait_for has a task of its own in 3.11"
if sys.version_info < (3, 13):
    # It has been an object, and no generator, since it can be iterated asynchronously: it is made at once.
    NOT_OURS["WaitTests.test_as_completed_coroutine_without_loop"] = "as_completed begins with its first result before 3.13"
    NOT_OURS["WaitTests.test_as_completed_invalid_args"] = "as_completed is a generator before 3.13"
    # So that nobody is told of a coroutine that was never awaited, a group closes what it refuses since 3.13.
    for name in ("finished", "no_create_task_after_failure", "not_entered", "without_parent_task"):
        NOT_OURS[f"TestTaskGroup.test_taskgroup_{name}"] = "awaits a coroutine that the group has refused, and since 3.13 closed"
if sys.version_info >= (3, 14):
    for name in ("test_shield_cancel_outer", "test_shield_cancel_outer_in_task"):
        NOT_OURS[f"WaitTests.{name}"] = "they name the private function by which asyncio reports a failure behind a shield"
    for name in ("as_completed", "as_completed_timeout", "tgroup", "wait", "wait_for_non_positive_timeout"):
        NOT_OURS[f"TestCallStackC.test_stack_{name}"] = "the graph is right; the frames in it are named as asyncio's private functions are"
if sys.version_info[:2] == (3, 13):
    NOT_OURS["TestTaskGroup.test_coro_closed_when_tg_closed"] = "asks for a current loop where none is set, in early 3.13"


class WithOurs(types.ModuleType):
    """asyncio, but for what is tested, and for the loop that the tests make."""

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__("asyncio")
        self.new_event_loop = new_loop
        for name in SWAPPED:
            setattr(self, name, getattr(cede, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


def shipped(name: str) -> Any:
    """One of the interpreter's test modules, or None where it came without."""
    try:
        return importlib.import_module(f"test.test_asyncio.{name}")
    except ModuleNotFoundError:
        return None


def on(kind: type, new_loop: Callable[[], asyncio.AbstractEventLoop], module: Any) -> type:
    """The test class `kind` on loops of that kind."""

    class Swapped(kind):  # type: ignore[misc,valid-type]
        loop_factory = staticmethod(new_loop)

        @pytest.fixture(autouse=True)
        def with_ours(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
            monkeypatch.setattr(module, "asyncio", WithOurs(new_loop))
            if hasattr(module, "taskgroups"):
                monkeypatch.setattr(module, "taskgroups", types.SimpleNamespace(TaskGroup=cede.TaskGroup))
            yield
            asyncio.set_event_loop(None)

        def run(self, result: Any = None) -> Any:
            with mock.patch.object(asyncio.events, "new_event_loop", new_loop), mock.patch.object(asyncio, "new_event_loop", new_loop):
                return super().run(result)

        def setUp(self) -> None:
            reason = NOT_OURS.get(f"{kind.__name__}.{self._testMethodName}")
            if reason is not None:
                self.skipTest(reason)
            super().setUp()

    return Swapped


def chosen() -> Iterator[tuple[str, type]]:
    for name in ("test_taskgroups", "test_timeouts", "test_waitfor", "test_tasks", "test_graph"):
        module = shipped(name)
        for kind in list(vars(module).values()) if module is not None else ():
            if not (isinstance(kind, type) and issubclass(kind, unittest.TestCase) and kind.__module__ == module.__name__):
                continue
            if name == "test_tasks" and kind.__name__ not in ("FutureGatherTests", "CoroutineGatherTests"):
                continue
            if name == "test_graph" and not kind.__name__.endswith("C"):
                continue  # the other one puts asyncio's own Python classes in place
            yield f"{kind.__name__}OnCede", on(kind, cede.EventLoop, module)
            yield f"{kind.__name__}OnAsyncio", on(kind, asyncio.SelectorEventLoop, module)


globals().update(chosen())


def task_tests() -> type:
    """The parts of BaseTaskTests that are about `wait`, `as_completed` and `shield`, with asyncio's own task on a clock of its own."""
    tasks = shipped("test_tasks")
    if tasks is None:
        return object
    about = ("wait", "as_completed", "shield", "gather", "ensure_future", "sync_as_completed", "async_as_completed")
    wanted = tuple(f"test_{name}" for name in about)
    kind = tasks.CTask_CFuture_Tests
    left_out = {name: None for name in dir(kind) if name.startswith("test_") and not name.startswith(wanted)}
    return on(type("WaitTests", (kind,), left_out), asyncio.SelectorEventLoop, tasks)


class WaitTestsOnAsyncio(task_tests()):  # type: ignore[misc]
    """asyncio's loop, whose clock these tests replace."""
