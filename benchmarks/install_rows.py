"""What an import and an install take: rows about the package, not about its loop."""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.children import MeasureError, ended_with, last_line
from benchmarks.compare.builds import BuildError, of_tree, sync
from benchmarks.loops import OURS, ROOT, loop_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROCESSES = 7
"""Fresh interpreters an import is timed in; the median counts."""

# Nothing but asyncio is loaded before the clock runs: what a module of ours shares with one of the benchmark's would not be counted. So the
# clock is that of clocks.py once more.
IMPORT = """
import asyncio, json, sys, time
def waited():
    try:
        with open("/proc/self/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
def resident():
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1])
def active():
    before = waited()
    while True:
        now, after = time.perf_counter(), waited()
        if after == before:
            return now - before
        before = after
active()
pages = resident()
start = active()
__import__(sys.argv[1])
took = active() - start
print(json.dumps([took, resident() - pages]))
"""

# From the start of the interpreter to its end; what is loaded only when a loop is made is in it.
HELLO = """
import asyncio, sys
async def main():
    await asyncio.sleep(0)
if sys.argv[1] == "asyncio":
    asyncio.run(main())
else:
    with asyncio.Runner(loop_factory=__import__(sys.argv[1]).new_event_loop) as runner:
        runner.run(main())
"""


def run(code: str, *arguments: str) -> str:
    """What code printed in a fresh interpreter. Raises `MeasureError`."""
    try:
        done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        raise MeasureError("not finished within 60 s") from None
    if done.returncode:
        raise MeasureError(f"{ended_with(done.returncode)}: {last_line(done.stderr) or 'no message'}")
    return done.stdout


def imported(contestant: str) -> dict[str, float]:
    """Milliseconds and MB that an import takes where asyncio is loaded already. Raises `MeasureError`."""
    run(IMPORT, loop_of(contestant))  # the files are in the system's cache from here on, and compiled
    seen = [json.loads(run(IMPORT, loop_of(contestant))) for _ in range(PROCESSES)]
    took, pages = (statistics.median(values) for values in zip(*seen, strict=True))
    return {"ms": took * 1e3, "mb": pages * os.sysconf("SC_PAGESIZE") / 1e6}


def hello(contestant: str) -> dict[str, float]:
    """Milliseconds of CPU of a process that runs a coroutine and ends. Raises `MeasureError`."""
    run(HELLO, loop_of(contestant))
    seen = []
    for _ in range(PROCESSES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(HELLO, loop_of(contestant))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seen.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"ms": statistics.median(seen) * 1e3}


def files_of(name: str) -> Iterator[tuple[str, Path]]:
    """What an install of that name has put into site-packages, without what was made there: name and place. Raises `MeasureError`."""
    try:
        files = importlib.metadata.distribution(name).files or []
    except importlib.metadata.PackageNotFoundError:
        raise MeasureError(f"{name} is part of Python, or not installed") from None
    for file in files:
        # The first word is a script beside site-packages, or a note of the installer's.
        if file.suffix != ".pyc" and file.parts[0] != ".." and file.name not in ("INSTALLER", "REQUESTED", "direct_url.json"):
            yield str(file), Path(str(file.locate()))


def objects(contestant: str) -> dict[str, float]:
    """How many shared objects an install has. Raises `MeasureError`."""
    return {"files": float(sum(path.suffix in (".so", ".pyd") for _, path in files_of(loop_of(contestant))))}


def wheel(contestant: str) -> dict[str, float]:
    """MB of the wheel: the files of the install, compressed one by one as a wheel has them. Raises `MeasureError`."""
    # The name stands twice, before the file and in the list at the end, each time after a head of fixed size.
    size = sum(len(zlib.compress(path.read_bytes(), 6)) + 2 * len(name) + 76 for name, path in files_of(loop_of(contestant)))
    return {"mb": size / 1e6}


def compiled_source() -> Path:
    """The largest file that is compiled, relative to the tree: about the worst that one change can ask for."""
    sources = [path for path in (ROOT / "src").rglob("*.py") if path.with_suffix(".pxd").exists()]
    return max(sources, key=lambda path: path.stat().st_size).relative_to(ROOT)


def rebuild(contestant: str) -> dict[str, float]:
    """Seconds from a change of the largest compiled file to an install that has it, without ccache. Raises `MeasureError`."""
    place = ROOT / "build" / "rebuild"
    place.mkdir(parents=True, exist_ok=True)
    try:
        sync(place, of_tree())  # what a build before this one has made of equal files stands
    except BuildError as error:
        raise MeasureError(str(error)) from None
    install(place, os.environ)
    changed = place / compiled_source()
    changed.write_text(changed.read_text(encoding="utf-8") + "\nREBUILT = True\n", encoding="utf-8")
    start = time.monotonic()
    install(place, {**os.environ, "CCACHE_DISABLE": "1"})
    return {"seconds": time.monotonic() - start}


def install(place: Path, environment: dict[str, str] | os._Environ[str]) -> None:
    """Build and install below `place`, as `make build` does. Raises `MeasureError`."""
    target = place / "installed"
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(target), "."]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasureError(f"the build failed: {last_line(done.stderr)}")


MEASURES: dict[str, Callable[[str], dict[str, float]]] = {
    "import": imported,
    "import-memory": imported,
    "hello": hello,
    "wheel": wheel,
    "objects": objects,
    "rebuild": rebuild,
}


def contestants(what: str, names: Sequence[str]) -> list[str]:
    """Of those that are there, who can be measured in a row: asyncio is part of Python, and rebuilt is cede alone."""
    if what == "rebuild":
        return [name for name in names if name == OURS]
    return [name for name in names if name != "asyncio" or what == "hello"]
