"""Servers that run as programs beside the test, as people start them."""

from __future__ import annotations

import http.client
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds
APP = "tests.libraries.app:app"
LOOPS = ["asyncio", "cede"]


class Program:
    """A program whose output is read line by line. Leaving the block kills what has not ended."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **environment},
            start_new_session=True,  # workers that a killed server leaves behind are found by it
        )
        self.output: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            self._lines.put(self.output[-1])
        self._lines.put(None)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def expect(self, pattern: str) -> re.Match[str]:
        """The next line that matches."""
        match = self.seen(pattern, PATIENCE)
        if match is None:
            raise AssertionError(f"no {pattern!r} in:\n" + "\n".join(self.output))
        return match

    def seen(self, pattern: str, seconds: float) -> re.Match[str] | None:
        """The next line that matches, if it comes within that many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if line is None:
                raise AssertionError(f"the program ended before {pattern!r}:\n" + "\n".join(self.output))
            if match := re.search(pattern, line):
                return match

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Its exit status, once it has ended by itself."""
        status = self.process.wait(PATIENCE)
        self._reader.join()
        return status

    def text(self) -> str:
        return "\n".join(self.output)


class Held:
    """A request to /hold: it is being answered until `release`."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.client.request("GET", f"/hold?port={self._listener.getsockname()[1]}")
        self._holder, _ = self._listener.accept()

    def release(self) -> tuple[int, bytes]:
        """Let the server answer: the answer."""
        self._holder.close()
        self._listener.close()
        response = self.client.getresponse()
        answer = response.status, response.read()
        self.client.close()
        return answer


def get(port: int, path: str) -> bytes:
    """The body of an answer of status 200."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        client.request("GET", path)
        response = client.getresponse()
        body = response.read()
        assert response.status == 200, (response.status, body)
        return body
    finally:
        client.close()


def free_port() -> int:
    """A port that was free a moment ago, for servers that cannot tell which one they took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_listening(port: int) -> bool:
    """Whether somebody listens there. Asked of the kernel: a connection, made to find out, would be one more for the server to end."""
    with open("/proc/net/tcp") as table:
        next(table)
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in table)


def listening(port: int, wanted: bool = True) -> None:
    """Returns when somebody listens there."""
    deadline = time.monotonic() + PATIENCE
    while is_listening(port) is not wanted:
        assert time.monotonic() < deadline, f"{'nobody' if wanted else 'somebody still'} listens on port {port}"
        time.sleep(0.01)


def refused(port: int) -> None:
    """Returns when nobody listens there any more."""
    listening(port, False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)


def ends_gracefully(server: Program, port: int, *, status: int = 0) -> None:
    """SIGTERM: no more connections, the request that is being answered is answered, and the application is told."""
    held = Held(port)
    server.terminate()
    refused(port)
    assert held.release() == (200, b"held")
    assert server.end() == status, server.text()
    assert "application stopped" in server.output
    assert "Traceback" not in server.text()


def library(*names: str) -> Any:
    """The module of that name, or a skip of all tests of the file that says what is missing; several: the last one."""
    module = None
    for name in names:
        reason = f"{name} is not installed: `make test-libraries` installs it, where there is a wheel for this Python"
        module = pytest.importorskip(name, reason=reason)
    return module
