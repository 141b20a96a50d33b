# cython: auto_pickle=False
"""Which compiled classes can be made from Python, see sealed.h. Uncompiled there is nothing to take care of."""

from __future__ import annotations

from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


def take_door(kind: Any, altogether: bool) -> None:
    """Take `__new__` out of a compiled class; `altogether`: refuse to be called, and to be derived from, too."""
    if cython.compiled:
        c_take_door(kind, altogether)  # type: ignore # noqa: F821
