"""Lines that cede writes to standard error by itself: one of a kind, once a process, and none with CEDE_QUIET=1."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

VARIABLE = "CEDE_QUIET"


class Notice:
    """One line for people, said at most once. A process that forks afterwards has said it for its children too."""

    def __init__(self) -> None:
        self._turn: Iterator[None] = iter((None,))  # taken by one caller, however many threads ask

    def say(self, text: str) -> None:
        """Write `text`, as one line in one piece, the first time."""
        for _ in self._turn:
            if os.environ.get(VARIABLE, "") not in ("", "0"):
                return
            try:
                sys.stderr.write(f"cede: {text}\n")
                sys.stderr.flush()
            except (AttributeError, OSError, ValueError):
                pass  # there is none, or it is closed or gone: there is nowhere else to say it
