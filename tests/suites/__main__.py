"""``make suites``: libraries' own suites, on asyncio and once more under `cede run`.

A test that passes on asyncio and not under `cede run` is a fault, unless projects.py gives a reason. It is run three times more, each
time on both, before it counts: many of these tests measure time. Sources are downloaded into build/suites, and nothing of them is kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import time
import venv
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cede
from tests.suites.projects import COMMON, PROJECTS, Project

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / "build" / "suites"
SERVICES = ROOT / "tests" / "libraries" / "services.py"
ATTEMPTS = 3
WAYS = ("asyncio", "cede run")


class Unavailable(Exception):
    """Why a suite cannot be run here."""


def main(arguments: list[str] | None = None) -> int:
    names = [project.name for project in PROJECTS]
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__, formatter_class=raw)
    parser.add_argument("project", nargs="*", help=f"only these (default: all): {', '.join(names)}")
    parser.add_argument("--minutes", type=float, default=20.0, help="at most so long for one suite one way (default: 20)")
    options = parser.parse_args(arguments)
    for name in options.project:
        if name not in names:
            parser.error(f"{name} is not one of {', '.join(names)}")
    chosen = [project for project in PROJECTS if not options.project or project.name in options.project]
    passed = different = excused = 0
    left_out = []
    for number, project in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {project.name} {project.version}", flush=True)
        try:
            on_asyncio, elsewhere = compare(project, options.minutes * 60)
        except Unavailable as reason:
            left_out.append(project.name)
            print(f"  left out: {reason}", flush=True)
            continue
        passed += on_asyncio
        for test in elsewhere:
            reason_known = next((why for part, why in project.elsewhere.items() if part in test), None)
            if reason_known is None:
                different += 1
            else:
                excused += 1
            print(f"  {'DIFFERENT' if reason_known is None else 'known'}: {test}{f': {reason_known}' if reason_known else ''}", flush=True)
    print(f"{passed} tests pass on asyncio; under cede run {different} of them fail, and {excused} for a reason that is known")
    if left_out:
        print(f"left out: {', '.join(left_out)}")
    return 1 if different or not passed else 0


def compare(project: Project, limit: float) -> tuple[int, list[str]]:
    """How many tests pass on asyncio, and which of them do not under `cede run`."""
    sources = fetch(project)
    python = prepare(project)
    found = {}
    for way in WAYS:
        began = time.monotonic()
        found[way] = run(project, sources, python, way, list(project.arguments), limit)
        passed = sum(outcome == "passed" for outcome in found[way].values())
        print(f"  {way}: {passed} passed of {len(found[way])}, {time.monotonic() - began:.0f} s", flush=True)
    right = {test for test, outcome in found["asyncio"].items() if outcome == "passed"}
    if not right:
        raise Unavailable(f"no test of it passes on asyncio here; see {log_of(project, 'asyncio')}")
    suspects = sorted(test for test in right if found["cede run"].get(test) != "passed")
    known = [test for test in suspects if any(part in test for part in project.elsewhere)]
    return len(right), known + [test for test in suspects if test not in known and differs(project, sources, python, test, limit)]


def differs(project: Project, sources: Path, python: Path, test: str, limit: float) -> bool:
    """Whether the test passes on asyncio more often than under `cede run`, alone."""
    words = test.rpartition("::")[2].partition("[")[0]
    file = next((path for path in sources.rglob(f"{test.partition('::')[0].split('.')[-1]}.py")), None)
    options = [word for word in project.arguments if word.startswith("-")]
    where = [str(file.relative_to(sources))] if file else [word for word in project.arguments if not word.startswith("-")]
    times = dict.fromkeys(WAYS, 0)
    for _ in range(ATTEMPTS):
        for way in WAYS:
            times[way] += run(project, sources, python, way, [*where, *options, "-k", words], limit).get(test) == "passed"
    if times["cede run"] >= times["asyncio"]:
        print(f"  not counted: {test}, alone passes {times['cede run']} of {ATTEMPTS} times, on asyncio {times['asyncio']}", flush=True)
        return False
    return True


def log_of(project: Project, way: str) -> Path:
    return SCRATCH / "logs" / f"{project.name}-{way.replace(' ', '-')}.log"


def run(project: Project, sources: Path, python: Path, way: str, arguments: list[str], limit: float) -> dict[str, str]:
    """What came of each test."""
    log = log_of(project, way)
    log.parent.mkdir(parents=True, exist_ok=True)
    results = log.with_suffix(".xml")
    results.unlink(missing_ok=True)
    # Their own settings of warnings and plugins are about their own house.
    quiet = ["-q", "-o", "addopts=", "-W", "ignore", "-o", "filterwarnings=", "--timeout=120", f"--junitxml={results}"]
    command = [str(python), *(("-m", "cede", "run") if way == "cede run" else ()), "-m", "pytest", *arguments, *quiet]
    if project.service:
        command = [sys.executable, str(SERVICES), "run", "sh", "-c", SETTINGS[project.service] + ' && exec "$@"', "sh", *command]
    path = os.pathsep.join([str(with_cede())])
    with log.open("w") as output:
        try:
            subprocess.run(
                command,
                cwd=sources,
                env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            print(f"  {way}: not within {limit / 60:g} minutes; see {log}", flush=True)
    if not results.exists():
        return {}
    return {f"{case.get('classname')}::{case.get('name')}": outcome(case) for case in ElementTree.parse(results).getroot().iter("testcase")}


# How a suite is told where its service is.
SETTINGS = {
    "postgres": (
        'test -n "$CEDE_TEST_POSTGRES" && address=${CEDE_TEST_POSTGRES##*@} && address=${address%%/*} '
        "&& export PGHOST=${address%%:*} PGPORT=${address##*:} PGUSER=cede PGDATABASE=postgres"
    )
}


def outcome(case: ElementTree.Element) -> str:
    tags = {child.tag for child in case}
    return next((tag for tag in ("failure", "error", "skipped") if tag in tags), "passed")


def pip(python: Path | str, *words: str) -> None:
    done = subprocess.run([str(python), "-m", "pip", "-q", "--disable-pip-version-check", *words], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"pip {' '.join(words)[:200]} ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")


def fetch(project: Project) -> Path:
    """Its unpacked source distribution, without the library itself: what is tested is the one that is installed."""
    folder = SCRATCH / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{project.name.replace('-', '_')}-{project.version}"
    unpacked = folder / stem
    if not unpacked.exists():
        only_as_source = ("--no-deps", "--no-binary", project.name)
        pip(sys.executable, "download", *only_as_source, "--dest", str(folder), f"{project.name}=={project.version}")
        with tarfile.open(next(folder.glob(f"{project.name.replace('-', '?')}-{project.version}.tar.gz"))) as packed:
            packed.extractall(folder, filter="data")
        library = unpacked / project.name.replace("-", "_")
        if library.exists():
            library.rename(library.with_name(f"{library.name}-as-source"))
    return unpacked


def prepare(project: Project) -> Path:
    """The Python of an environment that has the library and what its suite needs."""
    folder = SCRATCH / "environments" / f"{project.name}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print("  installing what it needs", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip(python, "install", *COMMON, f"{project.name}=={project.version}", *project.needs)
        (folder / "ready").touch()
    return python


def with_cede() -> Path:
    """A folder that holds cede, as it is installed for the Python that runs this, and nothing else."""
    folder = SCRATCH / "cede"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "cede"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(cede.__file__).parent)
    return folder


if __name__ == "__main__":
    sys.exit(main())
