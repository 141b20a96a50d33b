# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Attributed, OpenRunnable: what a program may hang its own attributes on, and replace methods of.

Compiled, an instance dictionary that always exists would cost more than the memory: the interpreter calls a method by its short
way only while the object has none (``reader.read``, ``writer.write`` and ``writer.drain`` are called for each message).
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
    """An object with an instance dictionary that is made when the first attribute is set.

    The collector leaves the dictionary's place alone: it would put None there, which is no dictionary, while finalizers may still look; a
    cycle through the dictionary is broken by the dictionary itself.
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
    """Lay the dictionary open to the interpreter; before any class is derived, for it inherits the place."""
    return example.expose_attributes()


def lay_runnable_open(example: OpenRunnable) -> int:
    """The same."""
    return example.expose_attributes()


if cython.compiled:
    lay_open(Attributed.__new__(Attributed))
    lay_runnable_open(OpenRunnable.__new__(OpenRunnable))
