"""Makes the test classes: each of CPython's suites, with cede's classes and loops put in.

Two kinds of loop, told by the last part of a class's name:

* ``ForeignLoop``: asyncio's own loop. A cede task there has only ``loop.call_soon`` to live on.
* ``CedeLoop``: cede's loop, with a virtual clock where the suite wants one. This is the fast path.
"""

from __future__ import annotations

import asyncio
import importlib
import types
import unittest
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from . import ledger
from .subject import Subject

PACKAGE = "test.test_asyncio"
FOREIGN, OWN = "ForeignLoop", "CedeLoop"


class LoggerOfTheDay:
    """Stands for asyncio's logger, looked up anew at each use: tests replace it where asyncio keeps it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.base_events.logger, name)


@contextmanager
def own_loops(subject: Subject) -> Iterator[None]:
    """While this lasts, whoever asks asyncio for a new loop gets the subject's."""
    with ExitStack() as stack:
        for place in (asyncio, asyncio.events):
            stack.enter_context(mock.patch.object(place, "new_event_loop", subject.new_loop))
        for module in subject.loggers:
            stack.enter_context(mock.patch.object(module, "logger", LoggerOfTheDay()))
        yield


def own_loop_mixin(subject: Subject) -> type:
    """Comes first among the bases of a suite, and puts the subject's loops under it."""

    class OwnLoop:
        def run(self, result: Any = None) -> Any:
            with own_loops(subject):
                return super().run(result)  # type: ignore[misc]

        def new_test_loop(self, gen: Any = None) -> Any:
            loop = subject.new_virtual_loop(gen)
            self.set_event_loop(loop)  # type: ignore[attr-defined]
            return loop

    return OwnLoop


class Maker:
    """Collects the classes of one pytest module."""

    def __init__(self, subject: Subject, home: str, book: ledger.Ledger) -> None:
        self.subject = subject
        self.home = home
        self.book = book
        self.own = own_loop_mixin(subject)
        self.classes: dict[str, type[unittest.TestCase]] = {}

    def add(self, name: str, loop: str, bases: tuple[type, ...], decorate: Any = None, **members: Any) -> None:
        full = f"{name}_{loop}"
        if loop == OWN:
            bases = (self.own, *bases)
        cls: Any = types.new_class(full, bases, exec_body=lambda space: space.update(members, __module__=self.home))
        if decorate is not None:
            cls = decorate(cls)
        self.book.mark(cls)
        self.classes[full] = cls

    def add_both(self, name: str, bases: tuple[type, ...], decorate: Any = None, **members: Any) -> None:
        for loop in (FOREIGN, OWN):
            self.add(name, loop, bases, decorate, **members)


def suite(name: str) -> Any:
    """One of the interpreter's test modules, or None where this version has none of that name."""
    try:
        return importlib.import_module(f"{PACKAGE}.{name}")
    except ModuleNotFoundError as missing:
        if missing.name != f"{PACKAGE}.{name}":
            raise
        return None


def lookups(in_c: bool) -> dict[str, Any]:
    """`all_tasks` and `current_task`, as newer suites want them named: the C ones, or the Python ones (which differ from 3.14 on)."""
    prefix = "_c_" if in_c else "_py_"
    pair = {}
    for name in ("all_tasks", "current_task"):
        pair[name] = staticmethod(getattr(asyncio.tasks, prefix + name, getattr(asyncio.tasks, name)))
    return pair


def task_classes(make: Maker) -> None:
    tasks = suite("test_tasks")
    utils = importlib.import_module(f"{PACKAGE}.utils")
    subject, name = make.subject, make.subject.name
    ours, ours_future = subject.task, subject.future
    c_task, c_future = asyncio.tasks._CTask, asyncio.futures._CFuture  # type: ignore[attr-defined]
    py_task, py_future = asyncio.tasks._PyTask, asyncio.futures._PyFuture  # type: ignore[attr-defined]
    plain = (tasks.BaseTaskTests, utils.TestCase)
    found, in_c = lookups(subject.has_c_tables), lookups(True)
    twice = tasks.add_subclass_tests

    # The C class brings tests of its own, on what happens to objects that nobody initialised.
    full = (tasks.CTask_CFuture_Tests,) if subject.has_c_tables else (tasks.PyTask_PyFuture_Tests,)
    make.add_both(f"{name}Task_{name}Future", full, Task=ours, Future=ours_future, **found)
    make.add_both(f"{name}TaskSub_{name}FutureSub", plain, twice, Task=ours, Future=ours_future, **found)
    make.add_both(f"{name}Task_CFuture", plain, Task=ours, Future=c_future, **found)
    make.add_both(f"{name}Task_PyFuture", plain, Task=ours, Future=py_future, **found)
    make.add_both(f"{name}TaskSub_CFutureSub", plain, twice, Task=ours, Future=c_future, **found)
    make.add_both(f"{name}TaskSub_PyFutureSub", plain, twice, Task=ours, Future=py_future, **found)
    make.add_both(f"CTask_{name}Future", plain, Task=c_task, Future=ours_future, **in_c)
    make.add_both(f"PyTask_{name}Future", plain, Task=py_task, Future=ours_future, **lookups(False))
    make.add_both(f"CTaskSub_{name}FutureSub", plain, twice, Task=c_task, Future=ours_future, **in_c)
    make.add_both(f"PyTaskSub_{name}FutureSub", plain, twice, Task=py_task, Future=ours_future, **lookups(False))
    # asyncio's own tasks on our loop
    make.add("CTask_CFuture", OWN, (tasks.CTask_CFuture_Tests,))
    make.add("PyTask_PyFuture", OWN, (tasks.PyTask_PyFuture_Tests,))

    def new_task(self: Any, coro: Any) -> Any:
        return ours(coro, loop=self.loop)

    current = found["current_task"]
    make.add_both(f"{name}Task_CurrentLoop", (tasks.PyCurrentLoopTests,), current_task=current, new_task=new_task)
    for cls in (
        "CTask_Future_Tests",
        "FutureGatherTests",
        "CoroutineGatherTests",
        "RunCoroutineThreadsafeTests",
        "SleepTests",
        "CompatibilityTests",
    ):
        make.add(cls.removesuffix("_Tests").removesuffix("Tests"), OWN, (getattr(tasks, cls),))


def future_classes(make: Maker) -> None:
    futures = suite("test_futures")
    subject, name = make.subject, make.subject.name
    ours = subject.future
    sub = type(f"Sub{name}Future", (ours,), {})
    c_side = "C" if subject.has_c_tables else "Py"
    made = {"_new_future": lambda self: ours(loop=self.loop)}
    made_sub = {"_new_future": lambda self: sub(loop=self.loop)}
    whole = getattr(futures, f"{c_side}FutureTests")
    calls = getattr(futures, f"{c_side}FutureDoneCallbackTests")
    heirs = getattr(futures, f"{c_side}FutureInheritanceTests")
    make.add_both(f"{name}Future", (whole,), cls=ours)
    make.add_both(f"{name}FutureSub", (futures.CSubFutureTests,), cls=sub)
    make.add_both(f"{name}Future_Callbacks", (calls,), **made)
    make.add_both(f"{name}FutureSub_Callbacks", (calls,), **made_sub)
    make.add_both(f"{name}Future_Heirs", (heirs,), _get_future_cls=lambda self: ours)
    for kind in ("C", "Py"):
        make.add(f"{kind}Future", OWN, (getattr(futures, f"{kind}FutureTests"),))
        make.add(f"{kind}Future_Callbacks", OWN, (getattr(futures, f"{kind}FutureDoneCallbackTests"),))
    make.add("DuckFuture", OWN, (futures.DuckTests,))

    more = suite("test_futures2")
    make.add_both(f"{name}Task_Futures2", (more.FutureTests, unittest.IsolatedAsyncioTestCase), cls=subject.task)
    for kind, cls in (("C", asyncio.tasks._CTask), ("Py", asyncio.tasks._PyTask)):  # type: ignore[attr-defined]
        make.add(f"{kind}Task_Futures2", OWN, (more.FutureTests, unittest.IsolatedAsyncioTestCase), cls=cls)
    make.add("FutureRepr", OWN, (more.FutureReprTests,))


def eager_classes(make: Maker) -> None:
    eager = suite("test_eager_task_factory")
    if eager is None:
        return
    name, task = make.subject.name, make.subject.task
    side = "C" if make.subject.has_c_tables else "Py"
    make.add_both(f"{name}Task_EagerFactory", (getattr(eager, f"{side}EagerTaskFactoryLoopTests"),), Task=task)
    make.add_both(f"{name}Task_EagerCount", (getattr(eager, f"Eager{side}TaskTests"),), Task=task)
    make.add_both(f"{name}Task_LazyCount", (getattr(eager, f"NonEager{side}TaskTests"),), Task=task)
    for kind in ("C", "Py"):
        make.add(f"{kind}Task_EagerFactory", OWN, (getattr(eager, f"{kind}EagerTaskFactoryLoopTests"),))
        make.add(f"{kind}Task_EagerCount", OWN, (getattr(eager, f"Eager{kind}TaskTests"),))
    if hasattr(eager, "DefaultTaskFactoryEagerStart"):
        make.add("DefaultFactory_EagerStart", OWN, (eager.DefaultTaskFactoryEagerStart,))


def every_class(make: Maker, *modules: str) -> None:
    """All test classes of these modules, on the subject's loop."""
    for name in modules:
        module = suite(name)
        if module is None:
            continue
        for cls in list(vars(module).values()):
            if isinstance(cls, type) and issubclass(cls, unittest.TestCase) and cls.__module__ == module.__name__:
                make.add(f"{name.removeprefix('test_')}_{cls.__name__.removesuffix('Tests').removesuffix('Test')}", OWN, (cls,))


def user_classes(make: Maker) -> None:
    """What asyncio builds from tasks and futures, on cede's tasks and loop."""
    every_class(make, "test_taskgroups", "test_timeouts", "test_waitfor", "test_locks", "test_queues")
    every_class(make, "test_pep492", "test_threads", "test_staggered")
    subject, name = make.subject, make.subject.name
    graph = suite("test_graph")
    side = "C" if subject.has_c_tables else "Py"
    if graph is not None:
        make.add("graph_CallStack", OWN, (getattr(graph, f"TestCallStack{side}"),))
    threads = suite("test_free_threading")
    if threads is not None:
        bases = (getattr(threads, f"Test{side}FreeThreading"),)

        def factory(self: Any, loop: Any, coro: Any, **kwargs: Any) -> Any:
            return subject.task(coro, loop=loop, **kwargs)

        def eager_factory(self: Any, loop: Any, coro: Any, eager_start: bool = True, **kwargs: Any) -> Any:
            return subject.task(coro, loop=loop, eager_start=eager_start, **kwargs)

        make.add_both(f"{name}Task_Threads", bases, factory=factory)
        make.add_both(f"{name}Task_EagerThreads", bases, factory=eager_factory)
