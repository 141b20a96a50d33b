"""In which order a loop runs things: what was ready, what the poll brought, timers, and a turn later what these woke. asyncio says how."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.order.stage import SCENES, Stage, play
from tests.support.driver_worlds import OURS, WORLDS, World

each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

ORACLE = WORLDS[-1]

for path in sorted(Path(__file__).with_name("scenes").glob("*.py")):
    importlib.import_module(f"tests.order.scenes.{path.stem}")  # enters its scenes


@each_of_ours
@pytest.mark.parametrize("name", SCENES)
def test_the_order_is_asyncios(world: World, name: str) -> None:
    assert play(world, SCENES[name]) == play(ORACLE, SCENES[name])


@each_of_ours
@pytest.mark.parametrize("name", SCENES)
def test_the_order_is_the_same_in_debug_mode(world: World, name: str) -> None:
    def debugged(stage: Stage) -> None:
        stage.loop.set_debug(True)
        stage.loop.slow_callback_duration = 3600.0
        SCENES[name](stage)

    assert play(world, debugged) == play(ORACLE, SCENES[name])
