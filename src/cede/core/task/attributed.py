# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Attributed, OpenRunnable: bases of objects on which a program may set its own attributes, and replace methods.

Compiled, an instance dictionary that always exists would cost more than memory: the interpreter has a fast method call only for
objects without one (each message calls ``reader.read``, ``writer.write`` and ``writer.drain``).
"""

from __future__ import annotations

from typing import Any

from cede.core.task.handle import Runnable

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


@cython.trashcan(True)
@cython.no_gc_clear
@cython.cclass
class Attributed:
    """An object whose instance dictionary is made when the first attribute is set.

    The collector does not clear the dictionary's slot: it would put None there, which is no dictionary, while finalizers may still read
    it. The dictionary's own `tp_clear` breaks a cycle through it.
    """

    if cython.compiled:

        def __cinit__(self, *args: Any, **kwargs: Any) -> None:
            self.hold_no_attributes()

        def hold_no_attributes(self) -> int:
            return no_attributes(cython.address(self.before))  # type: ignore # noqa: F821

        def expose_attributes(self) -> int:
            return install_attributes(Attributed, self, cython.address(self.before))  # type: ignore # noqa: F821


@cython.no_gc_clear
@cython.cclass
class OpenRunnable(Runnable):
    """The same for a runnable."""

    if not cython.compiled:
        __slots__ = ()

    if cython.compiled:

        def __cinit__(self, *args: Any, **kwargs: Any) -> None:
            self.hold_no_attributes()

        def hold_no_attributes(self) -> int:
            return no_attributes(cython.address(self.state))  # type: ignore # noqa: F821

        def expose_attributes(self) -> int:
            return install_attributes(OpenRunnable, self, cython.address(self.state))  # type: ignore # noqa: F821


def lay_open(example: Attributed) -> int:
    """Show the dictionary's slot to the interpreter. Call this before any class is derived, because it inherits the slot."""
    return example.expose_attributes()


def lay_runnable_open(example: OpenRunnable) -> int:
    """The same for a runnable."""
    return example.expose_attributes()


if cython.compiled:
    lay_open(Attributed.__new__(Attributed))
    lay_runnable_open(OpenRunnable.__new__(OpenRunnable))
