"""Task factories whose tasks take their first step at once, on every version."""

from __future__ import annotations

from typing import Any

from cede.core.task.task import Task


def create_eager_task_factory(custom_task_constructor: Any) -> Any:
    """A task factory that makes tasks by that constructor, which must take `eager_start`, and starts them at once."""

    def factory(loop: Any, coro: Any, *, name: Any = None, context: Any = None, eager_start: bool = True, **options: Any) -> Any:
        return custom_task_constructor(coro, loop=loop, name=name, context=context, eager_start=eager_start, **options)

    return factory


eager_task_factory = create_eager_task_factory(Task)
