"""The examples of plain functions as coroutines."""

from __future__ import annotations

import pytest

from tests.examples.programs import LOOPS, run

pytest.importorskip("greenlet", reason="greenlet is not to be had for this Python")


@pytest.mark.parametrize("loop", LOOPS)
def test_an_orm_that_is_not_async_runs_over_an_async_driver(loop: str) -> None:
    pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    pytest.importorskip("aiosqlite", reason="aiosqlite is not installed")
    lines = run(loop, "orm.py", "--authors", "4").splitlines()
    assert lines[:4] == [f"author {number:03}: volume 1, volume 2, volume 3" for number in range(4)]
    assert lines[4:] == ["the loop went on meanwhile"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_plain_parser_serves_fifty_clients(loop: str) -> None:
    assert run(loop, "redis_like.py").splitlines()[1:] == ["50 of 50 clients got their own answers, 0 keys are left"]
