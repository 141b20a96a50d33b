"""What is done on one Python: its environment, the build, cede's own suite, the suites of others. Each step in a process of its own, with a
limit of time, and its whole output in a file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.matrix.pythons import Python
from tests.matrix.report import Row

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / "build" / "matrix"
OWN = "cede's own"
OTHERS = {
    "cpython": "CPython's asyncio",
    "classes": "CPython's Task and Future",
    "uvloop": "uvloop's",
    "anyio": "AnyIO's",
    "cpython-names": "CPython's, names too",
    "uvloop-names": "uvloop's, names too",
    "anyio-names": "AnyIO's, names too",
}
LIMITS = {"environment": 600.0, "tools": 300.0, "build": 900.0, "suite": 900.0, "conformance": 2700.0}
LAST_LINES = 80

# Ours, without what is run by itself: CPython's Task and Future tests are among the suites of others. The quick choice is without what says
# the same on each Python and takes minutes: whether the package can be built in every way, the examples at full size, long loops. Of the
# suites of others it takes the interpreter's own, which differs from Python to Python.
OUR_TESTS = ("--ignore=tests/leaks", *(f"--ignore=tests/conformance/test_{name}.py" for name in ("tasks", "futures", "eager", "users")))
QUICK = ("-m", "not slow", "--ignore=tests/examples", "--ignore=tests/project/test_packaging.py")
QUICK_OTHERS = ["cpython"]


class Unavailable(Exception):
    """Says why nothing can be tested there; not a failure of cede's."""


class Job:
    """The work on one Python. Ends no later than `deadline` (a time of `time.monotonic`), with what was not reached told as not run."""

    def __init__(self, python: Python, venv: str, deadline: float, quick: bool) -> None:
        self.python = python
        self.venv = venv
        self.deadline = deadline
        self.quick = quick
        self.folder = SCRATCH / python.version
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PYTEST_"))}
        self.environment["PYTHONUNBUFFERED"] = "1"
        self.failures: list[str] = []  # what is to be read at the end

    # -- running things

    def run(self, step: str, command: list[str], tell: Callable[[str], bool] = lambda line: False) -> tuple[int | None, str]:
        """Exit status (None: its time was used up) and output of `command`; the lines that `tell` wants are printed as they come."""
        limit = min(LIMITS[step], self.deadline - time.monotonic())
        if limit <= 0:
            return None, "no time was left for it\n"
        process = subprocess.Popen(
            [*self.python.prefix, *command],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        late = threading.Event()

        def end_it() -> None:
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit, end_it)
        timer.daemon = True
        timer.start()
        lines = []
        try:
            assert process.stdout is not None
            with process.stdout as output:
                for line in output:
                    lines.append(line)
                    if tell(line):
                        print(f"  {self.python.version} | {line}", end="", flush=True)
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        text = "".join(lines)
        (self.folder / f"{step}.log").write_text(text)
        return (None if late.is_set() else process.returncode), text

    def make(self, step: str, target: str) -> tuple[int | None, str]:
        words = ["make", "--no-print-directory", f"VENV={self.venv}", f"PYTHON={self.python.command}", target]
        return self.run(step, words, lambda line: line.startswith("== "))

    def late(self) -> bool:
        """Whether all the time there was is used up: what was stopped then has not failed."""
        return time.monotonic() >= self.deadline

    @property
    def interpreter(self) -> str:
        return f"{self.venv}/bin/python"

    # -- the steps

    def rows(self) -> list[Row]:
        """Do everything. Raises Unavailable where cede's tests cannot be run on this Python for a reason that is not cede's."""
        self.fresh_environment()
        code, text = self.make("environment", f"{self.venv}/.deps")
        if code != 0:
            raise Unavailable(f"its environment could not be made: {last_words(text)}")
        began = time.monotonic()
        code, text = self.make("build", "build")
        if code is None and self.late():
            raise Unavailable("the time was used up while cede was built")
        if code != 0:
            self.failures.append(f"cede does not build on Python {self.python.version}:\n{tail(text)}")
            return [Row(self.python.version, "build", failed=1, seconds=time.monotonic() - began)]
        uncompiled = [line for line in text.splitlines() if line.startswith("== cede is UNCOMPILED")]
        rows = [self.own_suite()]
        suites = QUICK_OTHERS if self.quick else list(OTHERS)
        code = 0
        if "uvloop" in suites or "anyio" in suites:
            code, text = self.make("tools", f"{self.venv}/.deps-conformance")
        without = [] if code == 0 else [suite for suite in suites if suite.startswith(("uvloop", "anyio"))]
        rows += self.conformance([suite for suite in suites if suite not in without])
        if without:
            why = f"what they need could not be installed: {last_words(text)}"
            rows += [Row(self.python.version, OTHERS[suite], note=f"not run ({why})") for suite in without]
        for row in rows:
            row.note = row.note or "".join(line.removeprefix("== ") for line in uncompiled)
        return rows

    def fresh_environment(self) -> None:
        """Take away an environment of ours that was made with a Python that is gone, or elsewhere."""
        folder = ROOT / self.venv
        if self.venv == f".venv-{self.python.version}" and folder.exists():
            try:
                code, _ = self.run("environment", [self.interpreter, "-c", "import pip"])
            except OSError:
                code = 1
            if code:
                subprocess.run(["rm", "-rf", str(folder)], check=True)

    def own_suite(self) -> Row:
        began = time.monotonic()
        print(f"  {self.python.version} | == cede's own suite", flush=True)
        results = self.folder / "suite.xml"
        chosen = [*OUR_TESTS, *(QUICK if self.quick else ())]
        found = self.relative(results)
        options = ["-q", "--maxprocesses", "8", "--dist", "worksteal", f"--junitxml={found}"]
        options += ["-o", f"cache_dir={self.relative(self.folder)}/cache"]
        # A test that hangs may hang again where it is interrupted: its process is given up, and another one goes on with the rest.
        options += ["--timeout", "120", "--timeout-method", "thread"]
        command = [self.interpreter, "-m", "pytest", *options, *chosen]
        results.unlink(missing_ok=True)
        code, text = self.run("suite", [*command, "-n", "auto"], lambda line: " passed" in line or line.startswith("FAILED"))
        row = Row(self.python.version, OWN)
        if code in (0, 1) and results.exists():
            row.passed, failed = read_xml(results)
            row.failed = len(failed)
            if failed:
                print(f"  {self.python.version} | {len(failed)} failed: once more, by themselves", flush=True)
                results.unlink()
                once_more = [*command, "--last-failed", "--last-failed-no-failures", "none", "-n", "1"]
                code, again = self.run("suite", once_more, lambda line: " passed" in line)
                still = read_xml(results)[1] if code in (0, 1) and results.exists() else failed
                row.failed = len(still)
                row.unsteady = sorted(set(failed) - set(still))
                row.passed += len(row.unsteady)
                if still:
                    self.failures.append(f"cede's own suite on Python {self.python.version}:\n{tail(again, 200)}")
        elif code is None and self.late():
            row.note = "not run to its end (the time was used up)"
        else:
            how = "had to be ended, its time was used up" if code is None else f"ended with {code}"
            self.failures.append(f"cede's own suite on Python {self.python.version} {how}:\n{tail(text)}")
            row.failed = 1
            row.note = how
        row.seconds = time.monotonic() - began
        return row

    def conformance(self, suites: list[str]) -> list[Row]:
        print(f"  {self.python.version} | == the suites of others", flush=True)
        results = self.folder / "conformance.json"
        results.unlink(missing_ok=True)
        left = min(LIMITS["conformance"], self.deadline - time.monotonic()) - 60  # for tests that are run once more
        if left <= 0:
            return [Row(self.python.version, OTHERS[suite], note="not run (the time was used up)") for suite in suites]
        options = [f"--suite={suite}" for suite in suites]
        options += ["--json", self.relative(results), "--within", f"{left:.0f}", "--timeout", "600"]
        command = [self.interpreter, "-m", "tests.conformance", *options]
        code, text = self.run("conformance", command, lambda line: line.startswith(("[", "FAILED", "unsteady")))
        if not results.exists() and code is None and self.late():
            return [Row(self.python.version, OTHERS[suite], note="not run to its end (the time was used up)") for suite in suites]
        if not results.exists():
            how = "had to be ended, its time was used up" if code is None else f"ended with {code}"
            self.failures.append(f"the suites of others on Python {self.python.version}: the runner {how}:\n{tail(text)}")
            return [Row(self.python.version, "the suites of others", failed=1, note=how)]
        report = json.loads(results.read_text())
        rows = [conformance_row(self.python.version, suite, report) for suite in suites]
        for row, suite in zip(rows, suites, strict=True):
            if row.failed:
                bad = [f"{name}\n{words}" for unit in units_of(report, suite) for name, words in unit["bad"].items()]
                self.failures.append(f"{OTHERS[suite]} on Python {self.python.version}:\n" + "\n".join(bad))
        return rows

    def relative(self, path: Path) -> str:
        """As it is called from the project's folder, which may be elsewhere for that Python."""
        return path.relative_to(ROOT).as_posix()


def units_of(report: dict[str, Any], suite: str) -> list[dict[str, Any]]:
    return [unit for name, unit in report["units"].items() if name.startswith(f"{suite}/")]


def conformance_row(version: str, suite: str, report: dict[str, Any]) -> Row:
    row = Row(version, OTHERS[suite])
    for unit in units_of(report, suite):
        counts = unit["counts"]
        row.passed += counts["passed"]
        row.failed += len(unit["bad"])
        row.listed += counts["listed"]
        row.seconds += unit["seconds"]
        row.unsteady += unit["unsteady"]
    absent = [problem.partition(": ") for problem in report["absent"] if problem.startswith((f"{suite}:", f"{suite}/"))]
    if absent:
        whole = [why for what, _, why in absent if what == suite]
        row.note = f"not run ({whole[0]})" if whole else f"{len(absent)} modules not run ({absent[0][2]})"
    return row


def read_xml(path: Path) -> tuple[int, list[str]]:
    """How many tests passed, and the names of those that failed."""
    passed, failed = 0, []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed.append(f"{case.get('classname')}.{case.get('name')}")
        elif "skipped" not in kinds:
            passed += 1
    return passed, failed


def tail(text: str, count: int = LAST_LINES) -> str:
    return "\n".join(text.splitlines()[-count:])


def last_words(text: str) -> str:
    """The line that says most, of what a failed set-up printed: pip says why on one that begins with ERROR."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "error", "cede needs", "E: "))]
    return (errors or lines or ["it says nothing"])[-1][:200]


def this_python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
