"""Where the suites of other projects come from: their source distributions, fetched by name into a scratch folder and never kept here."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

from . import ledger, standing_in

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / "build" / "conformance"
SUITES = ledger.SUITES
FETCHED = ("uvloop", "anyio")


class Unavailable(Exception):
    """Says why a suite cannot be run here."""


def base_of(suite: str) -> str:
    """Whose tests they are."""
    return suite.removesuffix(ledger.NAMES)


def pip(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"pip {' '.join(words)} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")


def fetch(name: str) -> Path:
    """The unpacked source distribution of `name`, downloaded where that was not done before."""
    folder = SCRATCH / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob(f"{name}-*.tar.gz"))
    if not found:
        # Only the project itself as source: what pip needs to read its metadata may come built, or a compiler would be built first.
        pip("download", "--no-deps", "--no-binary", name, "--dest", str(folder), name)
        found = sorted(folder.glob(f"{name}-*.tar.gz"))
    archive = found[-1]
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    if not unpacked.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    return unpacked


def site_of(name: str, sources: Path) -> Path:
    """A folder in which the project is installed from those sources, without anything that it needs."""
    site = SCRATCH / f"site-{sources.name}-{sys.version_info[0]}.{sys.version_info[1]}"
    if not site.exists():
        pip("install", "--no-deps", "--target", str(site), str(sources))
    return site


def modules_of(suite: str) -> list[str]:
    """The modules of a suite, by the names that a unit has. Raises Unavailable where there is no such suite here."""
    suite = base_of(suite)
    if suite == "classes":
        from . import plan

        if not plan.available():
            raise Unavailable(plan.MISSING)
        return list(plan.SUITES)
    if suite == "cpython":
        from . import plan

        if not plan.available():
            raise Unavailable(plan.MISSING)
        import test.test_asyncio as package

        folder = Path(package.__path__[0])
    else:
        folder = fetch(suite) / "tests"
    found = [path.relative_to(folder).with_suffix("") for path in sorted(folder.rglob("test_*.py"))]
    return [".".join(path.parts) for path in found]


def surroundings(suite: str) -> tuple[dict[str, str], Path]:
    """Environment variables for the processes of that suite, and their working folder."""
    # This package by its short name: both suites from elsewhere have a package called `tests` too.
    path = [str(ROOT / "tests")]
    more: dict[str, str] = {}
    if suite.endswith(ledger.NAMES):
        from cede.cli import children

        path.insert(0, children.FOLDER)
        more[children.VARIABLE] = "names"
    suite = base_of(suite)
    folder = SCRATCH / "scratch" / suite
    if suite == "uvloop":
        sources = fetch("uvloop")
        path.insert(0, str(standing_in.FOLDER))
        more["CEDE_CONFORMANCE_UVLOOP"] = str(sources)
    elif suite == "anyio":
        sources = fetch("anyio")
        path.insert(0, str(site_of("anyio", sources)))
        more["HYPOTHESIS_STORAGE_DIRECTORY"] = str(SCRATCH / "hypothesis")
        folder = sources
    folder.mkdir(parents=True, exist_ok=True)
    return {**os.environ, **more, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}, folder
