"""What a suite's process tells of its tests, one line of JSON each, written as it happens so that a crash loses nothing.

``["begin", test]``, ``["end", test, outcome, text]`` and, when all were run, ``["complete"]``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"
# What the ledger makes of them: a listed test that fails, one that passes all the same, and one that says nothing about a loop.
LISTED, STALE, INNER = "listed", "stale", "inner"
OUTCOMES = (PASSED, SKIPPED, INNER, LISTED, FAILED, STALE)
BAD = (FAILED, STALE)

LONGEST_TEXT = 6000


class Log:
    """Written by the suite's process."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def begin(self, test: str) -> None:
        self._write("begin", test)

    def end(self, test: str, outcome: str, text: str = "") -> None:
        if len(text) > LONGEST_TEXT:
            text = text[:1000] + "\n[...]\n" + text[1000 - LONGEST_TEXT :]
        self._write("end", test, outcome, text)

    def complete(self) -> None:
        self._write("complete")

    def _write(self, *parts: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(parts) + "\n")


def read(path: Path) -> tuple[dict[str, tuple[str, str]], str, bool]:
    """Test -> (outcome, text); the test that was begun and not ended, or ""; whether the log is complete."""
    ended: dict[str, tuple[str, str]] = {}
    running, complete = "", False
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            kind, *rest = json.loads(line)
        except ValueError:
            continue  # the process was killed while it wrote this
        if kind == "begin":
            running = rest[0]
        elif kind == "end":
            ended[rest[0]] = (rest[1], rest[2])
            running = "" if running == rest[0] else running
        else:
            complete = True
    return ended, running, complete
