"""Junk arguments for everything public, in a process of its own: no crash, no hang, no SystemError."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cede.core.task import task

ROOT = Path(__file__).resolve().parents[2]


COMPILED = not (task.__file__ or "").endswith(".py")
# `make nightly` asks for more.
MANY = int(os.environ.get("CEDE_TEST_CALLS", "1"))
# Uncompiled there is no memory to corrupt: one run, for the errors.
RUNS = [(allocator, run) for allocator in ("default", "debug") for run in range(1, MANY + 1)] if COMPILED else [("default", 1)]

# Of every compiled class, whoever it is for.
INTERNALS = [("default", 1, "internals")] if COMPILED else []


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("allocator", "run", "what"), [*((*each, "calls") for each in RUNS), *INTERNALS])
def test_junk_kills_nothing(allocator: str, run: int, what: str, rng: random.Random, tmp_path: Path) -> None:
    """uvloop 760: public types made with junk, and every method called."""
    seed = rng.randrange(2**32)
    log = tmp_path / "calls"
    environment = {**os.environ, "PYTHONMALLOC": allocator, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", f"tests.fuzz.{what}", str(seed), "1" if what == "internals" else "2", str(log)]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=300, check=False)
    if answer.returncode:
        how = signal.Signals(-answer.returncode).name if answer.returncode < 0 else f"exit status {answer.returncode}"
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        pytest.fail(f"seed {seed}: {how}\nlast calls:\n{last}\n{answer.stderr[-4000:]}")
    assert len(log.read_text(errors="replace").splitlines()) > 5000, "it ended too soon"
