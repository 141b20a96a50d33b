"""Install what the tests of libraries need, as far as there are wheels: ``python wheels.py FILE``, a requirement a line.

Nothing is compiled: a library without a wheel for this Python is left out and named, and its tests are skipped.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path


def install(*requirements: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "install", "-qq", "--only-binary", ":all:", *requirements]
    return subprocess.run(command, capture_output=True, text=True)


def main(requirements: list[str]) -> int:
    if install(*requirements).returncode == 0:
        return 0
    failures = {}
    for requirement in requirements:
        done = install(requirement)
        if done.returncode:
            failures[requirement] = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
    for requirement, reason in failures.items():
        print(f"left out for Python {platform.python_version()}, with its tests: {requirement} ({reason})")
    if len(failures) == len(requirements):
        print("none of the libraries could be installed: is there a network?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).read_text().splitlines()))
