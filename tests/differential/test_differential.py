"""A short run of the differential test: a few hundred programs, the same each time (CEDE_TEST_SEED draws others)."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import cede
from cede.core.scheduler import kernel
from cede.loop.config import driver_names

from .compare import STARTS, Comparison, Difference, NoWorkerError, Subject, shown, side_by_side
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
    assert len(comparison.undecided) <= PROGRAMS / 50


@pytest.mark.skipif(kernel.COMPILED, reason="the faults are put into an uncompiled copy, in the pure run of the suite")
@pytest.mark.parametrize("name", list(MUTANTS))
def test_faults_of_order_are_found(name: str) -> None:
    assert found_at(name, 1) is not None


def broken(folder: Path, code: str) -> Subject:
    """A subject whose package begins with this code."""
    package = folder / "cede"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    return Subject("names", "selector", str(folder))


def test_a_worker_that_does_not_start_ends_the_run(tmp_path: Path) -> None:
    comparison = Comparison([broken(tmp_path, f"open({str(tmp_path / 'starts')!r}, 'a').write('x')\nraise ImportError('not today')\n")])
    try:
        with pytest.raises(NoWorkerError, match="not today"):
            list(comparison.run(iter(range(1, 1000))))
    finally:
        comparison.close()
    assert (tmp_path / "starts").read_text() == "x" * STARTS


def test_a_worker_that_starts_at_the_second_time_is_asked_again(tmp_path: Path) -> None:
    package = Path(cede.__file__).parent
    code = f"""
import os, sys
try:
    os.mkdir({str(tmp_path / "started")!r})
except FileExistsError:
    __path__ = [{str(package)!r}]
    __file__ = {cede.__file__!r}
    exec(compile(open(__file__).read(), __file__, "exec"))
else:
    sys.exit("not yet")
"""
    subjects = [broken(tmp_path, code), Subject("asyncio")]
    try:
        ours, expected = (subject.logs([1, 2]) for subject in subjects)
    finally:
        for subject in subjects:
            subject.end()
    assert ours == expected
