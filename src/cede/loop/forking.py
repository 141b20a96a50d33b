"""Forking: a child inherits copies of its parent's loops, which it must not use, and must not disturb either.

The copy's epoll and event descriptors are the very objects of the parent: a registration changed through them would
change the parent's. So the child closes its numbers, without unregistering anything, and marks the loop.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from asyncio import events
from typing import Any

from cede.core.kernel import CLOSED, FORKED, OPEN
from cede.loop.part import Part

_open_loops: weakref.WeakSet[Any] = weakref.WeakSet()


def _disown_in_child() -> None:
    loops = list(_open_loops)
    _open_loops.clear()
    for loop in loops:
        loop._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_in_child)


class ForkingPart(Part):
    """Knows the process that made the loop."""

    _home_pid = 0
    _ready_to_close = False
    _default_executor: Any

    def _register_for_fork(self) -> None:
        self._home_pid = os.getpid()
        self._ready_to_close = True
        _open_loops.add(self)

    def _mark_closed(self) -> None:
        self._state = CLOSED
        _open_loops.discard(self)

    def _disown(self) -> None:
        """In the child, right after the fork."""
        if self._state != OPEN:
            return
        if self._thread_id == threading.get_ident():
            events._set_running_loop(None)
            if self._wakeup_armed:
                # The descriptor is the parent's as well: a signal sent to the child would wake the parent.
                self._wakeup_armed = False
                signal.set_wakeup_fd(-1)
        self._give_signals_back_in_child()
        self._forget_names()
        self._default_executor = None  # its threads exist in the parent only
        try:
            self.driver.after_fork()  # what waited there is cancelled, in a loop that will not run it
        finally:
            self._state = FORKED
            self._release_children()  # to collect is the parent's business
            self._stopping = True  # where the fork was made by a callback, the run it returns to ends here
