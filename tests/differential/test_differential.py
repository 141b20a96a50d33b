"""A short run of the differential test: a few hundred programs, the same each time (CEDE_TEST_SEED draws others)."""

from __future__ import annotations

import os
import random

import pytest

from cede.core import kernel
from cede.loop.choice import driver_names

from .compare import Comparison, Difference, Subject, shown, side_by_side
from .mutants import MUTANTS, found_at
from .subjects import WAYS

PROGRAMS = 200


def text(difference: Difference) -> str:
    lines = [f"seed {difference.seed}, {difference.subject}", *shown(difference.program)]
    return "\n".join([*lines, *side_by_side(difference.wanted, difference.found, str(difference.subject))])


@pytest.mark.parametrize("driver", driver_names())
@pytest.mark.parametrize("way", WAYS)
def test_programs_run_in_the_order_of_asyncio(way: str, driver: str, rng: random.Random) -> None:
    first = 1 if os.environ["CEDE_TEST_SEED"] == "1" else rng.randrange(2**40)
    comparison = Comparison([Subject(way, driver)])
    try:
        for difference in comparison.run(iter(range(first, first + PROGRAMS))):
            pytest.fail(text(comparison.shrink(difference)))
    finally:
        comparison.close()
    assert comparison.undecided <= PROGRAMS / 50


@pytest.mark.skipif(kernel.COMPILED, reason="the faults are put into an uncompiled copy, in the pure run of the suite")
@pytest.mark.parametrize("name", list(MUTANTS))
def test_faults_of_order_are_found(name: str) -> None:
    assert found_at(name, 1) is not None
