"""Generator coroutines take their turns in order."""

import pytest

from tests.examples.programs import LOOPS, run


@pytest.mark.parametrize("loop", LOOPS)  # it brings its own loop, so both commands do the same
def test_turns(loop: str) -> None:
    assert run(loop, "round_robin.py", "ann:3", "ben:1", "cid:2").splitlines() == [
        "ann 1",
        "ben 1",
        "cid 1",
        "ann 2",
        "cid 2",
        "ann 3",
        "ann is done",
        "ben is done",
        "cid is done",
        "3 played",
    ]


def test_a_player_without_a_turn() -> None:
    assert run("cede", "round_robin.py", "ann:0", "ben:1").splitlines() == [
        "ben 1",
        "ann is done",
        "ben is done",
        "2 played",
    ]


def test_arguments() -> None:
    assert "NAME:TURNS" in run("cede", "round_robin.py", "--help")
    assert "'ann' is not NAME:TURNS" in run("cede", "round_robin.py", "ann", status=2)
