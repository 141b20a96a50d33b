# cython: auto_pickle=False
"""The inbox: what other threads and signal handlers post to a loop.

The danger is the lost wake-up: a post that lands after the loop looked and before it sleeps. The protocol that rules it out:

* the loop publishes that it is idle, looks once more, and sleeps only if there was nothing (`about_to_sleep`);
* a poster appends first and looks at the idle flag second (`post`).

Whichever came first, one of the two sees the other. The flag is cleared by the first poster, so a storm of posts costs one
wake-up call. The deque's own operations are atomic; nothing else here may be touched by two threads.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from cede.core.ports import DriverPort


class Inbox:
    """Items posted from anywhere, drained by the loop's own thread."""

    def __init__(self, driver: DriverPort | None) -> None:
        self.items: deque[Any] = deque()
        self.pending = False
        self.idle = False
        self.driver = driver

    def post(self, item: Any) -> None:
        """Leave `item` for the loop and wake it if it sleeps. Any thread, any signal handler."""
        self.items.append(item)
        self.pending = True
        if self.idle:
            self.idle = False
            if self.driver is not None:
                self.driver.wake()

    def take_all(self) -> list[Any]:
        """What was posted, oldest first. The flag falls before the look: a post in between raises it again, and costs one look more."""
        self.pending = False
        taken = []
        while self.items:
            taken.append(self.items.popleft())
        return taken

    def about_to_sleep(self) -> bool:
        """Publish that the loop is idle. False: something was posted meanwhile, do not sleep."""
        self.idle = True
        if self.pending:
            self.idle = False
            return False
        return True

    def awake(self) -> None:
        """The loop runs again: posters need not wake it."""
        self.idle = False
