"""What the system knows about a process: CPU time, memory, time without a CPU; and how fast the machine is just now."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGESIZE")


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def sample() -> dict[str, float]:
    """This process's clocks: ``at`` (monotonic), ``user`` and ``system`` CPU in seconds, ``rss`` in bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"at": time.monotonic(), "user": used.ru_utime, "system": used.ru_stime, "rss": resident()}


def waited(pid: int | str = "self") -> float:
    """Seconds that the process's main thread was ready to run and had no CPU; 0 where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def active() -> float:
    """Seconds on a clock that stands still while this process is ready to run and has no CPU.

    On a quiet machine it is the wall clock. On a busy one it leaves out what other programs took, and still counts what
    the measured one waited for of its own accord, which CPU time would not.

    Both clocks are read at one moment: a process that lost its CPU between the two would be told that it had waited for longer than it ran.
    """
    before = waited()
    while True:
        now = time.perf_counter()
        after = waited()
        if after == before:
            return now - before
        before = after


def pace() -> float:
    """Microseconds for a fixed piece of interpreter work, the best of three.

    A virtual machine whose neighbours are busy slows down without any process having waited: only work of known size
    shows it.
    """
    best = float("inf")
    for _ in range(3):
        start = active()
        total = 0
        for i in range(20_000):
            total += i & 7
        best = min(best, active() - start)
    return best * 1e6


def raise_descriptor_limit() -> int:
    """Lift the soft limit of open files to the hard one; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
