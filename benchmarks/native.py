"""The C programs, compiled on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.children import MeasureError, last_line

SOURCES = Path(__file__).resolve().parent / "client"


class Native:
    """Compiles each program once, into a folder of the caller's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Path] = {}

    def path(self, name: str) -> str:
        """The program's path. Raises `MeasureError` when it cannot be compiled."""
        if name not in self.made:
            compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
            if compiler is None:
                raise MeasureError("no C compiler: install one, or name it in CC")
            target, source = self.folder / name, SOURCES / f"{name}.c"
            if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
                self.made[name] = target  # the folder has served before
                return str(target)
            command = [*compiler.split(), "-O2", "-o", str(target), str(source)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except OSError as error:
                raise MeasureError(f"the C compiler {compiler!r} cannot be run: {error.strerror}") from None
            if done.returncode != 0:
                raise MeasureError(f"{name}.c does not compile: {last_line(done.stderr)}")
            self.made[name] = target
        return str(self.made[name])
