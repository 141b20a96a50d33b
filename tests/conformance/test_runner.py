"""The runner itself: what it makes of tests that pass, fail, hang, crash, or are in the ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import journal, ledger, supervise, worker

PACKAGES = Path(__file__).resolve().parents[1]

SUITE = """
import os, time, unittest

class Some(unittest.TestCase):
    def test_a_passes(self):
        pass
    def test_b_fails(self):
        self.fail("as it does")
    def test_c_skips(self):
        self.skipTest("no")
    def test_d_crashes(self):
        os.abort()
    def test_e_hangs(self):
        time.sleep(1000)
    def test_f_listed(self):
        self.fail("as the ledger says")
    def test_g_stale(self):
        pass
    def test_h_inner(self):
        self.fail("about something else")
"""

LEDGER = """
[[entry]]
tests = ["made_up.Some.test_f_listed", "made_up.Some.test_g_stale"]
reason = "made up for the test of the runner"

[[entry]]
tests = ["made_up.Some.test_h_inner"]
inner = true
reason = "made up for the test of the runner"

[[entry]]
tests = ["made_up.Some.test_gone", "elsewhere.Some.test_gone"]
reason = "made up for the test of the runner"
"""

# Stands for the worker's own `main`, with the suite above for a module of CPython's and the ledger above for the real one.
START = """
import sys, types, unittest
from conformance import ledger, worker
suite, book = sys.argv[7:]
ledger.load = lambda *_, **__: ledger.Ledger(ledger.parse(open(book).read()), "pure")
module = types.ModuleType("made_up")
exec(open(suite).read(), vars(module))
worker.UnittestUnit.load = lambda self: module
worker.main(*sys.argv[1:7])
"""


@pytest.mark.slow
def test_each_kind_of_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, book = tmp_path / "suite.py", tmp_path / "book.toml"
    suite.write_text(SUITE)
    book.write_text(LEDGER)
    monkeypatch.setattr(supervise, "START", START.replace("sys.argv[7:]", repr([str(suite), str(book)])).replace("[1:7]", "[1:]"))
    surroundings = ({**os.environ, "PYTHONPATH": str(PACKAGES)}, tmp_path)
    monkeypatch.setattr(supervise.sources, "surroundings", lambda suite: surroundings)
    result = supervise.run_unit("cpython/made_up", "cede", "", supervise.Limits(test=2.0, unit=60.0))
    outcomes = {name.rpartition(".")[2]: outcome for name, (outcome, _) in result.tests.items() if name.startswith("made_up")}
    assert outcomes == {
        "test_a_passes": journal.PASSED,
        "test_b_fails": journal.FAILED,
        "test_c_skips": journal.SKIPPED,
        "test_d_crashes": journal.FAILED,
        "test_e_hangs": journal.FAILED,
        "test_f_listed": journal.LISTED,
        "test_g_stale": journal.STALE,
        "test_h_inner": journal.INNER,
    }
    text = {name.rpartition(".")[2]: text for name, (_, text) in result.tests.items()}
    assert "SIGABRT" in text["test_d_crashes"]
    assert "no end within 2 s" in text["test_e_hangs"]
    # of the entry that matches nothing, only the pattern for this module
    assert [name for name in result.tests if name.startswith("ledger:")] == ["ledger: made_up.Some.test_gone"]
    assert len(result.bad()) == 5


HANGS = """
import time, unittest

class Some(unittest.TestCase):
    def test_a_passes(self):
        pass
    def test_b_hangs(self):
        time.sleep(1000)
    def test_c_passes(self):
        pass
"""


@pytest.mark.slow
def test_what_there_was_no_time_for_has_not_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, book = tmp_path / "suite.py", tmp_path / "book.toml"
    suite.write_text(HANGS)
    book.write_text("")
    monkeypatch.setattr(supervise, "START", START.replace("sys.argv[7:]", repr([str(suite), str(book)])).replace("[1:7]", "[1:]"))
    surroundings = ({**os.environ, "PYTHONPATH": str(PACKAGES)}, tmp_path)
    monkeypatch.setattr(supervise.sources, "surroundings", lambda suite: surroundings)
    result = supervise.run_unit("cpython/made_up", "cede", "", supervise.Limits(test=60.0, unit=60.0, end=time.monotonic() + 2.0))
    assert result.cut
    assert not result.bad()
    assert set(result.tests) <= {"made_up.Some.test_a_passes"}


UNSTEADY = """
import pathlib, unittest
been = pathlib.Path({been!r})

class Some(unittest.TestCase):
    def test_good(self):
        pass
    def test_good_the_second_time(self):
        if not been.exists():
            been.touch()
            self.fail("the first time")
    def test_bad(self):
        self.fail("each time")
"""


@pytest.mark.slow
def test_what_failed_is_run_once_more_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, book = tmp_path / "suite.py", tmp_path / "book.toml"
    suite.write_text(UNSTEADY.format(been=str(tmp_path / "been")))
    book.write_text("")
    monkeypatch.setattr(supervise, "START", START.replace("sys.argv[7:]", repr([str(suite), str(book)])).replace("[1:7]", "[1:]"))
    surroundings = ({**os.environ, "PYTHONPATH": str(PACKAGES)}, tmp_path)
    monkeypatch.setattr(supervise.sources, "surroundings", lambda suite: surroundings)
    limits = supervise.Limits(test=20.0, unit=60.0)
    result = supervise.run_unit("cpython/made_up", "cede", "", limits)
    assert set(result.bad()) == {"made_up.Some.test_good_the_second_time", "made_up.Some.test_bad"}
    supervise.run_again(result, "cede", limits)
    assert set(result.bad()) == {"made_up.Some.test_bad"}
    assert list(result.unsteady) == ["made_up.Some.test_good_the_second_time"]
    assert result.count(journal.PASSED) == 2


def test_a_whole_unit_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    result = supervise.Result("cpython/made_up", tests={"a": (journal.PASSED, ""), "(before the first test)": (journal.FAILED, "why")})
    monkeypatch.setattr(supervise, "run_unit", lambda *_: supervise.Result("cpython/made_up", tests={"b": (journal.PASSED, "")}))
    supervise.run_again(result, "cede", supervise.Limits(1.0, 1.0))
    assert result.tests == {"a": (journal.PASSED, ""), "b": (journal.PASSED, "")}
    assert result.unsteady == {"(before the first test)": "why"}


def test_many_failures_are_no_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    result = supervise.Result("cpython/made_up", tests={f"test_{number}": (journal.FAILED, "why") for number in range(50)})
    monkeypatch.setattr(supervise, "run_unit", None)
    supervise.run_again(result, "cede", supervise.Limits(1.0, 1.0))
    assert len(result.bad()) == 50


def test_a_log_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = journal.Log(str(path))
    log.begin("one")
    log.end("one", journal.PASSED)
    log.begin("two")
    with path.open("a") as file:
        file.write('["end", "tw')
    assert journal.read(path) == ({"one": (journal.PASSED, "")}, "two", False)


@pytest.mark.parametrize("suite", ledger.SUITES)
def test_the_ledgers_can_be_read(suite: str) -> None:
    for build in ("compiled", "pure"):
        ledger.load(suite, build)
    assert all(reason for reason in ledger.modules_left_out(suite).values())


def test_the_loop_is_where_programs_look() -> None:
    program = """
import asyncio, json
from conformance import inject
cls = inject.install("cede")
class Case(__import__("unittest").IsolatedAsyncioTestCase):
    async def test(self):
        self.seen = type(asyncio.get_running_loop())
case = Case("test")
case.run()
async def running():
    return type(asyncio.get_running_loop())
loop = asyncio.new_event_loop()
loop.close()
print(json.dumps([case.seen is cls, asyncio.run(running()) is cls, type(loop) is cls, asyncio.SelectorEventLoop is cls]))
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, True, True, True]


def test_the_worker_knows_its_suites() -> None:
    assert issubclass(worker.ClassesUnit, worker.UnittestUnit)
    with pytest.raises(KeyError):
        worker.main(os.devnull, "nobody/test_x", "", "1", os.devnull)


@pytest.mark.slow
def test_a_suite_with_our_names_runs_where_asyncios_names_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start of its process, which says so itself where it is not."""
    suite, book = tmp_path / "suite.py", tmp_path / "book.toml"
    suite.write_text(
        "import unittest, asyncio, cede\nclass Some(unittest.TestCase):\n"
        "    def test_it(self):\n        assert asyncio.Queue is cede.Queue\n"
    )
    book.write_text("")
    monkeypatch.setattr(supervise, "START", START.replace("sys.argv[7:]", repr([str(suite), str(book)])).replace("[1:7]", "[1:]"))
    limits = supervise.Limits(test=20.0, unit=60.0)
    result = supervise.run_unit("cpython-names/made_up", "cede", "", limits)
    assert {name: outcome for name, (outcome, _) in result.tests.items()} == {"made_up.Some.test_it": journal.PASSED}
    surroundings = ({**os.environ, "PYTHONPATH": str(PACKAGES)}, tmp_path)
    monkeypatch.setattr(supervise.sources, "surroundings", lambda suite: surroundings)
    (text,) = supervise.run_unit("cpython-names/made_up", "cede", "", limits).bad().values()
    assert "asyncio's names are not cede's here" in text
