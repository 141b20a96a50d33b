"""The compatibility page: what is kept, what a new run replaces, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import compat


def run_of(loop: str, python: str, passed: int, bad: dict[str, str] | None = None) -> dict[str, Any]:
    """What a run of a suite of one module leaves."""
    counts = {"passed": passed, "skipped": 3, "inner": 0, "listed": 1, "failed": len(bad or ()), "stale": 0}
    unit = {"seconds": 1.0, "counts": counts, "bad": bad or {}, "unsteady": {}, "told": {}}
    build = "compiled" if loop == "cede" else ""
    return {
        "suite": "uvloop",
        "python": python,
        "loop": loop,
        "version": "1.0",
        "build": build,
        "sources": {"uvloop": "uvloop-0.1"},
        "units": {"uvloop/test_x": unit},
    }


def test_a_new_run_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    kept = [compat.abridged(run_of("cede", "3.13.0", 1)), compat.abridged(run_of("rloop", "3.13.0", 2))]
    (tmp_path / "new.json").write_text(json.dumps(run_of("cede", "3.13.1", 7)))
    reports = compat.joined(kept, compat.load(tmp_path))
    assert [(report["loop"], report["python"]) for report in reports] == [("cede", "3.13.1"), ("rloop", "3.13.0")]
    assert compat.joined(json.loads(json.dumps(reports)), []) == reports


def test_the_page_tells_what_fails_on_cede() -> None:
    runs = run_of("cede", "3.13.0", 5, {"Some.test": "why"}), run_of("rloop", "3.13.0", 2, {"a": "b"})
    text = compat.page([compat.abridged(run) for run in runs])
    assert "| 3.13.0 | 5 / 1 +1 | 2 / 1 +1 |" in text
    assert "- Python 3.13.0: `Some.test`" in text
    assert "Source: uvloop-0.1." in text
