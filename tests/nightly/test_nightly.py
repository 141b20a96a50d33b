"""The night's runner: what it counts, and that a step which says nothing has failed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.nightly import __main__ as nightly
from tests.nightly.steps import STEPS, Step


def step(code: str, *counts: str, minutes: float = 1.0) -> Step:
    return Step("one", "", (sys.executable, "-c", code, "{seed}"), counts or (r"(?P<passed>[\d,]+) passed",), minutes)


@pytest.mark.parametrize(
    ("code", "ended", "counts"),
    [
        ("print('1 passed'); print('1,234 passed')", "well", {"passed": 1234}),
        ("print('3 passed'); raise SystemExit(4)", "with status 4", {"passed": 3}),
        ("print('done')", "without a word of what it did", {}),
        ("import sys; print(sys.argv[1], 'passed')", "well", {"passed": 77}),
        ("import os; print(os.environ['CEDE_TEST_SEED'], 'passed')", "well", {"passed": 77}),
    ],
)
def test_what_came_of_a_step(code: str, ended: str, counts: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nightly, "LOGS", tmp_path)
    result = nightly.run(step(code), 77)
    assert (result["ended"], result["counts"]) == (ended, counts)


def test_a_step_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nightly, "LOGS", tmp_path)
    result = nightly.run(step("import time; time.sleep(3600)", minutes=0.001), 1)
    assert result["ended"] == "not within 0.001 minutes"


def test_a_step_that_was_left_out_keeps_its_result(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"other": {"commit": "abc", "ended": "well"}}))
    chosen: dict[str, Any] = {"LOGS": tmp_path, "STEPS": (step("print('5 passed')"), step("print('6 passed')"))}
    for name, value in chosen.items():
        monkeypatch.setattr(nightly, name, value)
    monkeypatch.setattr(sys, "argv", ["nightly", "one", "--seed", "7", "--results", str(results)])
    assert nightly.main() == 0
    told = json.loads(results.read_text())
    assert told["other"] == {"commit": "abc", "ended": "well"}
    assert (told["one"]["seed"], told["one"]["counts"]) == (7, {"passed": 6})


def test_each_step_has_a_name_of_its_own_and_counts_something() -> None:
    assert len({each.name for each in STEPS}) == len(STEPS)
    assert all("(?P<" in pattern for each in STEPS for pattern in each.counts)
