"""Child processes that speak lines: started, asked with a time limit, and always ended."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Self

from benchmarks.loops import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


class MeasureError(Exception):
    """A measurement that gave no figure; the message is the reason shown in its row."""


def last_line(text: str, room: int = 200) -> str:
    """The line of an error output that says what happened: of a traceback, the last."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:room] if lines else ""


def ended_with(status: int) -> str:
    """An exit status in words."""
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def read_object(text: str) -> dict[str, Any]:
    """A line of JSON that has to hold an object. Raises `MeasureError`."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MeasureError(f"printed {text[:80]!r} where figures were due")
    return found


class Child:
    """A process with pipes; a context manager that leaves no process behind."""

    def __init__(self, command: Sequence[str], cpu: int | None = None) -> None:
        self.name = os.path.basename(command[0]) if len(command) < 3 else " ".join(command[1:])
        # Errors go to a file: a pipe that nobody empties would block a child that has much to say.
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.rest = b""
        if cpu is not None:
            os.sched_setaffinity(self.process.pid, {cpu})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its input, which ends it; kill it if that does not."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already, and what it said is in its error output
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def last_words(self) -> str:
        """How it ended, if it has, and the last line of its error output; empty when there is neither."""
        status = self.process.poll()
        # Not seek(): the child writes at the same offset, through the descriptor it inherited.
        words = last_line(os.pread(self.errors.fileno(), 1 << 20, 0).decode(errors="replace"))
        return ": ".join(part for part in ("" if status is None else ended_with(status), words) if part)

    def failure(self, what: str) -> MeasureError:
        """The error to raise when it did not do its part: with its last words if it has ended."""
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            return MeasureError(what)
        return MeasureError(self.last_words())

    def line(self, patience: float) -> str:
        """The next line it prints. Raises `MeasureError` when it ends, or says nothing for `patience` seconds."""
        assert self.process.stdout is not None
        until = time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.rest:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise self.failure(f"nothing from {self.name} for {patience:g} s")
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    raise self.failure(f"{self.name} closed its output")
                self.rest += data
        first, _, self.rest = self.rest.partition(b"\n")
        return first.decode()

    def ask(self, patience: float = 10) -> dict[str, float]:
        """Have it tell its clocks."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.failure(f"{self.name} closed its input") from None
        return read_object(self.line(patience))


def run_json(module: str, arguments: Sequence[str], patience: float, python: str = sys.executable) -> dict[str, Any]:
    """Run a worker module to its end and return the JSON object it printed. Raises `MeasureError`."""
    command = [python, "-m", module, *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        raise MeasureError(f"not finished within {patience:g} s") from None
    if done.returncode != 0:
        raise MeasureError(f"{ended_with(done.returncode)}: {last_line(done.stderr) or 'no message'}")
    return read_object(last_line(done.stdout, 10_000))
