"""The kernel's own tests, each run again and again, with the number of objects flat; and once under the debug allocator."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cede.core.task import task

ROOT = Path(__file__).resolve().parents[2]
KERNEL_TESTS = (
    *(f"core/task/test_{name}.py" for name in ("future_life", "task_life", "cancel", "eager", "kinds")),
    *(f"core/scheduler/test_{name}.py" for name in ("kernel_turns", "timers")),
)
SUITES = ("tasks", "futures", "eager")
compiled_only = pytest.mark.skipif(
    (task.__file__ or "").endswith(".py"), reason="references are counted by hand only in the compiled build"
)
ROUNDS = 5  # the first two fill caches


@compiled_only
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("test") is None, reason="this Python was installed without its own tests")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", SUITES)
def test_cpythons_suites_leave_nothing(suite: str) -> None:
    if importlib.util.find_spec("test.test_asyncio") is None:
        pytest.skip("this Python was installed without test.test_asyncio")
    command = [sys.executable, "-m", "tests.leaks.repeat", suite, str(ROUNDS)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert answer.returncode == 0, answer.stderr[-4000:]
    leaking = json.loads(answer.stdout.splitlines()[-1])
    assert leaking == {}


@compiled_only
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", KERNEL_TESTS)
def test_under_the_debug_allocator(name: str) -> None:
    """Freed memory is filled and its edges are guarded: a use after free or a write past the end ends the process."""
    environment = {**os.environ, "PYTHONMALLOC": "debug", "PYTHONFAULTHANDLER": "1"}
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=300", "-k", "not million"]
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"tests/{name}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout[-4000:] + answer.stderr[-4000:]
