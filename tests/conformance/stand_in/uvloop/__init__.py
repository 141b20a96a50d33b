"""Stands for uvloop in front of suites that ask for it: the loop it makes is the one that is tested."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from conformance import loops

SOURCES = os.environ.get("CEDE_CONFORMANCE_UVLOOP")
if SOURCES:
    __path__.append(os.path.join(SOURCES, "uvloop"))  # uvloop's own sources hold what its tests share, in `uvloop._testbase`

Loop = loops.loop_class(loops.chosen())
__version__ = loops.version_of(loops.chosen())


def new_event_loop() -> asyncio.AbstractEventLoop:
    return Loop()


def run(main: Any, *, loop_factory: Any = new_event_loop, debug: bool | None = None) -> Any:
    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        return runner.run(checked(main))


async def checked(main: Any) -> Any:
    if not isinstance(asyncio.get_running_loop(), Loop):
        raise TypeError("uvloop.run() uses a non-uvloop event loop")
    return await main


def __getattr__(name: str) -> Any:
    if name != "EventLoopPolicy":
        raise AttributeError(name)
    base: Any = getattr(asyncio, "DefaultEventLoopPolicy", None) or asyncio.events._DefaultEventLoopPolicy  # type: ignore[attr-defined]

    class EventLoopPolicy(base):  # type: ignore[misc]
        _loop_factory = Loop

    globals()["EventLoopPolicy"] = EventLoopPolicy
    return EventLoopPolicy
