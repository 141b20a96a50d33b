"""CPython's tests of locks, queues and subprocess streams, with cede's classes under asyncio's names, on asyncio's loop and on cede's."""

from __future__ import annotations

import asyncio
import importlib
import unittest
from contextlib import ExitStack
from typing import Any
from unittest import mock

import cede

from .suites import FOREIGN, OWN, Maker, suite

NAMES = (
    "Lock",
    "Event",
    "Condition",
    "Semaphore",
    "BoundedSemaphore",
    "Barrier",
    "Queue",
    "PriorityQueue",
    "LifoQueue",
    "QueueShutDown",
)


class OurPrimitives:
    """Comes first among the bases of a suite."""

    def run(self, result: Any = None) -> Any:
        with ExitStack() as stack:
            for name in NAMES:
                stack.enter_context(mock.patch.object(asyncio, name, getattr(cede, name), create=True))
            return super().run(result)  # type: ignore[misc]


def primitive_classes(make: Maker) -> None:
    ours = {getattr(asyncio, name): getattr(cede, name) for name in NAMES if hasattr(asyncio, name)}
    for name in ("test_locks", "test_queues"):
        module = suite(name)
        for cls in list(vars(module).values()):
            if not (isinstance(cls, type) and issubclass(cls, unittest.TestCase) and cls.__module__ == module.__name__):
                continue
            # Classes that were named when the suite was imported.
            members = {key: ours[value] for key, value in vars(cls).items() if isinstance(value, type) and value in ours}
            # Not the name that the same class has where asyncio's own primitives run on our loop.
            label = f"our_{name.removeprefix('test_')}_{cls.__name__.removesuffix('Tests').removesuffix('Test')}"
            for loop in (FOREIGN, OWN):
                make.add(label, loop, (OurPrimitives, cls), **members)

    child_classes(make)


def child_classes(make: Maker) -> None:
    module = suite("test_subprocess")
    utils: Any = importlib.import_module("test.test_asyncio.utils")
    for loop in (FOREIGN, OWN):
        make.add("our_subprocess", loop, (OurChildren, module.SubprocessMixin, utils.TestCase))


class OurChildren:
    """Comes first among the bases of the subprocess suite."""

    def setUp(self) -> None:
        super().setUp()  # type: ignore[misc]
        self.loop = asyncio.new_event_loop()
        self.set_event_loop(self.loop)  # type: ignore[attr-defined]

    def run(self, result: Any = None) -> Any:
        with ExitStack() as stack:
            for place in (asyncio, asyncio.subprocess):
                for name in cede.subprocess.__all__:
                    if hasattr(place, name):
                        stack.enter_context(mock.patch.object(place, name, getattr(cede.subprocess, name)))
            return super().run(result)  # type: ignore[misc]
