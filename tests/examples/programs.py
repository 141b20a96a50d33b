"""Running the examples as a user does: as programs, on asyncio and on cede."""

from __future__ import annotations

import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
LOOPS = ["asyncio", "cede"]
PATIENCE = 30.0  # seconds after which what has not happened is taken not to happen


def command(loop: str, script: str, *args: str) -> list[str]:
    on_cede = ["-m", "cede", "run"] if loop == "cede" else []
    return [sys.executable, *on_cede, str(EXAMPLES / script), *args]


def run(loop: str, script: str, *args: str, status: int = 0) -> str:
    """Run an example to its end. Its output, after its exit status was checked and that it complained of nothing."""
    done = subprocess.run(command(loop, script, *args), check=False, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    # What a pool says where a slow machine has a call wait for a second is no complaint.
    said = "".join(line for line in done.stderr.splitlines(keepends=True) if "pool 'primes' is saturated" not in line)
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{said}"
    if status == 0:
        assert said == "", said
    assert "Traceback" not in said
    return done.stdout + said


class Program:
    """An example that runs beside the test."""

    def __init__(self, loop: str, script: str, *args: str) -> None:
        self._process = subprocess.Popen(command(loop, script, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: list[str] = []
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._pipes = [self._process.stdout, self._process.stderr]
        self._readers = [
            threading.Thread(target=self._read, args=(self._pipes[0], self._lines.put)),
            threading.Thread(target=self._read, args=(self._pipes[1], self._errors.append)),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str], keep: Any) -> None:
        for line in pipe:
            keep(line.rstrip("\n"))
        if pipe is self._pipes[0]:
            self._lines.put(None)  # nothing more will come: do not wait for it

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in self._pipes:
            pipe.close()

    def expect(self, pattern: str) -> re.Match[str]:
        """The next line of output that matches."""
        deadline = time.monotonic() + PATIENCE
        seen: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in {seen}; errors: {self._errors}") from None
            if line is None:
                raise AssertionError(f"it ended without {pattern!r} in {seen}; errors: {self.errors()}")
            if match := re.search(pattern, line):
                return match
            seen.append(line)

    def port(self) -> int:
        return int(self.expect(r"listening on \S+ port (\d+)").group(1))

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Its exit status, once it has come to its end by itself."""
        return self._process.wait(PATIENCE)

    def errors(self) -> list[str]:
        """What it wrote to stderr, once it has ended."""
        self._readers[1].join()
        return self._errors

    def ended_cleanly(self) -> None:
        assert self.end() == 0, self._errors
        assert self.errors() == [], "".join(self.errors())


class Person:
    """A chat client that reads and writes when the test says so, and not before."""

    def __init__(self, port: int, name: str = "", *, buffer: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE)
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.connect(("127.0.0.1", port))
        self._file = self.sock.makefile("rb")
        if name:
            self.expect("welcome")
            self.say(name)
            self.expect("joined lobby")

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.sock.close()

    def say(self, *lines: str) -> None:
        self.send("".join(f"{line}\n" for line in lines).encode())

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def line(self) -> str:
        """The next line; "" at the end of the connection."""
        return self._file.readline().decode().rstrip("\n")

    def expect(self, part: str) -> str:
        """The next line that has `part` in it."""
        seen: list[str] = []
        while line := self.line():
            if part in line:
                return line
            seen.append(line)
        raise AssertionError(f"the connection ended without {part!r} in {seen}")

    def rest(self) -> list[str]:
        """All lines up to the end of the connection."""
        return list(iter(self.line, ""))
