"""Instructions an operation: what a row takes on any machine, however busy it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.children import MeasureError, ended_with, last_line
from benchmarks.loops import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Counter(Protocol):
    """What counts the instructions of a whole process, in user space."""

    name: str
    seconds: float
    """How long one count of a row goes on without the counter, roughly."""

    def command(self, output: Path) -> list[str]:
        """What to put before a command so that the count is written to `output`."""

    def read(self, text: str) -> int | None:
        """The count in what was written; None where there is none."""


class Perf:
    """The processor's own counter."""

    name = "perf stat"
    seconds = 0.1

    def command(self, output: Path) -> list[str]:
        return ["perf", "stat", "-x,", "-e", "instructions:u", "-o", str(output), "--"]

    def read(self, text: str) -> int | None:
        found = re.search(r"^(\d+),", text, re.MULTILINE)  # it says <not supported> in the place of a number
        return int(found[1]) if found else None


class Valgrind:
    """A processor in software, some forty times slower: where the processor's own is hidden, as in most virtual machines."""

    name = "valgrind"
    seconds = 0.01

    def command(self, output: Path) -> list[str]:
        return ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={output}", "--"]

    def read(self, text: str) -> int | None:
        found = re.search(r"I\s+refs:\s+([\d,]+)", text)
        return int(found[1].replace(",", "")) if found else None


def count(counter: Counter, command: Sequence[str], patience: float = 300) -> int:
    """Instructions of one process. Raises `MeasureError`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "count")
        full = [*counter.command(output), *command]
        # One seed for hashes: dictionaries then have the same shape each time.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        try:
            done = subprocess.run(full, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MeasureError(f"{counter.name}: {error}") from None
        text = output.read_text() if output.exists() else ""
    if done.returncode:
        raise MeasureError(f"{counter.name}: {last_line(done.stderr) or ended_with(done.returncode)}")
    number = counter.read(text)
    if number is None:
        raise MeasureError(f"{counter.name} counts no instructions here")
    return number


def counter_here(valgrind: bool) -> tuple[Counter | None, str]:
    """What counts on this machine, and a note about it."""
    wish: Counter = Valgrind() if valgrind else Perf()
    if shutil.which(wish.command(Path())[0]) is None:
        why = f"{wish.name} is not installed"
    else:
        try:
            count(wish, [sys.executable, "-c", ""])
            return wish, f"instructions: those of one operation in user space, by {wish.name}"
        except MeasureError as error:
            why = str(error)
    hint = "" if valgrind else "; --valgrind counts them, slowly"
    return None, f"instructions: not counted, {why}{hint}"


def per_operation(counter: Counter, worker: Callable[[int], Sequence[str]], operations: int) -> float:
    """What one more operation takes: two runs that differ in nothing else. Raises `MeasureError`."""
    return (count(counter, worker(operations * 2)) - count(counter, worker(operations))) / operations
