# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Announce tasks to asyncio with as few calls as possible. `registry` says what asyncio has to know, and why."""

from __future__ import annotations

from typing import Any

from cede.core.task import registry as functions

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if cython.compiled:
    # On 3.11 asyncio's functions for this are Python functions, so this module does their work itself: a signal handler runs where a Python
    # function begins, and if it raises, it would end a turn that has taken a task or a handle off the ring and not begun it.
    swaps = functions.swap_at_once
    if swaps:
        prepare(cython.address(registering), functions.register)  # type: ignore # noqa: F821
        prepare(cython.address(unregistering), functions.unregister)  # type: ignore # noqa: F821
        prepare(cython.address(swapping), functions.swap_current)  # type: ignore # noqa: F821
    else:
        pending = functions.pending
        current = functions.current
        prepare(cython.address(registering), functions.register_weak)  # type: ignore # noqa: F821
        prepare(cython.address(unregistering), functions.unregister_weak)  # type: ignore # noqa: F821
        prepare(cython.address(swapping), functions.enter_task)  # type: ignore # noqa: F821
        prepare(cython.address(leaving), functions.leave_task)  # type: ignore # noqa: F821

    def announce(task: Any) -> int:
        """Tell asyncio that `task` is pending, which keeps it alive until `withdraw`."""
        if not swaps:
            pending.add(task)
        return direct_call1(cython.address(registering), task)  # type: ignore # noqa: F821

    def withdraw(task: Any) -> int:
        """Tell asyncio that `task` is done."""
        if not swaps:
            pending.discard(task)
        return direct_call1(cython.address(unregistering), task)  # type: ignore # noqa: F821

    def tell_current(loop: Any, task: Any) -> int:
        """Tell asyncio that `task` runs now (None: no task)."""
        if not swaps:
            previous = current.get(loop)
            if previous is not None:
                direct_call2(cython.address(leaving), loop, previous)  # type: ignore # noqa: F821
            if task is None:
                return 0
        return direct_call2(cython.address(swapping), loop, task)  # type: ignore # noqa: F821

else:
    announce = functions.register
    withdraw = functions.unregister
    tell_current = functions.swap_current
