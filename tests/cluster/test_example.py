"""The example as a user runs it."""

from __future__ import annotations

import pytest

from tests.examples.programs import run

pytest.importorskip("distributed", reason="distributed is not installed: `make test-cluster` brings it")


@pytest.mark.slow
def test_the_example_survives_a_killed_worker() -> None:
    lines = run("asyncio", "cluster.py", "--pieces", "20", "--size", "500").splitlines()
    assert lines[0].startswith("10 of 20 ranges are counted: process ")
    assert lines[1].startswith("20 of 20 ranges are counted, by ")
    assert lines[2] == "1229 primes below 10000, as 1229 are counted here"


def test_arguments() -> None:
    assert "--pieces" in run("asyncio", "cluster.py", "--help")
    assert "whole numbers from 1" in run("asyncio", "cluster.py", "--pieces", "0", status=2)
