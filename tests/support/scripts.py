"""Scripts that run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_script(script: str, *before: str, timeout: float = 100, **environment: str) -> tuple[int, str, str]:
    """Run `script`, behind the pieces `before` it: the exit status, what it printed, and standard error. It can import `tests`."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", "".join(map(textwrap.dedent, (*before, script)))],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return done.returncode, done.stdout, done.stderr
