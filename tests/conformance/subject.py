"""What is tested: cede's classes, or asyncio's pure Python ones.

The second subject proves the harness itself: whatever fails there is a fault of the harness, not of cede.
``CEDE_CONFORMANCE_SUBJECT=asyncio`` chooses it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Subject:
    name: str  # the first part of the names of the test classes
    build: str  # "compiled" or "pure"
    task: type
    future: type
    new_loop: Callable[[], asyncio.AbstractEventLoop]
    new_virtual_loop: Callable[[Any], asyncio.AbstractEventLoop]  # given the time generator, or None
    loggers: tuple[Any, ...]  # the modules whose `logger` a test means when it replaces asyncio.base_events.logger
    has_c_tables: bool  # its tasks are known to the C functions of asyncio, not only to the Python ones


def asyncio_subject() -> Subject:
    from test.test_asyncio import utils

    return Subject(
        name="Stock",
        build="pure",
        task=asyncio.tasks._PyTask,  # type: ignore[attr-defined]
        future=asyncio.futures._PyFuture,  # type: ignore[attr-defined]
        new_loop=asyncio.SelectorEventLoop,
        new_virtual_loop=utils.TestLoop,
        loggers=(),
        has_c_tables=False,
    )


def cede_subject() -> Subject:
    import sys

    import cede
    from cede.core.task import future, task

    from .virtual import VirtualLoop

    named = [module for name, module in sorted(sys.modules.items()) if name.startswith("cede.")]
    return Subject(
        name="Cede",
        build="pure" if (task.__file__ or "").endswith(".py") else "compiled",
        task=task.Task,
        future=future.Future,
        new_loop=cede.new_event_loop,
        new_virtual_loop=VirtualLoop,
        loggers=tuple(module for module in named if getattr(module, "logger", None) is asyncio.log.logger),
        has_c_tables=True,
    )


def chosen() -> Subject:
    """The subject that the environment asks for."""
    name = os.environ.get("CEDE_CONFORMANCE_SUBJECT", "cede")
    if name == "asyncio":
        return asyncio_subject()
    if name == "cede":
        return cede_subject()
    raise ValueError(f"CEDE_CONFORMANCE_SUBJECT={name!r}: choose 'cede' or 'asyncio'")
