"""Runs each class of one of CPython's suites several times and prints, as JSON, those after which the number of objects grows."""

from __future__ import annotations

import gc
import itertools
import json
import logging
import sys
import unittest
import warnings
from typing import Any

from tests.conformance import plan

from .census import census, references

# The classes that mix ours with asyncio's say nothing new.
PURE_BRED = ("CedeTask_CedeFuture", "CedeTaskSub_CedeFutureSub", "CedeFuture", "CedeTask_Eager", "CedeTask_Futures2")
# Of the suites' own making, or of the interpreter's: mock patterns, warning registries, caches of code objects.
ALLOWED = 3


def rounds_of(cls: type[unittest.TestCase], rounds: int) -> list[Any]:
    counts = []
    for _ in range(rounds):
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(cls).run(result)
        ran = result.testsRun
        del result
        gc.collect()
        objects = census()
        interesting = {name: count for name, count in objects.items() if name.startswith(("cede", "_asyncio", "asyncio"))}
        counts.append({"": references() or sum(objects.values()), **interesting})
        assert ran
    return counts


def grows(counts: list[Any]) -> dict[str, list[int]]:
    """The types whose number rises from each round to the next, once the caches are filled."""
    names = set().union(*counts)
    found = {}
    for name in sorted(names):
        series = [count.get(name, 0) for count in counts[2:]]
        steps = [after - before for before, after in itertools.pairwise(series)]
        if all(step > (ALLOWED if name == "" else 0) for step in steps):
            found[name or "all objects"] = series
    return found


def main(suite: str, rounds: int) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    leaking = {}
    for name, cls in plan.classes(suite).items():
        if not name.startswith(PURE_BRED):
            continue
        sys.stderr.write(f"@{name}\n")
        found = grows(rounds_of(cls, rounds))
        if found:
            leaking[name] = found
    print(json.dumps(leaking))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
