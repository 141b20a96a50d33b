# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""The inbox: what other threads and signal handlers post to a loop.

The danger is the lost wake-up: a post that arrives after the loop has checked and before it sleeps. This protocol rules it out:

* the loop sets `sleeping`, checks once more, and sleeps only if there is no post (`about_to_sleep`);
* a poster appends first and reads `sleeping` second (`post`).

Whichever comes first, one of the two sees the other. The first poster clears `sleeping`, so any number of posts costs one wake-up call.
The deque's own operations are atomic; two threads may touch nothing else here. Compiled, `post` and the exchange in `take_all` are
single steps under the GIL, so a plain list is enough.

`spin` comes before all that: the loop has not set `sleeping` yet while it spins for a post.
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
    """Items that any thread posts, and that the loop's own thread drains."""

    def __init__(self, driver: DriverPort | None) -> None:
        self.items: Any = [] if cython.compiled else deque()
        self.gil_hints = GilHints()
        self.pending = False
        self.sleeping = False
        self.driver = driver

    def post(self, item: Any) -> None:
        """Leave `item` for the loop and wake it if it sleeps. Any thread, any signal handler."""
        self.items.append(item)
        if not cython.compiled or not self.pending:  # each write would cost a loop that reads the flag a cache line
            self.pending = True
        if self.sleeping:
            self.sleeping = False
            if self.driver is not None:
                self.driver.wake()

    def ring(self) -> None:
        """Keep the loop awake: its own thread has put something on the ready ring, perhaps in a signal handler just before a sleep."""
        self.pending = True
        if self.sleeping:
            self.sleeping = False
            if self.driver is not None:
                self.driver.wake()

    def take_all(self) -> list[Any]:
        """What was posted, oldest first. Clears `pending` before it reads: a post in between sets it again, and costs one more call."""
        if cython.compiled:
            fresh: list[Any] = []  # first: making a list may run finalizers, which may let other threads in
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

    def drop(self) -> int:
        """Forget what was posted. True: something was there."""
        there = len(self.items)
        self.items.clear()
        return there

    def attach(self, kernel: Any) -> int:
        """Whose inbox it is."""
        return 0

    def spin(self, seconds: float) -> bool:
        """Watch for a post for `seconds`, some microseconds, without the GIL and without sleeping. True if one came."""
        if cython.compiled:
            return look_out(self, self.gil_hints, seconds)  # type: ignore # noqa: F821
        return False

    def about_to_sleep(self) -> bool:
        """Set `sleeping`. Returns False if a post has come meanwhile: do not sleep then."""
        self.sleeping = True
        if self.pending:
            self.sleeping = False
            return False
        return True

    def awake(self) -> None:
        """Clear `sleeping`: the loop runs again, and posters need not wake it."""
        self.sleeping = False
