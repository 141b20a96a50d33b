"""Answers of the resolver, kept for a moment: small, bounded, and only where a program asks for it.

Off by default, because an answer's time to live is not told by ``getaddrinfo``: whoever turns it on says how stale an answer may be.
Errors are not kept. When it is full, the answer that was asked for least recently goes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any


class NameCache:
    """At most `size` answers, each for `seconds`. Raises TypeError or ValueError for bounds that are none."""

    def __init__(self, seconds: float, size: int) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"seconds must be a number, got {seconds!r}")
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds must be above 0, and finite, got {seconds!r}")
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"size must be a whole number, got {size!r}")
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size!r}")
        self._seconds = seconds
        self._size = size
        self._answers: OrderedDict[Any, tuple[float, list[Any]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: Any, now: float) -> list[Any] | None:
        """The answer to `question`, a list of the caller's own; None where there is none that is young enough."""
        entry = self._answers.get(question)
        if entry is None:
            return None
        until, answer = entry
        if now >= until:
            del self._answers[question]
            return None
        self._answers.move_to_end(question)
        return list(answer)

    def put(self, question: Any, answer: list[Any], now: float) -> None:
        """Keep `answer`."""
        self._answers[question] = (now + self._seconds, list(answer))
        self._answers.move_to_end(question)
        while len(self._answers) > self._size:
            self._answers.popitem(last=False)
