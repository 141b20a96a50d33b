"""What each test takes of the processor, its child processes included: wall clocks say little on a machine that does other things as well.

CEDE_TEST_CPU=build/cpu make compiled-test ARGS="-p tests.support.cpu"
python -m tests.support.cpu build/cpu
"""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

MOST = 40


def used() -> float:
    """Seconds of this process, and of its children that have ended and were waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, whose))


def note(began: float, name: str) -> None:
    with open(os.environ["CEDE_TEST_CPU"], "a") as log:
        log.write(f"{used() - began:.3f} {name}\n")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    began = used()
    result = yield
    note(began, item.nodeid)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    began = used()
    result = yield
    note(began, "(collection)")
    return result


def main(log: str) -> None:
    files: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for line in Path(log).read_text().splitlines():
        seconds, name = line.split(" ", 1)
        files[name.split("::")[0]] += float(seconds)  # type: ignore[assignment]
        tests[name.split("[")[0]] += float(seconds)  # type: ignore[assignment]
    print(f"{sum(files.values()):.0f} s in all")
    for ranking in (files, tests):
        print()
        for name, took in ranking.most_common(MOST):
            print(f"{took:7.1f} s  {name}")


if __name__ == "__main__":
    main(sys.argv[1])
