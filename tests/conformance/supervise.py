"""Runs a unit in a process of its own, and as many more as it takes: one that crashes or hangs costs the test it was in, not the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import journal, loops, sources

LAST_LINES = 60

# Not by -m: then this would be the main module, which AnyIO and multiprocessing import again in the processes that they start.
START = "import sys; from conformance.worker import main; main(*sys.argv[1:])"
SECONDS_TO_LEAVE = 10.0


@dataclass
class Result:
    """What one unit came to."""

    unit: str
    seconds: float = 0.0
    tests: dict[str, tuple[str, str]] = field(default_factory=dict)
    unsteady: dict[str, str] = field(default_factory=dict)  # what failed, and then did not when it was run again: the first text
    cut: bool = False  # the time for everything was used up before it was done: its other tests were not run, and have not failed

    def count(self, outcome: str) -> int:
        return sum(found == outcome for found, _ in self.tests.values())

    def bad(self) -> dict[str, str]:
        return {test: text for test, (outcome, text) in self.tests.items() if outcome in journal.BAD}


@dataclass
class Limits:
    test: float  # seconds for one test
    unit: float  # seconds for the whole unit, with every process it takes
    end: float = float("inf")  # of `time.monotonic`: when the time for everything is used up


def run_unit(unit: str, subject: str, only: str, limits: Limits) -> Result:
    """Run it to its end, or until its time is used up. `only` is a text that the names of its tests must contain, or ``=`` and a name."""
    result = Result(unit)
    began = time.monotonic()
    environment, folder = sources.surroundings(unit.partition("/")[0])
    environment[loops.VARIABLE] = subject
    with tempfile.TemporaryDirectory() as scratch:
        while True:
            left = limits.unit - (time.monotonic() - began)
            if time.monotonic() >= limits.end:
                result.cut = True
                break
            if left <= 0:
                result.tests["(the rest)"] = (journal.FAILED, f"not run: the unit's {limits.unit:.0f} s were used up\n")
                break
            log, done, output = (Path(scratch, name) for name in ("log", "done", "output"))
            log.unlink(missing_ok=True)
            done.write_text("\n".join(result.tests))
            words = [str(log), unit, only, str(limits.test), str(done)]
            left = min(left, limits.end - time.monotonic())
            code = run_process(log, [sys.executable, "-P", "-c", START, *words], environment, folder, output, left)
            ended, running, complete = journal.read(log)
            result.tests.update(ended)
            if complete:
                break  # whatever happened to the process after its last test, when the interpreter ended
            if code is None and time.monotonic() >= limits.end:
                result.cut = True
                break
            text = how_it_ended(code, output, limits)
            result.tests[running or "(before the first test)"] = (journal.FAILED, text)
            if not running:
                break
    result.seconds = time.monotonic() - began
    return result


# So many failures are no accident: they are told as they are.
MOST_RUN_AGAIN = 20


def run_again(result: Result, subject: str, limits: Limits) -> None:
    """Give each test of `result` that failed one more try, by itself in a process of its own; what is well then is unsteady.

    A failure that belongs to no test (the process ended before the first, a class could not be set up) has the whole unit run again.
    """
    bad = {name: text for name, text in result.bad().items() if not name.startswith("ledger: ")}
    if not bad or len(bad) > MOST_RUN_AGAIN:
        return
    began = time.monotonic()
    whole = any("(" in name.partition("[")[0] for name in bad)
    second = run_unit(result.unit, subject, "", limits) if whole else None
    for name, text in bad.items():
        found = (second or run_unit(result.unit, subject, f"={name}", limits)).tests
        outcome, _ = found.get(name, (journal.PASSED if whole else journal.FAILED, ""))
        if outcome in journal.BAD:
            continue
        result.unsteady[name] = text
        if name in found:
            result.tests[name] = found[name]
        else:
            del result.tests[name]
    for name, end in second.tests.items() if second else ():
        result.tests.setdefault(name, end)
    result.seconds += time.monotonic() - began


def run_process(log: Path, command: list[str], environment: dict[str, str], folder: Path, output: Path, seconds: float) -> int | None:
    """Its exit status; None where it had to be killed. Nothing that it started outlives it."""
    end = time.monotonic() + seconds
    with output.open("w") as sink:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            while time.monotonic() < end:
                try:
                    return process.wait(min(SECONDS_TO_LEAVE, max(0.0, end - time.monotonic())))
                except subprocess.TimeoutExpired:
                    if journal.read(log)[2]:
                        return None  # all tests were run, and one of them has left a thread that the interpreter waits for
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def how_it_ended(code: int | None, output: Path, limits: Limits) -> str:
    lines = output.read_text(errors="replace").splitlines()
    if code is None:
        how = f"no end within the unit's {limits.unit:.0f} s"
    elif any(line.startswith("Timeout (") for line in lines):
        how = f"no end within {limits.test:.0f} s"
    elif code < 0:
        how = f"the process was ended by {signal.Signals(-code).name}"
    else:
        how = f"the process ended with {code}"
    return "\n".join([how, *lines[-LAST_LINES:], ""])
