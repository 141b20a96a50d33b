# cython: auto_pickle=False
"""ThreadLock: the lock of what threads share, for code that holds it for some dozen instructions.

It is the interpreter's own lock without the object around it: to take a free one is an atomic instruction, not the call of a method.
Whoever has to wait lets go of the GIL for it. Who waits for a guard is not interrupted by signals, so nobody may wait for anything while
holding one.

Invariants
----------
* `owner` and `depth` are changed by the thread that holds the lock alone, with the GIL, so whoever reads its own number there is the owner.
* A thread may take it again: a finalizer, or a signal's handler, that runs in the middle of what it interrupts would wait for itself. So
  what is done under a guard has to bear being interrupted by the like of itself, between any two instructions of the interpreter.
"""

from __future__ import annotations

from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    import threading


class ThreadLock:
    """A lock, as `threading.RLock` is one: ``with guard:``, or `acquire` and `release`."""

    depth: int
    owner: int

    if cython.compiled:

        def __cinit__(self) -> None:
            self.lock = PyThread_allocate_lock()  # type: ignore # noqa: F821
            if self.lock == cython.NULL:
                raise MemoryError

        def __dealloc__(self) -> None:
            if self.lock != cython.NULL:
                PyThread_free_lock(self.lock)  # type: ignore # noqa: F821

        def acquire(self) -> int:
            me = PyThread_get_thread_ident()  # type: ignore # noqa: F821
            if self.depth and self.owner == me:
                self.depth += 1
                return 0
            if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):  # type: ignore # noqa: F821
                with cython.nogil:
                    PyThread_acquire_lock(self.lock, WAIT_LOCK)  # type: ignore # noqa: F821
            self.owner = me
            self.depth = 1
            return 0

        def release(self) -> int:
            if not self.depth or self.owner != PyThread_get_thread_ident():  # type: ignore # noqa: F821
                raise RuntimeError("release(): this thread does not hold the guard")
            self.depth -= 1
            if not self.depth:
                PyThread_release_lock(self.lock)  # type: ignore # noqa: F821
            return 0

        def __enter__(self) -> None:
            self.acquire()

        def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
            self.release()

    else:

        def __init__(self) -> None:
            self.lock = threading.RLock()
            self.depth = 0

        def acquire(self) -> int:
            self.lock.acquire()
            self.depth += 1
            return 0

        def release(self) -> int:
            self.depth -= 1
            self.lock.release()
            return 0

        def __enter__(self) -> None:
            self.lock.acquire()
            self.depth += 1

        def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
            self.depth -= 1
            self.lock.release()

    def is_nested(self) -> bool:
        """Whether the thread, which holds it, has interrupted itself."""
        return self.depth > 1


# What to make one by.
new_thread_lock: Any = ThreadLock
