"""How a task becomes known to asyncio: ``current_task()`` and ``all_tasks()``, on each version.

This module uses the functions that asyncio has for this, and not its tables, which moved with each release. The one exception is a
table of 3.11, which will not change any more.

A pending task of a cede loop goes into the set that CPython 3.12 has for eager tasks. asyncio reads both of its sets alike, but this one is
a plain set of strong references: it costs a tenth of the WeakSet (which runs Python code to add, to discard and for each dead reference),
and it keeps a pending task alive until it is done. 3.11 has only the WeakSet; there a set of this module keeps the tasks alive.

A task on a foreign loop is registered weakly, like asyncio's own tasks: it follows the rules of that loop.
"""

from __future__ import annotations

import sys
from asyncio import tasks as _tasks
from typing import Any

register_weak: Any = _tasks._register_task
unregister_weak: Any = _tasks._unregister_task
enter_task: Any = _tasks._enter_task
leave_task: Any = _tasks._leave_task

swap_at_once = sys.version_info >= (3, 12)

if sys.version_info >= (3, 12):
    register: Any = _tasks._register_eager_task
    unregister: Any = _tasks._unregister_eager_task
    swap_current: Any = _tasks._swap_current_task

else:
    pending: set[Any] = set()
    current: dict[Any, Any] = _tasks._current_tasks  # type: ignore[attr-defined]  # 3.11 will not move it any more

    def register(task: Any) -> None:
        pending.add(task)
        register_weak(task)

    def unregister(task: Any) -> None:
        pending.discard(task)
        unregister_weak(task)

    def swap_current(loop: Any, task: Any) -> Any:
        """Make `task` the current task of `loop` (None: no task). Returns the previous one."""
        previous = _tasks.current_task(loop)
        if previous is not None:
            leave_task(loop, previous)
        if task is not None:
            enter_task(loop, task)
        return previous


def put_back(loop: Any, previous: Any) -> None:
    """Make `previous` the current task of `loop` again (None: no task). Python 3.12 raises if there is no task to take away."""
    if previous is not None or _tasks.current_task(loop) is not None:
        swap_current(loop, previous)
