# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""The inbox: what other threads and signal handlers post to a loop.

The danger is the lost wake-up: a post that lands after the loop looked and before it sleeps. The protocol that rules it out:

* the loop publishes that it is idle, looks once more, and sleeps only if there was nothing (`about_to_sleep`);
* a poster appends first and looks at the idle flag second (`post`).

Whichever came first, one of the two sees the other. The flag is cleared by the first poster, so any number of posts costs one
wake-up call. The deque's own operations are atomic; nothing else here may be touched by two threads. Compiled, `post` and the exchange in
`take_all` are single steps under the interpreter lock, so a plain list does.

`spin` comes before all that: the loop is not idle yet while it looks out for a post.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from cede.core.scheduler.gil_hints import GilHints
from cede.core.scheduler.ports import DriverPort

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


class Inbox:
    """Items posted from anywhere, drained by the loop's own thread."""

    def __init__(self, driver: DriverPort | None) -> None:
        self.items: Any = [] if cython.compiled else deque()
        self.gil_hints = GilHints()
        self.pending = False
        self.sleeping = False
        self.driver = driver

    def post(self, item: Any) -> None:
        """Leave `item` for the loop and wake it if it sleeps. Any thread, any signal handler."""
        self.items.append(item)
        if not cython.compiled or not self.pending:  # each writing would cost a loop that looks at it a cache line
            self.pending = True
        if self.sleeping:
            self.sleeping = False
            if self.driver is not None:
                self.driver.wake()

    def ring(self) -> None:
        """The loop's own thread has put something on the ready ring, perhaps in a signal's handler, just before the loop sleeps."""
        self.pending = True
        if self.sleeping:
            self.sleeping = False
            if self.driver is not None:
                self.driver.wake()

    def take_all(self) -> list[Any]:
        """What was posted, oldest first. The flag falls before the look: a post in between raises it again, and costs one look more."""
        if cython.compiled:
            fresh: list[Any] = []  # first: to make it may call finalizers, and those other threads
            self.pending = False
            posted: list[Any] = self.items
            self.items = fresh
            return posted
        self.pending = False
        taken = []
        while self.items:
            taken.append(self.items.popleft())
        return taken

    # let_take is inline, in inbox.pxd.

    def spin(self, seconds: float) -> bool:
        """Whether something was posted within so many seconds, a few millionths, in which this thread does not sleep."""
        if cython.compiled:
            return look_out(self, self.gil_hints, seconds)  # type: ignore # noqa: F821
        return False

    def about_to_sleep(self) -> bool:
        """Publish that the loop is idle. False: something was posted meanwhile, do not sleep."""
        self.sleeping = True
        if self.pending:
            self.sleeping = False
            return False
        return True

    def awake(self) -> None:
        """The loop runs again: posters need not wake it."""
        self.sleeping = False
