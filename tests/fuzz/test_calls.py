"""Junk arguments for everything public, in a process of its own: no crash, no hang, no SystemError."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("run", range(4))
@pytest.mark.parametrize("allocator", ["default", "debug"])
def test_junk_kills_nothing(run: int, allocator: str, rng: random.Random, tmp_path: Path) -> None:
    seed = rng.randrange(2**32)
    log = tmp_path / "calls"
    environment = {**os.environ, "PYTHONMALLOC": allocator, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.fuzz.calls", str(seed), "2", str(log)]
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=300, check=False)
    if answer.returncode:
        how = signal.Signals(-answer.returncode).name if answer.returncode < 0 else f"exit status {answer.returncode}"
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        pytest.fail(f"seed {seed}: {how}\nlast calls:\n{last}\n{answer.stderr[-4000:]}")
