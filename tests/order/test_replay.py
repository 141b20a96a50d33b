"""A program over ports of its own runs twice, in processes whose hash seeds and memory differ: both runs are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def play(seed: int, hashes: int, ballast: int) -> list[str]:
    command = [sys.executable, "-m", "tests.support.replayed_program", str(seed), str(ballast)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_runs_are_equal(seed: int) -> None:
    first = play(seed, 1, 0)
    assert len(first) > 200
    assert play(seed, 12_345, 98_765) == first


def test_another_seed_is_another_run() -> None:
    """What is compared is not the same for all programs."""
    assert play(1, 1, 0) != play(2, 1, 0)
