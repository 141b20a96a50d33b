"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.loops import ROOT


def processor() -> str:
    """The CPU's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # a system without it: the general name has to do
    return platform.processor() or platform.machine()


def kernel() -> str:
    """Name and the two leading numbers of the kernel, such as ``linux-6.18``: builds differ in the rest."""
    numbers = platform.release().split(".")[:2]
    return f"{platform.system().lower()}-{'.'.join(numbers)}"


def commit() -> str:
    """The commit that this tree is at, with ``+`` where its package has changes; ``unknown`` without git."""
    try:
        words = ("rev-parse", "--short=9", "HEAD"), ("status", "--porcelain", "--", "src", "setup.py", "pyproject.toml")
        head, changes = (subprocess.run(["git", *each], cwd=ROOT, capture_output=True, text=True, check=True).stdout for each in words)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changes.strip() else "")


def facts() -> dict[str, str]:
    """Commit, machine, system, interpreter and date. No host name, no path, no user."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "commit": commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} usable CPUs",
        "memory": f"{memory:.0f} GiB",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def result_name(pure: bool, suffix: str) -> str:
    """File name without its ending: Python, kernel and architecture, so that each combination keeps its own results."""
    gil = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else "t"
    python = f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}{gil}"
    parts = [python, kernel(), platform.machine(), "pure" if pure else "", suffix]
    return "-".join(part for part in parts if part)
