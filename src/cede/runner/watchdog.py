"""The end of a program whose threads will not end, and of a loop that does not come back to say so.

Python waits for threads at the interpreter's exit, for ever if need be. Once a shutdown has run out of time that wait is not entered:
what else was to be done at the exit is done, and the process leaves with status 1.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from cede.core.interpreters import DAEMONS

if TYPE_CHECKING:
    from collections.abc import Callable

# Threads that a shutdown has given up.
_given_up: set[threading.Thread] = set()


def say(text: str) -> None:
    """Write to standard error, whatever state that is in."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except Exception:
        pass  # closed, or gone: there is nowhere else to say it


def give_up(threads: list[threading.Thread]) -> None:
    """Let the interpreter's exit not wait for `threads`."""
    if not threads:
        return
    if not _given_up:
        # Run at the exit before threads are waited for, and before the executors' own wait, which was entered earlier.
        enter: Callable[..., Any] = getattr(threading, "_register_atexit", atexit.register)
        enter(_leave_if_stuck)
    _given_up.update(threads)


def _leave_if_stuck() -> None:
    stuck = [thread.name for thread in _given_up if thread.is_alive()]
    if stuck:
        say(f"cede: leaving without {len(stuck)} thread(s) that did not end in time: {', '.join(sorted(stuck))}")
        leave()


def leave() -> None:
    """Do what is to be done at the exit, and be gone, with status 1."""
    try:
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # a closed stream has nothing to flush
    os._exit(1)


class Watchdog:
    """Calls `bark()` on a thread of its own unless it is called off within `seconds`."""

    def __init__(self, seconds: float, bark: Callable[[], object]) -> None:
        self._called_off = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(seconds, bark), name="cede-watchdog", daemon=DAEMONS)
        self._thread.start()

    def _watch(self, seconds: float, bark: Callable[[], object]) -> None:
        if not self._called_off.wait(seconds):
            bark()

    def call_off(self) -> None:
        """It is over in time."""
        self._called_off.set()
        self._thread.join()
