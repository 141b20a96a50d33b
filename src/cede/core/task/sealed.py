# cython: auto_pickle=False
"""Seal compiled classes, so that Python code cannot instantiate them: see objects.h. Uncompiled, this does nothing."""

from __future__ import annotations

from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


def take_door(kind: Any, altogether: bool) -> None:
    """Remove `__new__` from a compiled class. With `altogether`, the class also refuses calls and subclasses."""
    if cython.compiled:
        c_take_door(kind, altogether)  # type: ignore # noqa: F821
