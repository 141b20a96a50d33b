# cython: auto_pickle=False
"""Guard: the lock of what threads share, for code that holds it for some dozen instructions.

It is the interpreter's own lock without the object around it: to take a free one is an atomic instruction, not the call of a method.
Whoever has to wait lets go of the GIL for it. Who waits for a guard is not interrupted by signals, so nobody may wait for anything while
holding one.
"""

from __future__ import annotations

from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core import nocython as cython

if not cython.compiled:
    import threading


class Guard:
    """A lock, as `threading.Lock` is one: ``with guard:``, or `acquire` and `release`. Not reentrant."""

    if cython.compiled:

        def __cinit__(self) -> None:
            self.lock = PyThread_allocate_lock()  # type: ignore # noqa: F821
            if self.lock == cython.NULL:
                raise MemoryError

        def __dealloc__(self) -> None:
            if self.lock != cython.NULL:
                PyThread_free_lock(self.lock)  # type: ignore # noqa: F821

        def acquire(self) -> int:
            if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):  # type: ignore # noqa: F821
                with cython.nogil:
                    PyThread_acquire_lock(self.lock, WAIT_LOCK)  # type: ignore # noqa: F821
            return 0

        def release(self) -> int:
            PyThread_release_lock(self.lock)  # type: ignore # noqa: F821
            return 0

        def __enter__(self) -> None:
            self.acquire()

        def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
            self.release()


# What to make one by.
new_guard: Any = Guard if cython.compiled else threading.Lock
