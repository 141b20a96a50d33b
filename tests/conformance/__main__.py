"""``python -m tests.conformance``: runs CPython's suites on cede, in processes of their own, and prints a table.

Each ``--python`` is asked with each ``--build``. ``installed`` is the cede that this interpreter finds by itself; anything else is
a folder that holds the package, such as ``src`` for the uncompiled one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .plan import SUITES

ROOT = Path(__file__).resolve().parents[2]
COUNTS = ("run", "passed", "skipped", "ledger")
PROBE = "import test.test_asyncio, sys; print('%d.%d.%d' % sys.version_info[:3])"


@dataclass
class Outcome:
    """One suite, on one Python, in one build."""

    python: str
    build: str
    suite: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    bad: dict[str, str] = field(default_factory=dict)
    absent: str = ""  # why nothing was run


def version_of(python: str) -> tuple[str, str]:
    """(version, "") or ("?", why this interpreter cannot be asked)."""
    try:
        answer = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return "?", f"{python} cannot be started: {error.strerror}"
    if answer.returncode:
        missing = "install the package that holds Python's own tests (libpython3-testsuite, python3-test)"
        return "?", f"{python} has no test.test_asyncio: {missing}"
    return answer.stdout.strip(), ""


def run_suite(python: str, version: str, build: str, suite: str, options: argparse.Namespace) -> Outcome:
    outcome = Outcome(version, build, suite)
    environment = {**os.environ, "CEDE_CONFORMANCE_SUBJECT": options.subject, "PYTHONDONTWRITEBYTECODE": "1"}
    if build != "installed":
        environment["PYTHONPATH"] = str(Path(build).resolve())
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        log = Path(scratch, "log")
        with log.open("w") as sink:
            command = [python, "-m", "tests.conformance.worker", str(report), options.only, suite]
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
            )
            try:
                code = process.wait(options.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
        if code == 0 and report.exists():
            digest(outcome, json.loads(report.read_text()))
            return outcome
        lines = log.read_text(errors="replace").splitlines()
    last = next((line[1:] for line in reversed(lines) if line.startswith("@")), "nothing")
    how = f"no end after {options.timeout:.0f} s" if code is None else f"the process ended with {code}"
    tail = "\n".join(line for line in lines[-40:] if not line.startswith("@"))
    outcome.bad[f"(whole suite) {last}"] = f"{how}; the last test begun was {last}\n{tail}\n"
    return outcome


def digest(outcome: Outcome, report: dict[str, Any]) -> None:
    outcome.build = report["build"]
    for classes in report["suites"].values():
        for result in classes.values():
            for key in COUNTS:
                outcome.counts[key] += result[key]
            outcome.bad |= result["bad"]
    for pattern in report["unmatched"]:
        outcome.bad[f"ledger: {pattern}"] = "this entry of ledger.toml matches no test on this Python: correct it or take it out\n"


def table(outcomes: list[Outcome]) -> str:
    head = ("Python", "build", "suite", *COUNTS, "failed")
    rows = [[o.python, o.build, o.suite, *(str(o.counts[key]) for key in COUNTS), str(len(o.bad))] for o in outcomes if not o.absent]
    totals = [str(sum(o.counts[key] for o in outcomes)) for key in COUNTS]
    rows.append(["", "", "all", *totals, str(sum(len(o.bad) for o in outcomes))])
    widths = [max(len(row[i]) for row in [list(head), *rows]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [cell.ljust(width) if place < 3 else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(cells)

    return "\n".join([line(head), "-" * len(line(head)), *map(line, rows)])


def main() -> int:
    about = "CPython's own Task and Future tests, on cede."
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=about)
    option = parser.add_argument
    option("--python", action="append", metavar="EXE", help="interpreter to ask (default: this one); may be repeated")
    option("--build", action="append", metavar="DIR", help="'installed' (default) or a folder with the package; repeatable")
    option("--suite", action="append", choices=SUITES, help="only this suite; may be repeated")
    option("--only", default="", metavar="TEXT", help="only tests whose name contains TEXT")
    option("--subject", choices=("cede", "asyncio"), default="cede", help="'asyncio' proves the harness itself")
    option("--timeout", type=float, default=300.0, metavar="S", help="seconds for one suite (default: 300)")
    option("--jobs", type=int, default=2, metavar="N", help="processes side by side (default: 2)")
    option("--json", metavar="FILE", help="write the results there as well")
    options = parser.parse_args()

    jobs, absent = [], []
    for python in options.python or [sys.executable]:
        version, problem = version_of(python)
        if problem:
            absent.append(problem)
            continue
        for build in options.build or ["installed"]:
            jobs += [(python, version, build, suite, options) for suite in options.suite or SUITES]
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        outcomes = list(pool.map(lambda job: run_suite(*job), jobs))
    for outcome in outcomes:
        for name, text in outcome.bad.items():
            print(f"\nFAILED {name}  [Python {outcome.python}, {outcome.build}, suite {outcome.suite}]\n{text}", end="")
    for problem in absent:
        print(f"skipped: {problem}")
    if outcomes:
        print(table(outcomes))
    if options.json:
        Path(options.json).write_text(json.dumps([vars(outcome) for outcome in outcomes], indent=1) + "\n")
    return 1 if any(outcome.bad for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
