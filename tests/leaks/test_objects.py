"""With the collector off, a hundred thousand finished tasks leave no object behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import cede

from .census import census, growth, memory, references
from .scenarios import SCENARIOS

COUNT = 100_000
# A few objects come and go with the caches of the interpreter (frames, free lists, a grown dictionary).
NOISE = 30


@pytest.fixture
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()
    gc.collect()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_left(scenario: Callable[[int], Coroutine[Any, Any, None]], collector_off: None) -> None:
    loop = cede.new_event_loop()
    try:
        loop.run_until_complete(scenario(2000))  # fills the caches
        objects, blocks, total = census(), memory(), references()
        loop.run_until_complete(scenario(COUNT))
        left, more_blocks, more = census(), memory() - blocks, references()
        assert growth(objects, left, NOISE) == {}
        assert more_blocks < COUNT / 50, f"{more_blocks} memory blocks more than before"
        if total is not None and more is not None:
            assert more - total < COUNT / 100, f"{more - total} references more than before"
    finally:
        loop.close()


@pytest.mark.slow
def test_a_loop_leaves_nothing(collector_off: None) -> None:
    async def main() -> None:
        await cede.sleep(0)

    def once() -> None:
        loop = cede.new_event_loop()
        loop.run_until_complete(main())
        loop.call_later(3600, print, loop)
        loop.close()

    for _ in range(20):
        once()
    objects, blocks = census(), memory()
    for _ in range(300):
        once()
    assert growth(objects, census(), NOISE) == {}
    assert memory() - blocks < 300


@pytest.mark.slow
def test_run_leaves_nothing(collector_off: None) -> None:
    async def main() -> None:
        await cede.sleep(0)

    for _ in range(20):
        cede.run(main())
    objects = census()
    for _ in range(200):
        cede.run(main())
    assert growth(objects, census(), NOISE) == {}
