"""Task factories, called as each version of asyncio calls them."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from cede.core import stdlib
from cede.core.task.task import Task


def stock_task_factory(loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
    """A task factory for ``loop.set_task_factory``: tasks are asyncio's own, written in C, on cede's loop.

    Use it for tools that read asyncio's tasks out of the process's memory, such as ``python -m asyncio pstree``, or to find out whether
    cede's tasks are the cause of a problem. It gives up what only cede's tasks have: plain generators, strong references to pending
    tasks, and the speed.
    """
    return stdlib.Task(coro, loop=loop, **options)


def start_with_factory(
    loop: Any, factory: Any, coro: Any, name: Any, context: Any, options: dict[str, Any]
) -> Any:
    """Implements ``loop.create_task`` for a loop with a task factory."""
    if factory is getattr(asyncio, "eager_task_factory", None):
        # asyncio's ready-made factory means "start eagerly", not "use asyncio's own task class".
        options.setdefault("eager_start", True)
        return Task(coro, loop=loop, name=name, context=context, **options)
    if context is not None:
        options["context"] = context
    if sys.version_info >= (3, 14):
        # From 3.14 on the name is an option like the others.
        if name is not None:
            options["name"] = name
        return factory(loop, coro, **options)
    task = factory(loop, coro, **options)
    if name is not None:
        set_name = getattr(task, "set_name", None)
        if set_name is not None:
            set_name(name)
    try:
        return task
    finally:
        task = coro = None  # an eager task has run under this frame, and a traceback may keep it: see task.py
