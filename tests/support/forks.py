"""Scripts that fork, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

PRELUDE = """
    import asyncio, os, signal, socket, sys, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads is what is tested here
    import cede

    def in_child(work):
        # Runs work() in a forked child and returns what it printed.
        sys.stdout.flush()
        ear, mouth = os.pipe()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                os.close(ear)
                os.write(mouth, str(work()).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(mouth)
        with open(ear, "rb") as answer:
            text = answer.read().decode()
        assert os.waitpid(pid, 0)[1] == 0, "the child failed"
        return text

    def raised_by(call):
        try:
            call()
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "nothing raised"
"""


def assemble(*pieces: str) -> str:
    """A script of pieces that were indented differently where they stood."""
    return "".join(map(textwrap.dedent, (PRELUDE, *pieces)))


def run_script(script: str, driver: str, expected: str, *before: str) -> None:
    """Run `script`, behind the pieces `before` it, in a process of its own, and compare what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", assemble(*before, script)],
        env=os.environ | {"CEDE_DRIVER": driver},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, ""), done.stderr
