"""What tests send away: found by its name, and importable without cede, as work for a worker should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def add(one: Any, other: Any = 0) -> Any:
    return one + other


def own_pid() -> int:
    return os.getpid()


def fail(text: str) -> None:
    deeper(text)


def deeper(text: str) -> None:
    error = LookupError(text)
    error.add_note("a note")
    raise error


class Picky(Exception):
    """Can be pickled, and not be made again from that."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__("picky text")


def fail_pickily() -> None:
    raise Picky(1, 2)


def give_function() -> Any:
    return lambda: None


def end(how: str) -> None:
    if how == "exit":
        sys.exit(4)
    if how == "_exit":
        os._exit(5)
    number = getattr(signal, how)
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)  # a sanitizer, or pytest's own fault handler, would answer it in its own way
    os.kill(os.getpid(), number)
    time.sleep(100)


def note_and_wait(begun: str, done: str, seconds: float = 60) -> None:
    """Write one file, wait, write the other."""
    Path(begun).write_text(str(os.getpid()))
    time.sleep(seconds)
    Path(done).write_text("done")


def start_helper_and_wait(begun: str) -> None:
    """Have a process of its own do something, and wait for it."""
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    Path(begun).write_text(f"{os.getpid()} {helper.pid}")
    helper.wait()


def read_stdin() -> bytes:
    return sys.stdin.buffer.read()


def count_up(folder: str, seconds: float) -> int:
    """How many were in here at once, this one included."""
    mark = Path(folder, f"{os.getpid()}-{time.monotonic_ns()}")
    mark.write_text("")
    time.sleep(seconds)
    found = len(list(Path(folder).iterdir()))
    mark.unlink()
    return found


class Unloadable:
    """Can be sent, and not be received."""

    def __reduce__(self) -> Any:
        return (fail, ("no such thing here",))
