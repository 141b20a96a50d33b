"""How a task becomes known to asyncio: ``current_task()`` and ``all_tasks()``, on each version.

Only the functions that asyncio keeps for this are used, not its tables, which moved with each release (but for one of
3.11, which is what it is).

A task of ours is entered in the set that 3.12 made for eager tasks. asyncio reads both of its sets alike, but that one is a
plain set of strong references: it costs a tenth of the WeakSet (which runs Python code to add, to discard and for each dead
reference), and it is what keeps a pending task alive until it is done. 3.11 has the WeakSet alone; there a set of our own keeps the tasks.

A task on a loop that is not ours is registered weakly, as asyncio's own are: it belongs to that loop's rules.
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
    current: dict[Any, Any] = _tasks._current_tasks  # type: ignore[attr-defined]  # which 3.11 will not move any more

    def register(task: Any) -> None:
        pending.add(task)
        register_weak(task)

    def unregister(task: Any) -> None:
        pending.discard(task)
        unregister_weak(task)

    def swap_current(loop: Any, task: Any) -> Any:
        """Make `task` the current one of `loop`, or none; returns the one before."""
        previous = _tasks.current_task(loop)
        if previous is not None:
            leave_task(loop, previous)
        if task is not None:
            enter_task(loop, task)
        return previous


def put_back(loop: Any, previous: Any) -> None:
    """Make `previous` the current task of `loop` again, or none. Python 3.12 takes it amiss where none is current already."""
    if previous is not None or _tasks.current_task(loop) is not None:
        swap_current(loop, previous)
