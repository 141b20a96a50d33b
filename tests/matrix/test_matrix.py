"""The matrix itself: which Pythons it finds, what it makes of what its steps print, and that nothing makes it hang."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.matrix import pythons, report, steps

HERE = steps.this_python()
OTHER = "3.12" if HERE != "3.12" else "3.13"


def stand_in(path: Path, version: str, code: int = 0) -> Path:
    """An executable that answers as the interpreter of that version does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nif [ {code} != 0 ]; then echo "not installed here" >&2; exit {code}; fi\necho {version} cpython -\n')
    path.chmod(0o755)
    return path


def test_a_version_is_found_on_the_path(tmp_path: Path) -> None:
    found = stand_in(tmp_path / f"python{OTHER}", OTHER)
    assert pythons.find(OTHER, {"PATH": str(tmp_path)}) == pythons.Python(OTHER, str(found))


def test_a_name_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin" / f"python{OTHER}", OTHER, code=127)
    stand_in(tmp_path / "pyenv" / "versions" / f"{OTHER}.9" / "bin" / "python3", OTHER)
    newest = stand_in(tmp_path / "pyenv" / "versions" / f"{OTHER}.10" / "bin" / "python3", OTHER)
    stand_in(tmp_path / "pyenv" / "versions" / f"{OTHER}.11-dev" / "bin" / "python3", OTHER)
    environ = {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert pythons.find(OTHER, environ) == pythons.Python(OTHER, str(newest))


def test_the_python_that_asks_is_found() -> None:
    assert pythons.find(HERE, {}) == pythons.Python(HERE, sys.executable)


def test_only_those_that_are_named(tmp_path: Path) -> None:
    named = stand_in(tmp_path / "mine", OTHER)
    environ = {"PATH": "/usr/bin", "PYTHONS": f"{tmp_path / 'gone'}:{named}"}
    assert pythons.find(OTHER, environ).command == str(named)
    with pytest.raises(pythons.NotFound, match="PYTHONS names none"):
        pythons.find(HERE, environ)


def test_a_version_that_lives_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "a folder" / "elsewhere"
    elsewhere.parent.mkdir()
    elsewhere.write_text(f'#!/bin/sh\n[ "$1" = in ] || exit 1\n[ "$2" = python3 ] || exit 126\necho {OTHER} cpython -\n')
    elsewhere.chmod(0o755)
    variable = f"MATRIX_RUN_{OTHER.replace('.', '_')}"
    found = pythons.find(OTHER, {variable: f"'{elsewhere}' in"})
    assert found == pythons.Python(OTHER, "python3", (str(elsewhere), "in"))
    with pytest.raises(pythons.NotFound, match=f"{variable}: .* ended with 1"):
        pythons.find(OTHER, {variable: f"'{elsewhere}' out"})
    with pytest.raises(pythons.NotFound, match="left out"):
        pythons.find(OTHER, {variable: ""})


def test_a_version_that_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(pythons.NotFound, match=f"no python{OTHER} on the search path"):
        pythons.find(OTHER, {"PATH": str(tmp_path)})


def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float = 60.0) -> steps.Job:
    monkeypatch.setattr(steps, "SCRATCH", tmp_path)
    return steps.Job(pythons.Python(HERE, sys.executable), ".venv-none", time.monotonic() + seconds, quick=True)


def test_an_uncompiled_build_is_told_with_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = job(tmp_path, monkeypatch)
    monkeypatch.setattr(work, "fresh_environment", lambda: None)
    monkeypatch.setattr(work, "own_suite", lambda: report.Row(HERE, steps.OWN, passed=1))
    monkeypatch.setattr(work, "conformance", lambda suites: [report.Row(HERE, "others", passed=1, note="its own")])
    said = {"build": "== cede is UNCOMPILED here, and slower: no C compiler\ncede is built\n"}
    monkeypatch.setattr(work, "make", lambda step, target: (0, said.get(step, "")))
    told = "cede is UNCOMPILED here, and slower: no C compiler"
    assert [row.note for row in work.rows()] == [told, "its own"]
    said["build"] = "cede is built\n"
    assert [row.note for row in work.rows()] == ["", "its own"]


def test_a_step_that_hangs_is_ended_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(steps.LIMITS, "suite", 1.0)
    # the child keeps the pipe open: were it left alive, reading would never end
    code, text = job(tmp_path, monkeypatch).run("suite", ["/bin/sh", "-c", "echo begun; sleep 1000 & sleep 1000"])
    assert (code, text) == (None, "begun\n")
    assert (tmp_path / HERE / "suite.log").read_text() == text


def test_no_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = job(tmp_path, monkeypatch, seconds=-1.0).run("suite", ["/bin/false"])
    assert code is None
    assert "no time" in text


def test_what_is_stopped_at_the_end_of_all_time_has_not_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(tmp_path, monkeypatch, seconds=-1.0)
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    rows = [made.own_suite(), *made.conformance(["uvloop"])]
    assert [row.failed for row in rows] == [0, 0]
    assert all("the time was used up" in row.note for row in rows)
    with pytest.raises(steps.Unavailable, match="the time was used up"):
        monkeypatch.setattr(made, "run", lambda step, command, tell=None: (None if step == "build" else 0, ""))
        made.rows()


def test_an_environment_that_cannot_be_made_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(tmp_path, monkeypatch)
    words = "Collecting things\nERROR: No matching distribution found for pytest\nmake: *** [it] Error 1\n"
    monkeypatch.setattr(made, "run", lambda step, command, tell=None: (2, words))
    with pytest.raises(steps.Unavailable, match="No matching distribution found for pytest"):
        made.rows()


def test_a_build_that_fails_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(tmp_path, monkeypatch)
    monkeypatch.setattr(made, "run", lambda step, command, tell=None: (2, "error: wrong\n") if step == "build" else (0, ""))
    assert [(row.suite, row.failed) for row in made.rows()] == [("build", 1)]
    assert "error: wrong" in made.failures[0]


XML = """<testsuites><testsuite name="pytest" tests="4">
<testcase classname="tests.test_a" name="test_1"/>
<testcase classname="tests.test_a" name="test_2"><failure message="no">no</failure></testcase>
<testcase classname="tests.test_a" name="test_3"><skipped message="no">no</skipped></testcase>
<testcase classname="tests.test_a" name="test_4"><error message="no">no</error></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize("still", ["test_2", ""])
def test_what_failed_is_run_once_more(still: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(tmp_path, monkeypatch)
    runs = []

    def run(step: str, command: list[str], tell: Any = None) -> tuple[int, str]:
        runs.append("--last-failed" in command)
        text = XML if not runs[-1] else '<testsuites><testcase classname="tests.test_a" name="test_4"/>'
        if runs[-1]:
            text += f'<testcase classname="tests.test_a" name="{still}"><failure/></testcase>' if still else ""
            text += "</testsuites>"
        (tmp_path / HERE / "suite.xml").write_text(text)
        return 1, ""

    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(made, "run", run)
    row = made.own_suite()
    assert runs == [False, True]
    assert row.failed == (1 if still else 0)
    assert row.unsteady == ["tests.test_a.test_4"] if still else ["tests.test_a.test_2", "tests.test_a.test_4"]
    assert row.passed == 1 + len(row.unsteady)


def test_the_table() -> None:
    told = {"bad": {"test_a.x": "why"}, "unsteady": {"test_a.y": "why"}}
    units = {
        "uvloop/test_a": {"counts": {"passed": 5, "listed": 1}, "seconds": 2.0, **told},
        "anyio/test_b": {"counts": {"passed": 7, "listed": 0}, "bad": {}, "unsteady": {}, "seconds": 3.0},
    }
    absent = ["cpython: there is none", "anyio/test_c: the time was used up"]
    results: dict[str, Any] = json.loads(json.dumps({"units": units, "absent": absent}))
    rows = [steps.conformance_row("3.12", suite, results) for suite in ("cpython", "uvloop", "anyio")]
    rows.append(report.Row("3.15", "", note="not tested (no python3.15 on the search path)"))
    lines = [" ".join(line.split()) for line in report.table(rows).splitlines()]
    assert lines[0] == "Python suite passed failed ledger unsteady seconds"
    assert lines[2:] == [
        "3.12 CPython's asyncio not run (there is none)",
        "uvloop's 5 1 1 1 2",
        "AnyIO's 7 0 0 0 3",
        "3.15 not tested (no python3.15 on the search path)",
    ]
    assert report.notes(rows) == [
        "Python 3.12, AnyIO's: 1 modules not run (the time was used up)",
        "unsteady on Python 3.12: test_a.y failed, and passed when it was run again",
    ]
