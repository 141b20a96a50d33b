"""Which Pythons there are on this machine, and how a command is run on each.

A version is looked for, in this order:

* in the environment variable ``MATRIX_RUN_3_14`` (for 3.14): the beginning of a command that runs the rest of it where that version is,
  in this folder or where this folder is the working folder, in a container for instance. An empty one leaves the version out;
* among ``PYTHONS``, a list of interpreters with blanks or colons between them; where it is given, only they and the above count;
* as ``python3.14`` on the search path, among pyenv's versions, and as the Python that runs this.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
SECONDS_TO_START = 120.0  # a command that runs things elsewhere may have to set something up first
ASK = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name, getattr(sys, 'abiflags', '') or '-')"


@dataclass(frozen=True)
class Python:
    """One interpreter. `prefix` is what a command that is to run beside it begins with."""

    version: str
    command: str
    prefix: tuple[str, ...] = ()


class NotFound(Exception):
    """Says why a version cannot be had."""


def find(version: str, environ: Mapping[str, str] = os.environ) -> Python:
    """The interpreter of that version. Raises NotFound."""
    variable = f"MATRIX_RUN_{version.replace('.', '_')}"
    prefix = environ.get(variable)
    if prefix is not None:
        if not prefix.strip():
            raise NotFound(f"left out by an empty {variable}")
        words = tuple(shlex.split(prefix))
        problem = ""
        for command in (f"python{version}", "python3"):
            problem = ask(version, (*words, command))
            if not problem:
                return Python(version, command, words)
        raise NotFound(f"{variable}: {problem}")
    problem = ""
    for candidate in candidates(version, environ):
        problem = ask(version, (candidate,))
        if not problem:
            return Python(version, candidate)
    where = "PYTHONS names none" if environ.get("PYTHONS") else f"no python{version} on the search path or among pyenv's versions"
    raise NotFound(f"{where}, and {variable} is not set")


def candidates(version: str, environ: Mapping[str, str]) -> Iterator[str]:
    named = environ.get("PYTHONS", "").replace(":", " ").split()
    if named:
        yield from named
        return
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        yield sys.executable
    found = shutil.which(f"python{version}", path=environ.get("PATH"))
    if found:
        yield found
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME") or "/nonexistent", ".pyenv"))
    kept = [path for path in root.glob(f"versions/{version}.*/bin/python3") if path.parts[-3].rpartition(".")[2].isdigit()]
    yield from map(str, sorted(kept, key=lambda path: int(path.parts[-3].rpartition(".")[2]), reverse=True))


def ask(version: str, command: tuple[str, ...]) -> str:
    """What is wrong with that interpreter; "" if it is CPython of that version. A name on the search path may be no more than a promise."""
    name = shlex.join(command)
    try:
        done = subprocess.run(
            [*command, "-c", ASK], capture_output=True, text=True, check=False, timeout=SECONDS_TO_START, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        return f"{name} cannot be run: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{name} did not start within {SECONDS_TO_START:.0f} s"
    if done.returncode:
        return f"{name} ended with {done.returncode}: {' '.join(done.stderr.split()[-20:])}"
    told = done.stdout.split()
    if told[:2] != [version, "cpython"] or "t" in told[2]:
        return f"{name} is {' '.join(told)}"
    return ""
