"""What the tests of transports share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clocks import slow_down
from tests.support.driver_worlds import World


@pytest.fixture
def steps_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is too long, however long the machine does something else."""
    monkeypatch.setattr(World, "run", lambda world, main, **options: run(world, lambda: by_slow_clock(main), **options))


run = World.run


async def by_slow_clock(main: Callable[[], Any]) -> Any:
    slow_down(asyncio.get_running_loop())
    return await main()
