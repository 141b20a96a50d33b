# cython: auto_pickle=False
"""Telling asyncio of a task by the shortest way; `register` says what is told, and why like that."""

from __future__ import annotations

from typing import Any

from cede.core import register as functions

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if cython.compiled:
    prepare(cython.address(registering), functions.register)  # type: ignore # noqa: F821
    prepare(cython.address(unregistering), functions.unregister)  # type: ignore # noqa: F821
    prepare(cython.address(swapping), functions.swap_current)  # type: ignore # noqa: F821

    def announce(task: Any) -> int:
        """`task` is pending, and alive until `withdraw`."""
        return direct_call1(cython.address(registering), task)  # type: ignore # noqa: F821

    def withdraw(task: Any) -> int:
        """`task` is done."""
        return direct_call1(cython.address(unregistering), task)  # type: ignore # noqa: F821

    def tell_current(loop: Any, task: Any) -> int:
        """`task` runs now (None: no task)."""
        return direct_call2(cython.address(swapping), loop, task)  # type: ignore # noqa: F821

else:
    announce = functions.register
    withdraw = functions.unregister
    tell_current = functions.swap_current
