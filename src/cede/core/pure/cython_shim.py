"""Stands in for `import cython` where Cython is not installed, which is where nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

compiled = False


def cclass(kind: type) -> type:
    """Compiled: an extension type."""
    return kind


def no_gc_clear(kind: type) -> type:
    """Compiled: the collector does not empty the fields of this class. Must stand above `cclass`; in a .pxd it is ignored."""
    return kind


def trashcan(wanted: bool) -> Callable[[type], type]:
    """Compiled: a chain of such objects, each holding the next, dies piece by piece, however long it is.

    Must stand above `cclass`, and in the .pxd too, for the modules that derive from the class.
    """
    return lambda kind: kind


def freelist(size: int) -> Callable[[type], type]:
    """Compiled: up to `size` dead objects are kept for new ones. Must stand above `cclass`; in a .pxd it is ignored."""
    return lambda kind: kind


def binding(bound: bool) -> Callable[[Any], Any]:
    """Compiled: the function is an object with a signature and attributes, as a Python function is, which costs a call a little more."""
    return lambda function: function
