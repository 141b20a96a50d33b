"""Installs of cede at two commits, each in an environment of its own: what is compared.

Commits with the same setup.py are built in one folder. Only files that differ are written there, so the compiler sees no more than what a
commit changed. What an environment needs beside cede is taken from the one that runs us, so that cede alone differs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.children import last_line
from benchmarks.loops import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGED = ("src", "setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md")
"""What an install is made of."""

PLACE = ROOT / "build" / "compare"
SHORT = 12
"""Digits of a commit that name a folder."""


class BuildError(Exception):
    """Something that cannot be compared; the message says why and what to do."""


@dataclass(frozen=True)
class Build:
    """One state of cede, installed."""

    name: str
    """The commit, abbreviated; with ``+`` where the tree has changes that are not committed."""
    python: Path


def git(*arguments: str, binary: bool = False) -> bytes:
    """What git says. Raises `BuildError` with its complaint."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    except OSError as error:
        raise BuildError(f"git cannot be run ({error.strerror}): install it") from None
    if done.returncode:
        raise BuildError(f"git {arguments[0]}: {last_line(done.stderr.decode(errors='replace'))}")
    return done.stdout if binary else done.stdout.rstrip()


def commit_of(name: str, option: str) -> str:
    """The full hash of what a user calls a commit. Raises `BuildError`."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").decode()
    except BuildError:
        shallow = (ROOT / ".git" / "shallow").exists()
        hint = "this clone is shallow, and git fetch --unshallow brings the rest" if shallow else "git log shows them"
        raise BuildError(f"{option}={name}: no such commit, branch or tag here; {hint}") from None


def changes() -> list[str]:
    """Files of the package that differ from the last commit."""
    return git("status", "--porcelain", "--", *PACKAGED).decode().splitlines()


def packaged(path: str) -> bool:
    """Whether a file of the repository belongs to the package."""
    return path.partition("/")[0] in PACKAGED


def of_commit(commit: str) -> dict[str, bytes]:
    """The package's files at a commit."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", commit, binary=True))) as archive:
        members = [each for each in archive if each.isfile() and packaged(each.name)]
        return {each.name: file.read() for each in members if (file := archive.extractfile(each)) is not None}


def of_tree() -> dict[str, bytes]:
    """The package's files as they lie here, those included that git does not know yet."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PACKAGED).decode().split("\0")
    return {name: (ROOT / name).read_bytes() for name in names if name and (ROOT / name).is_file()}


def sync(folder: Path, files: dict[str, bytes]) -> list[str]:
    """Make a folder hold these files; what is equal is not touched. Returns the names of those that were not."""
    paths = [path for part in PACKAGED for path in (folder / part, *(folder / part).rglob("*"))]
    there = {path.relative_to(folder).as_posix() for path in paths if path.is_file()}
    for name in there - files.keys():
        (folder / name).unlink()
    written = [name for name, data in files.items() if name not in there or (folder / name).read_bytes() != data]
    for name in written:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(files[name])
    return sorted({*written, *(there - files.keys())})


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """One run at a time builds here; a second one waits."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: list[str], log: Path, cwd: Path) -> None:
    """Run a part of a build. Raises `BuildError` that names the log."""
    # Both are built with the flags of setup.py alone, whatever is set here; the compiler may be chosen.
    environment = {key: value for key, value in os.environ.items() if key not in ("CFLAGS", "CEDE_PURE", "PYTHONPATH")}
    with log.open("ab") as output:
        done = subprocess.run(command, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise BuildError(f"the build failed, with status {done.returncode}: {log} says why")


def environment(folder: Path, log: Path) -> Path:
    """A new virtual environment that finds, behind what is its own, what is installed in ours; its Python."""
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)], log, ROOT)
    python = folder / "bin" / "python"
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (own / "beside_cede.pth").write_text("".join(f"{sysconfig.get_path(kind)}\n" for kind in ("purelib", "platlib")), encoding="utf-8")
    return python


def install(folder: Path, files: dict[str, bytes], name: str, say: Callable[[str], None]) -> None:
    """Build these files and install them into a new environment. Raises `BuildError`."""
    say(f"== building {name} (minutes the first time, less for one that is close to the last)")
    shutil.rmtree(folder, ignore_errors=True)
    # It holds the compiler's flags and Cython's directives, which neither looks at when it decides what is new.
    flags = hashlib.sha256(files.get("setup.py", b"")).hexdigest()[:8]
    source, log = PLACE / f"source-{flags}", PLACE / "build.log"
    log.unlink(missing_ok=True)
    sync(source, files)
    python = environment(folder, log)
    run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed", "."], log, source)
    found = subprocess.run(
        [str(python), "-c", "import cede; print(cede.__file__)"], cwd=folder, capture_output=True, text=True, check=False
    ).stdout.strip()
    if not Path(found).is_relative_to(folder):
        raise BuildError(f"{name} was not installed: {log} says why")
    told = json.loads(Path(found).with_name("_build.json").read_text(encoding="utf-8"))
    if told["mode"] != "compiled":
        hint = "install gcc and the headers of this Python, or name a compiler in CC"
        raise BuildError(f"{name} cannot be compiled here ({told['reason']}): {hint}")
    (folder / "done").touch()


def built(commit: str, say: Callable[[str], None]) -> Build:
    """A commit, built unless it is from before. Raises `BuildError`."""
    folder = PLACE / f"{commit[:SHORT]}-{sys.implementation.cache_tag}"
    with alone(PLACE):
        if not (folder / "done").exists():
            install(folder, of_commit(commit), commit[:SHORT], say)
    return Build(commit[:7], folder / "bin" / "python")


def built_tree(say: Callable[[str], None]) -> Build:
    """The tree as it lies here, built unless it is what was built last. Raises `BuildError`."""
    commit = commit_of("HEAD", "HEAD")
    folder, files = PLACE / f"tree-{sys.implementation.cache_tag}", of_tree()
    with alone(PLACE):
        # Its build folder serves other commits too, so what is installed says by itself what it is.
        kept = folder / "files"
        if not (folder / "done").exists() or sync(kept, files):
            install(folder, files, "the tree", say)
            sync(kept, files)
    return Build(f"{commit[:7]}+", folder / "bin" / "python")
