"""What tests send away: found by its name, and importable without cede, as work for a worker should be."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
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


def fail_in_a_group() -> None:
    try:
        raise KeyError("plain")
    except KeyError as error:
        plain = error
    group = ExceptionGroup("several", [plain, Picky(1, 2), ExceptionGroup("inner", [Picky(3, 4), OSError(5, "deeper")])])
    group.add_note("a note")
    raise group


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


class LoadableThere:
    """Can be made again in the process that made it, and nowhere else."""

    def __reduce__(self) -> Any:
        return (only_in, (os.getpid(),))


def only_in(pid: int) -> LoadableThere:
    if os.getpid() != pid:
        raise LookupError("not to be had here")
    return LoadableThere()


class FailureThere(LoadableThere, Exception):
    def __reduce__(self) -> Any:
        return (only_in, (os.getpid(),))


def give_what_stays_there() -> LoadableThere:
    return LoadableThere()


def fail_with_what_stays_there() -> None:
    raise FailureThere("picky there")


def die_with_a_forked_child(path: str) -> None:
    """Die at once; the child lives on, and holds whatever this process has open."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    child.start()
    Path(path).write_text(str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def start_helpers_and_wait(begun: str) -> None:
    """Two processes of its own, one of which is a fork of it; and wait."""
    forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    forked.start()
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    Path(begun + ".part").write_text(f"{os.getpid()} {forked.pid} {helper.pid}")
    os.rename(begun + ".part", begun)
    helper.wait()


def leave_a_thread_behind(begun: str) -> None:
    """Return, while a thread that was started here goes on until the file is gone."""
    Path(begun).write_text("begun")

    def wait() -> None:
        while os.path.exists(begun):
            time.sleep(0.005)

    threading.Thread(target=wait).start()


def leave(code: Any) -> None:
    sys.exit(code)
