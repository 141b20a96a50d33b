"""Nothing that is finished, failed, timed out or cancelled is left in a reference cycle: with the collector off it would stay for ever."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

import cede
from tests.support.endings import BOTH, OURS, Ending

TIMES = 5


def left_by(ending: Ending, of: Any, factory: Any) -> list[str]:
    """The classes of what only the collector would free, after the ending was run `TIMES` times."""

    async def main() -> list[str]:
        await ending(of)  # what is made once
        await asyncio.sleep(0.01)
        gc.collect()
        gc.disable()
        try:
            for _ in range(TIMES):
                await ending(of)
            await asyncio.sleep(0.01)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            found = [type(each).__name__ for each in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        return found

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


@pytest.mark.parametrize("ending", [*BOTH.values(), *OURS.values()], ids=[*BOTH, *OURS])
def test_nothing_is_left(ending: Ending) -> None:
    left = left_by(ending, cede, cede.new_event_loop)
    if left and ending.__name__ in BOTH:  # type: ignore[attr-defined]
        assert len(left) <= len(left_by(ending, asyncio, asyncio.SelectorEventLoop)), left
    else:
        assert not left
