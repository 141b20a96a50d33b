"""Nothing is lost, nothing comes twice, and the bound holds; also when it is stopped half-way."""

import re

import pytest

from tests.examples.programs import LOOPS, Program, run


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("producers", "consumers", "items", "size"), [(4, 3, 200, 16), (1, 1, 50, 1), (1, 8, 3, 100), (20, 2, 30, 5)])
def test_totals(loop: str, producers: int, consumers: int, items: int, size: int) -> None:
    shape = {"producers": producers, "consumers": consumers, "items": items, "size": size, "work": 0.1}
    output = run(loop, "pipeline.py", *(word for name, value in shape.items() for word in (f"--{name}", str(value))))
    total = producers * items
    assert f"made {total}, handled {total}, lost 0, twice 0" in output
    handled = [int(count) for count in re.findall(r"consumer \d+ handled (\d+)", output)]
    assert len(handled) == consumers
    assert sum(handled) == total
    waiting = re.search(r"most waiting at once: (\d+)", output)
    assert waiting is not None
    assert int(waiting[1]) <= size


@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_works_off_what_was_made(loop: str) -> None:
    with Program(loop, "pipeline.py", "--items", "1000000000") as program:
        program.expect("3 consumers")
        program.interrupt()
        program.expect("working off")
        made = program.expect(r"made (\d+), handled (\d+), lost 0, twice 0")
        assert made[1] == made[2]
        program.ended_cleanly()


def test_arguments() -> None:
    assert "--producers" in run("asyncio", "pipeline.py", "--help")
    assert "must be a whole number from 1" in run("asyncio", "pipeline.py", "--size", "0", status=2)
