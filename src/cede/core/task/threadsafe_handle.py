# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""The handle of `call_soon_threadsafe`, which another thread may cancel at any moment.

Invariants
----------
* A cancellation from another thread takes effect before the callback begins or after it has ended, never while it runs: when `cancel`
  or `cancelled` has returned there, the callback is not running.
* `run_ready` sets `running` before it reads the callback, and `cancel` reads `running` first: whichever thread comes second sees the other.
* The loop's own thread never waits here; the callback may cancel its own handle.
"""

from __future__ import annotations

import threading
from asyncio import events
from typing import Any

from cede.core.task.handle import Handle

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

# Guards the creation of an event, which happens only if a thread has to wait.
_making = threading.RLock()  # a finalizer of this thread may run in between

# Newer versions of asyncio have a class for it.
_known_as = getattr(events, "_ThreadSafeHandle", events.Handle)


class ThreadSafeHandle(Handle):
    """A callback posted by any thread."""

    if not cython.compiled:
        running = False
        begun = False
        ended: Any = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return _known_as

    def cancel(self) -> None:
        """Do not run the callback. If it runs already, on another thread, wait until it has ended."""
        if self.running:
            self._wait_until_ended()
        Handle.cancel(self)

    def cancelled(self) -> bool:
        """Whether `cancel` was called. Waits, on any thread but the loop's, while the callback runs."""
        if self.running:
            self._wait_until_ended()
        return bool(self._cancelled)

    def run_ready(self) -> int:
        self.running = True
        try:
            if cython.compiled:
                return Handle.run_ready(self)
            self.begun = True
            if not self._cancelled:
                try:
                    self._context.run(self._callback, *self._args)
                except BaseException as error:
                    self._failed(error)
            return 0
        finally:
            self.running = False
            if self.ended is not None:
                self.ended.set()

    def _wait_until_ended(self) -> int:
        if self._loop._thread_id == threading.get_ident():
            return 0
        with _making:
            if self.ended is None:
                self.ended = threading.Event()
            ended = self.ended
        if self.running:
            ended.wait()
        return 0


if cython.compiled:
    pool_threadsafe(ThreadSafeHandle)  # type: ignore # noqa: F821
