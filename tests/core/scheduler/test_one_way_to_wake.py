"""Onto the ready queue there is one way, `ReadyQueue.wake`: who wakes whom can be seen there."""

from __future__ import annotations

import re
from pathlib import Path

SRC = Path(__file__).resolve().parents[3] / "src" / "cede"
# Uncompiled, and only there: no call may end between two steps of these, where a signal's handler could raise.
IN_PLACE = {"core/pure/heap.py", "core/task/future.py", "core/scheduler/run_queue.py"}


def places(pattern: str) -> set[str]:
    sought = re.compile(pattern)
    sources = [path for path in SRC.rglob("*") if path.suffix in (".py", ".pyx", ".pxd")]
    return {path.relative_to(SRC).as_posix() for path in sources if sought.search(path.read_text(encoding="utf-8"))}


def test_nobody_appends_to_the_ready_queue() -> None:
    assert places(r"(_ready|\bring)\.(append|appendleft|insert|extend)\(") == set()
    assert places(r"\bring \+= ") == IN_PLACE
    assert "core/scheduler/run_queue.py" in places(r"_ready\.wake\(")  # the pattern still means something
