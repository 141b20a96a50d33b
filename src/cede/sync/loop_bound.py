# cython: auto_pickle=False
"""LoopBound: a primitive belongs to the loop on which somebody first had to wait for it."""

from __future__ import annotations

import threading
from asyncio import events
from typing import Any

from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.attributed import Attributed
from cede.core.task.operation import new_waiter as waiter_on

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

running_loop = events._get_running_loop  # type: ignore[attr-defined]

# Two loops that meet a fresh primitive at the same moment.
first_use = threading.RLock()  # a finalizer may come in between


class LoopBound(Attributed):
    """The base of the primitives."""

    if not cython.compiled:
        loop: Any = None

    def bound_loop(self) -> Any:
        """The running loop, which from now on is the only one. RuntimeError where another one was first, or none runs."""
        loop = running_loop()
        if self.loop is not loop or loop is None:
            self.bind(loop)
        return loop

    def new_waiter(self) -> Any:
        """A future of that loop, to wait on for this primitive."""
        # A loop of ours knows its thread, and that is quicker than to ask asyncio which one runs.
        if cython.compiled and self.kernel is not None and is_this_thread(self.kernel._thread_id):  # type: ignore # noqa: F821
            return self.kernel.waiter_for(self)
        loop = running_loop()
        if self.loop is not loop or loop is None:
            self.bind(loop)
        return waiter_on(loop, self)

    def bind(self, loop: Any) -> int:
        if loop is None:
            raise RuntimeError("no running event loop")
        with first_use:
            if self.loop is None:
                self._loop = loop
        if self.loop is not loop:
            raise RuntimeError(f"{self!r} is bound to a different event loop")
        return 0

    def _get_loop(self) -> Any:
        return self.bound_loop()

    @property
    def _loop(self) -> Any:
        return self.loop

    @_loop.setter
    def _loop(self, loop: Any) -> None:
        self.loop = loop
        if cython.compiled:
            self.kernel = loop if isinstance(loop, TaskKernel) else None

    def __reduce__(self) -> Any:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __setstate__(self, state: Any) -> None:
        raise TypeError(f"cannot unpickle {type(self).__name__!r} object")


def described(primitive: Any, state: str, waiting: Any) -> str:
    """The text of a primitive: asyncio's, with the class in its place."""
    kind = type(primitive)
    waiters = len(waiting) if waiting is not None else 0
    extra = f"{state}, waiters:{waiters}" if waiters else state
    return f"<{kind.__module__}.{kind.__qualname__} object at {id(primitive):#x} [{extra}]>"
