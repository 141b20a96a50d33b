"""Builds a copy of the source with one mend taken back, and shows that the fuzzer misses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .mends import HEADERS_CONCERN, MENDS

ROOT = Path(__file__).resolve().parents[3]
WITHIN = 600.0  # seconds
FOUND = 1  # the fuzzer's exit status


def take_back(name: str, folder: Path) -> None:
    """Change the copy in `folder`. Ends the program where the mended text is not there, once, any more."""
    for file, mended, before in MENDS[name]:
        path = folder / file
        text = path.read_text()
        if text.count(mended) != 1:
            raise SystemExit(f"mend {name!r}: {file} has this {text.count(mended)} times; bring mends.py up to date:\n{mended}")
        times = path.stat()
        path.write_text(text.replace(mended, before))
        if file in HEADERS_CONCERN:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            for module in HEADERS_CONCERN[file]:
                (folder / "build" / "cython" / f"{module}.c").touch()


def build(name: str) -> Path:
    """The folder to import cede from. What was compiled before comes from the build folder, so only what the mend touches is compiled."""
    folder = ROOT / "build" / "reverted" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in ("src", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
        else:
            shutil.copy2(ROOT / part, folder / part)
    sanitized = "CEDE_SANITIZE" in os.environ
    base = Path("build/asan" if sanitized else "build")
    shutil.copytree(ROOT / "build" / "cython", folder / "build" / "cython")
    for made in (ROOT / base).glob("*.linux-*"):
        if made.name.startswith(("lib.", "temp.")):
            shutil.copytree(made, folder / base / made.name)
    take_back(name, folder)
    environment = {key: value for key, value in os.environ.items() if key not in ("LD_PRELOAD", "PYTHONMALLOC")}
    if sanitized:
        environment["CFLAGS"] = os.environ["CEDE_SANITIZE"]
    subprocess.run([sys.executable, "setup.py", "-q", "build", "--build-base", str(base)], cwd=folder, env=environment, check=True)
    return next((folder / base).glob("lib.*"))


def show(name: str, argv: list[str]) -> int:
    """0 where the fuzzer finds what the mend `name` keeps away."""
    if name == "list":
        print(*MENDS, sep="\n")
        return 0
    names = list(MENDS) if name == "all" else [name]
    if not set(names) <= set(MENDS):
        raise SystemExit(f"--reverted: {name!r} is not among {', '.join(MENDS)}")
    given = [word for index, word in enumerate(argv) if word != "--reverted" and (index == 0 or argv[index - 1] != "--reverted")]
    if "--seconds" not in given:
        given += ["--seconds", str(WITHIN)]
    missed = []
    for each in names:
        where = build(each)
        print(f"== without the mend {each!r}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz.reentry", "--steps", str(10**9), *given]
        status = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(where)}).returncode
        found = status == FOUND
        print(f"== the mend {each!r}, taken back, is {'found' if found else 'NOT FOUND'}", flush=True)
        if not found:
            missed.append(each)
    return 1 if missed else 0
