"""The suite itself, where SIGINT is ignored when it starts: a job in the background of a shell, and what some runners start."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

INTERRUPTED = "tests/cli/test_run.py::test_ctrl_c_ends_an_idle_program_as_python_does"


def test_tests_that_interrupt_a_program_pass_where_sigint_is_ignored() -> None:
    start = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout", "100", INTERRUPTED]
    done = subprocess.run(
        [sys.executable, "-c", start, sys.executable, *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
