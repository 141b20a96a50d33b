"""Forking: a child inherits copies of its parent's loops, which it must not use, and must not disturb either.

The copy's epoll and event descriptors are the very objects of the parent: a registration changed through them would
change the parent's. So the child closes its numbers, without unregistering anything, and marks the loop.

What transports own is closed in the child as well: as long as a copy is open, the peer of a connection that the parent closes sees no end
of it, and a port that the parent gives back stays taken. Listening sockets and pipes that the program made itself stay open, and so
does what it has duplicated.
"""

from __future__ import annotations

import os
import socket
import threading
from asyncio import events
from typing import Any

from cede.core.scheduler import coop
from cede.core.scheduler.run_queue import CLOSED, FORKED, OPEN
from cede.core.weak_ordered_set import WeakOrderedSet
from cede.drivers.contract import Owned
from cede.loop.mixin import LoopMixin
from cede.process.pipes import ChildInput

_open_loops = WeakOrderedSet()


def _finish_steps() -> None:
    """What the running step has written so far leaves before the fork, once."""
    for loop in list(_open_loops):
        if loop._thread_id == threading.get_ident():
            loop._end_last_step()


def _disown_in_child() -> None:
    loops = list(_open_loops)
    _open_loops.clear()
    coop.forget_after_fork()
    for loop in loops:
        loop._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_steps, after_in_child=_disown_in_child)


class ForkingMixin(LoopMixin):
    """Knows the process that made the loop."""

    _home_pid = 0
    _ready_to_close = False
    _default_executor: Any
    _servers: WeakOrderedSet

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
            self._borrowed.disown()
        self._give_signals_back_in_child()
        self._forget_names()
        self._default_executor = None  # its threads exist in the parent only
        self._close_copies()
        try:
            self.driver.after_fork()  # what waited there is cancelled, in a loop that will not run it
        finally:
            self._state = FORKED
            self._release_children()  # to collect is the parent's business
            self._stopping = True  # where the fork was made by a callback, the run it returns to ends here

    def _close_copies(self) -> None:
        """In the child: close what is the transports' and the servers' own, as far as the loop made it, or a transport was given it."""
        ours: list[Any] = []
        for fd, channel in list(self.driver.channels.items()):
            if isinstance(channel, Owned):
                of_a_child = isinstance(getattr(self.driver.stream_owner(fd), "_protocol", None), ChildInput)
                if of_a_child or isinstance(channel.sock, socket.socket):
                    ours.append(channel.sock)
        for server in list(self._servers):
            if not server._given:
                ours += server._sockets or ()
        for owned in ours:
            try:
                owned.close()
            except OSError:
                pass  # its number was somebody else's already, and the parent will be told
