"""What the table says must hold on any machine, however slow: it is compared with itself, not with a clock."""

import re

import pytest

from tests.examples.programs import LOOPS, run


@pytest.mark.parametrize("loop", LOOPS)
def test_table(loop: str) -> None:
    output = run(loop, "fairness.py", "--seconds", "0.3", "--interval", "0.002")
    ticks = {}
    for line in output.splitlines():
        if row := re.match(r"(\S.*?) +(\d+) +(-?[\d.]+) +(\d+)$", line):
            ticks[row[1]] = int(row[2])
    names = list(ticks)
    assert names[0] == "never gives way"
    assert re.fullmatch(r"sleep\(0\) every \d+ steps", names[1])
    assert names[2:] == ["sleep(0) at every step", "in a thread"]
    assert ticks["never gives way"] == 0
    assert ticks[names[1]] > 0
    assert ticks["sleep(0) at every step"] > 0


def test_arguments() -> None:
    assert "--interval" in run("asyncio", "fairness.py", "--help")
    assert "must be above 0" in run("asyncio", "fairness.py", "--seconds", "0", status=2)
