"""`cede info`: what is installed here, how it was built, and what the machine underneath can do."""

from __future__ import annotations

import ctypes
import errno
import importlib.metadata
import json
import os
import platform
import sys
import sysconfig
from typing import Any

from cede._version import __version__
from cede.core import build
from cede.loop.config import driver_names

# What works better, or differently, with it beside cede. None is needed.
OPTIONAL_PARTS = ("greenlet", "rich", "aiohttp")
# The number of epoll_pwait2 is the same on every architecture that has it.
SYS_EPOLL_PWAIT2 = 441


def has_epoll_pwait2() -> bool | None:
    """Whether this kernel waits with nanoseconds; None where it cannot be asked.

    It is asked, because a version number says nothing about sandboxes that filter calls.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        syscall = ctypes.CDLL(None, use_errno=True).syscall
    except (OSError, AttributeError):
        return None
    # On no descriptor at all: a kernel that knows the call complains about that.
    ctypes.set_errno(0)
    syscall(ctypes.c_long(SYS_EPOLL_PWAIT2), ctypes.c_long(-1), None, ctypes.c_long(1), None, None, ctypes.c_long(0))
    return ctypes.get_errno() != errno.ENOSYS


def find_parts() -> dict[str, str | None]:
    """Optional part -> its version; None when it is not installed."""
    parts: dict[str, str | None] = {}
    for name in OPTIONAL_PARTS:
        try:
            parts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            parts[name] = None
    return parts


def is_gil_enabled() -> bool:
    ask = getattr(sys, "_is_gil_enabled", None)
    return True if ask is None else bool(ask())


def collect() -> dict[str, Any]:
    """Everything `cede info` tells, as one JSON object. Its keys are kept from version to version."""
    made = build.look()
    drivers = driver_names()
    return {
        "version": __version__,
        "location": str(build.PACKAGE),
        "build": {"mode": made.mode, "reason": made.reason, "compiled_modules": made.extensions},
        "driver": {"default": drivers[0], "available": drivers},
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "executable": sys.executable,
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "gil_enabled": is_gil_enabled(),
        },
        "kernel": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "epoll_pwait2": has_epoll_pwait2(),
            "cpus": os.cpu_count(),
        },
        "optional": find_parts(),
    }


def describe(facts: dict[str, Any]) -> str:
    """The same for people."""
    made, python, kernel = facts["build"], facts["python"], facts["kernel"]
    mode = {"compiled": "compiled", "pure": "pure Python", "pure-no-compiler": "pure Python, for want of a C compiler"}[made["mode"]]
    mode += f", {made['compiled_modules']} modules" if made["compiled_modules"] else ""
    mode += f" ({made['reason']})" if made["reason"] else ""
    drivers = [f"{name} (default)" if name == facts["driver"]["default"] else name for name in facts["driver"]["available"]]
    threads = "free-threaded, " if python["free_threaded"] else ""
    threads += "GIL on" if python["gil_enabled"] else "GIL off"
    timers = {True: "nanosecond waits (epoll_pwait2)", False: "millisecond waits (no epoll_pwait2)", None: "epoll_pwait2 unknown"}
    rows = [
        ("cede", facts["version"]),
        ("build", mode),
        ("driver", ", ".join(drivers)),
        ("python", f"{python['implementation']} {python['version']}, {threads}"),
        ("", python["executable"]),
        ("kernel", f"{kernel['system']} {kernel['release']}, {kernel['machine']}, {kernel['cpus']} CPUs"),
        ("", timers[kernel["epoll_pwait2"]]),
        ("location", facts["location"]),
    ]
    rows.append(("optional", ", ".join(f"{name} {version or 'not installed'}" for name, version in facts["optional"].items())))
    lines = [f"{name:<10}{value}".rstrip() for name, value in rows]
    if made["mode"] == "pure-no-compiler":
        lines += ["", "Install a C compiler and the Python headers, then reinstall cede, to get the compiled one."]
    return "\n".join(lines)


def show(*, as_json: bool = False) -> int:
    """Prints it; returns the exit status."""
    facts = collect()
    try:
        print(json.dumps(facts, indent=2) if as_json else describe(facts), flush=True)
    except BrokenPipeError:
        # Whoever reads has enough (`| head`). What is still in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
