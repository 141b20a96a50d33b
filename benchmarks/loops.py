"""The event loops that are compared, and how each is made."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the ``benchmarks`` package: the working directory of every child process."""

LOOPS = ("asyncio", "uvloop", "rloop", "zuvloop", "blazio", "cede")
"""In table order; all but the last are the peers."""

PEERS = LOOPS[:-1]
OURS = "cede"
OWN = "cede-own"
"""cede through its own functions, such as ``cede.sleep``, where an unchanged program would call asyncio's."""

LIMIT = "C epoll"
"""The bare C server: no peer, the limit of the network rows."""

BARE = "no-loop"
"""The same work by blocking calls: no peer, the limit of the rows that have it (``bare.py``)."""

GOAL = "goal"
"""No contestant: a figure that is to be reached, whatever peers take."""

LABELS = {OWN: "cede, own API", LIMIT: "C epoll", BARE: "no loop"}


def label(contestant: str, kind: str = "") -> str:
    """The name a table shows, in a row of that kind."""
    if kind == "http" and contestant == OWN:
        return "cede run"  # a program that calls none of cede's functions
    return LABELS.get(contestant, contestant)


def loop_of(contestant: str) -> str:
    """The loop that a contestant runs on."""
    return {OWN: OURS, BARE: "asyncio"}.get(contestant, contestant)


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    """A new event loop of the named kind. Raises ``ImportError`` where it is not installed."""
    if name == "asyncio":
        return asyncio.new_event_loop()
    made: asyncio.AbstractEventLoop = importlib.import_module(name).new_event_loop()
    return made


@dataclass(frozen=True)
class Installed:
    """What one loop turned out to be on this Python."""

    name: str
    state: str
    """``ok``, ``not installed``, or ``failed: reason``."""
    version: str = ""
    pure: bool = False
    """Only cede: installed uncompiled."""
    driver: str = ""
    """Only cede: the kind of its driver."""

    @property
    def ok(self) -> bool:
        """Whether it can be measured."""
        return self.state == "ok"


def probe_here(name: str) -> Installed:
    """Import the loop in this process, make one and run it. Any failure is told in the result, none is raised."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that it needs itself and does not find is a broken install, not an absent one.
        return Installed(name, "not installed" if error.name == name else f"failed: {error}")
    except Exception as error:
        return Installed(name, f"failed: {type(error).__name__}: {error}")
    driver = ""
    version = sys.version.split()[0] if name == "asyncio" else str(getattr(module, "__version__", ""))
    if not version:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "unknown"
    try:
        loop = new_loop(name)
        loop.run_until_complete(asyncio.sleep(0))
        pure = name == OURS and is_pure()
        driver = type(getattr(loop, "driver", None)).__name__ if name == OURS else ""  # before close, which lets go of it
        loop.close()
    except Exception as error:
        return Installed(name, f"failed: {type(error).__name__}: {error}", version)
    return Installed(name, "ok", version, pure, driver)


def is_pure() -> bool:
    """Whether the installed cede runs uncompiled."""
    told = Path(str(importlib.import_module("cede").__file__)).with_name("_build.json")
    return bool(json.loads(told.read_text(encoding="utf-8"))["mode"] != "compiled")


def probe(name: str) -> Installed:
    """As `probe_here`, in a process of its own: a loop that crashes the interpreter gives a result too."""
    command = [sys.executable, "-m", "benchmarks.loops", name]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return Installed(name, "failed: no answer within 60 s of import and first run")
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Installed(name, f"failed: exit status {done.returncode}: {last}")
    return Installed(**json.loads(lines[-1]))


if __name__ == "__main__":
    print(json.dumps(asdict(probe_here(sys.argv[1]))))
