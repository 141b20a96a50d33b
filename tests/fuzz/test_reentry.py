"""A short run of the re-entrancy fuzzer; and that it sees what it is there for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from cede.core.scheduler.kernel import COMPILED

from .reentry.mends import MENDS
from .reentry.programs import draw, smaller

ROOT = Path(__file__).resolve().parents[2]
STEPS = 4000
KNOWN_STEPS = 20_000


def fuzz(*options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.fuzz.reentry", *options]
    answer = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, errors="replace", timeout=500)
    return answer.returncode, f"{answer.stdout[-6000:]}\n{answer.stderr[-2000:]}"


@pytest.mark.timeout(600)
def test_user_code_everywhere_does_no_harm(rng: random.Random) -> None:
    avoid = "collector,nested,nested_thrice,clock"
    status, said = fuzz("--seed", str(rng.randrange(10**6)), "--steps", str(STEPS), "--avoid", avoid)
    assert status == 0, said
    assert "nothing wrong in" in said


@pytest.mark.timeout(600)
@pytest.mark.skipif(not COMPILED, reason="uncompiled, a turn in a finalizer comes between any two lines of the loop's own, as in asyncio's")
def test_turns_run_by_hand_in_user_code_do_no_harm() -> None:
    """With clocks that run something, and the collector on a thread of its own. Programs that are known: of some thousands drawn anew, one
    may break its own promises, and it takes somebody's judgement to tell. `make reentry` draws them."""
    status, said = fuzz("--seed", "1", "--steps", str(KNOWN_STEPS))
    assert status == 0, said
    assert "nothing wrong in" in said


def test_several_processes_share_the_steps() -> None:
    status, said = fuzz("--seed", "1", "--steps", "1500", "--jobs", "3", "--avoid", "collector,nested,nested_thrice,clock")
    assert status == 0, said
    assert "nothing wrong in" in said.splitlines()[0]


@pytest.mark.timeout(600)
def test_it_tells_crashes_hangs_and_losses(tmp_path: Path) -> None:
    """Three programs with a fault of their own, in a world where the places make it."""
    faults = {"crashes": "SEGV", "hangs": "still at work", "loses": "callbacks never ran", "errs": "IndexError"}
    for place, words in faults.items():
        program = tmp_path / place
        program.write_text(repr([(place, [("nothing",)])]))
        limit = "1" if place == "hangs" else "20"  # of seconds, for each of three tries
        status, said = fuzz("--replay", str(program), "--loop", "selector", "--limit", limit, "--failures", "1")
        assert status == 1, said
        assert words in said


def test_programs_depend_on_their_number_alone() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)
    program = max((draw(number) for number in range(20)), key=len)
    assert all(len(repr(part)) < len(repr(program)) for part in smaller(program))
    assert all(action[0] == "nested" for _, actions in draw(3, only=("nested",)) for action in actions)


@pytest.mark.parametrize("name", list(MENDS))
def test_each_mend_is_known_by_a_text_that_is_there(name: str) -> None:
    for file, mended, before in MENDS[name]:
        assert (ROOT / file).read_text().count(mended) == 1, f"{file}: bring mends.py up to date"
        assert mended != before
