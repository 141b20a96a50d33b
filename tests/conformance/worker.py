"""Runs suites in this process and writes what happened as JSON: ``python -m tests.conformance.worker OUT SUITE...``."""

from __future__ import annotations

import faulthandler
import io
import json
import sys
import unittest
import warnings
from pathlib import Path
from typing import Any

from . import plan
from .ledger import HERE


class Tally(unittest.TestResult):
    """Counts, and keeps the text of what went wrong. Says on stderr what runs, so that a hang or a crash has a name."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0
        self.bad: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        sys.__stderr__.write(f"@{name_of(test)}\n")  # type: ignore[union-attr]
        sys.__stderr__.flush()  # type: ignore[union-attr]

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.passed += 1

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.bad[name_of(test)] = self.failures[-1][1]

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.bad[name_of(test)] = self.errors[-1][1]

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.bad[name_of(test)] = (self.failures + self.errors)[-1][1]

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.bad[name_of(test)] = "stale ledger entry: the test passes, take it out of ledger.toml for this Python\n"


def name_of(test: unittest.TestCase) -> str:
    return f"{type(test).__name__}.{test._testMethodName}"


def run_class(cls: type[unittest.TestCase], only: str) -> Tally:
    cases = unittest.defaultTestLoader.loadTestsFromTestCase(cls)
    tally = Tally()
    sys.stdout = io.StringIO()  # some of the tests print
    try:
        unittest.TestSuite(case for case in cases if only in name_of(case)).run(tally)
    finally:
        sys.stdout = sys.__stdout__
    return tally


def main(out: str, only: str, *wanted: str) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    planned, book = plan.whole()
    report: dict[str, Any] = {"python": HERE, "build": book.build, "unmatched": book.unmatched(), "suites": {}}
    for suite in wanted or planned:
        for name, cls in planned[suite].items():
            tally = run_class(cls, only)
            report["suites"].setdefault(suite, {})[name] = {
                "run": tally.testsRun,
                "passed": tally.passed,
                "skipped": len(tally.skipped),
                "ledger": len(tally.expectedFailures),
                "bad": tally.bad,
            }
    Path(out).write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
