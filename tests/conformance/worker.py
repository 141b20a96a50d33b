"""Runs one unit of a suite in this process: `main`, with the words that `supervise` gives it.

A unit is ``suite/module``. ONLY is a text that the names of the tests must contain, or ``=`` and the one name. A test that takes longer
than SECONDS ends the process, with the stack of each thread on stderr.
DONE is a file with the names of the tests that an earlier process of this unit has run.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import journal, ledger, loops


class Tally(unittest.TestResult):
    """Tells the log what becomes of each test, after the ledger was asked."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.unit = unit
        self.bad: dict[str, str] = {}
        self.skips: dict[str, str] = {}
        self.expected = False
        self.unexpected = False

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.bad, self.skips, self.expected, self.unexpected = {}, {}, False, False
        name = self.unit.name_of(test)
        self.unit.log.begin(name)
        faulthandler.dump_traceback_later(self.unit.seconds, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        outcome, text = journal.PASSED, ""
        if self.bad:
            outcome, text = journal.FAILED, "\n".join(self.bad.values())
        elif self.skips:
            outcome, text = journal.SKIPPED, "; ".join(self.skips.values())
        elif self.expected and self.unit.marked:
            outcome = journal.LISTED
        elif self.unexpected:
            outcome, text = (journal.STALE, STALE) if self.unit.marked else (journal.FAILED, "an unexpected success")
        self.unit.end(self.unit.name_of(test), outcome, text)
        # What was kept of a failure holds frames, and with them loops and sockets, which the next tests would find.
        self.failures.clear()
        self.errors.clear()

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.note(test, self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.note(test, self.errors[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(test, (self.failures + self.errors)[-1][1])

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        if isinstance(test, unittest.TestCase):
            self.skips[str(test)] = reason

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self.expected = True

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.unexpected = True

    def note(self, test: Any, text: str) -> None:
        if isinstance(test, unittest.TestCase):
            self.bad[f"{test}{len(self.bad)}"] = text
        else:  # a class or a module could not be set up
            self.unit.end(f"{self.unit.module}.({test})", journal.FAILED, text)


STALE = "stale ledger entry: the test passes, take it out of the ledger for this Python\n"


class Unit:
    """What all kinds of suites share: names, the log, the ledger."""

    marked = False  # the tests carry the ledger's marks already

    def __init__(self, name: str, log: journal.Log, only: str, seconds: float, done: set[str]) -> None:
        suite, _, self.module = name.partition("/")
        self.suite = suite.removesuffix(ledger.NAMES)  # which modules there are, and how they are run
        self.subject = loops.chosen()
        self.log, self.only, self.seconds, self.done = log, only, seconds, done
        self.book = ledger.load(suite, loops.build_of(self.subject), inner_only=self.subject != loops.OURS)

    def name_of(self, test: unittest.TestCase) -> str:
        return f"{self.module}.{type(test).__qualname__.rpartition('.')[2]}.{test._testMethodName}"

    def wanted(self, name: str) -> bool:
        """Whether that test is to run here; one that is not, and was not before, is told to the log."""
        chosen = name == self.only[1:] if self.only.startswith("=") else self.only in name
        if not chosen or name in self.done:
            return False
        entry = self.book.find(name)
        if entry is None or not entry.skip:
            return True
        outcome = journal.INNER if entry.inner else journal.SKIPPED if entry.without else journal.LISTED
        self.log.end(name, outcome, entry.reason)
        return False

    def end(self, name: str, outcome: str, text: str) -> None:
        entry = self.book.find(name)
        if entry is not None and outcome != journal.SKIPPED:
            if entry.inner and (self.subject != loops.OURS or outcome == journal.FAILED or entry.may_pass):
                outcome, text = journal.INNER, ""
            elif outcome == journal.PASSED and not entry.may_pass:
                outcome, text = journal.STALE, STALE
            elif outcome == journal.FAILED:
                outcome = journal.LISTED
        self.log.end(name, outcome, text)

    def tell_unmatched(self) -> None:
        if self.only or self.subject != loops.OURS:
            return
        for pattern in self.book.unmatched(self.module + "."):
            self.log.end(f"ledger: {pattern}", journal.STALE, "this entry of the ledger matches no test on this Python\n")


class UnittestUnit(Unit):
    """A module of unittest classes, run with the loop in asyncio's place."""

    def load(self) -> Any:
        from . import inject

        if self.suite == "cpython":
            inject.install_for_suite(self.subject, self.module)
        name = f"test.test_asyncio.{self.module}" if self.suite == "cpython" else f"tests.{self.module}"
        if self.suite == "uvloop":
            sys.path.append(os.environ["CEDE_CONFORMANCE_UVLOOP"])  # last, for its `tests`: the `uvloop` in there is not built
        module = importlib.import_module(name)
        inject.in_children(module, self.subject)
        return module

    def cases(self) -> Iterator[unittest.TestCase]:
        yield from flat(unittest.defaultTestLoader.loadTestsFromModule(self.load()))

    def run(self) -> None:
        cases = [case for case in self.cases() if self.counts(case)]
        for case in cases:
            self.book.find(self.name_of(case))
        wanted = [case for case in cases if self.wanted(self.name_of(case))]
        unittest.TestSuite(wanted).run(Tally(self))
        self.tell_unmatched()

    def counts(self, case: unittest.TestCase) -> bool:
        """uvloop's suite runs most tests twice: on uvloop, and on asyncio's own loop, which we know."""
        return self.suite != "uvloop" or getattr(case, "implementation", "uvloop") == "uvloop"


class ClassesUnit(UnittestUnit):
    """CPython's Task and Future classes, with ours put into them one by one."""

    marked = True

    def cases(self) -> Iterator[unittest.TestCase]:
        from . import plan

        planned, book = plan.whole()
        for cls in planned[self.module].values():
            yield from flat(unittest.defaultTestLoader.loadTestsFromTestCase(cls))
        self.marks = book

    def tell_unmatched(self) -> None:
        if self.module == "tasks" and not self.only and self.subject == loops.OURS:
            for pattern in self.marks.unmatched():
                self.log.end(f"ledger: {pattern}", journal.STALE, "this entry of the ledger matches no test on this Python\n")


def flat(suite: Any) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flat(item)
        else:
            yield item


def names_are_ours() -> None:
    """Raises RuntimeError where this process was not put on cede at its start: what it tests would be something else."""
    import asyncio

    import cede

    if asyncio.Queue is not cede.Queue:
        raise RuntimeError("asyncio's names are not cede's here: CEDE_RUN and PYTHONPATH have not reached this process")


def main(path: str, name: str, only: str, seconds: str, done: str) -> None:
    faulthandler.enable()
    # Whoever starts us in the background may have it ignored, and tests interrupt themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore")
    finished = set(Path(done).read_text().splitlines())
    log = journal.Log(path)
    kinds: dict[str, type[Unit]] = {"cpython": UnittestUnit, "uvloop": UnittestUnit, "classes": ClassesUnit}
    suite = name.partition("/")[0].removesuffix(ledger.NAMES)
    if name.partition("/")[0] != suite:
        names_are_ours()
    if suite == "anyio":
        from .pytest_unit import PytestUnit

        kinds["anyio"] = PytestUnit
    unit: Any = kinds[suite](name, log, only, float(seconds), finished)
    unit.run()
    log.complete()
