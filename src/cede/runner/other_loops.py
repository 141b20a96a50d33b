"""A process that was put on cede and runs another loop all the same says so, once.

Each loop tells asyncio that it runs, by ``_set_running_loop``, and loops of others take that function from asyncio when they are imported.
So it is asked there, once a run; a loop of cede's is known by its class.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events
from types import FrameType
from typing import Any

from cede.core.notice import Notice
from cede.loop.event_loop import EventLoop

# What to do where one of these starts the loop. Its frame is looked for, since the loop itself does not know who chose it.
REMEDIES = {
    "uvicorn": "leave out its --loop (loop=) under `cede run`, or say --loop cede:new_event_loop",
    "uvicorn_worker": 'let the worker\'s CONFIG_KWARGS say "loop": "cede:new_event_loop"',
    "hypercorn": "say --worker-class asyncio",
    "gunicorn": "say --asgi-loop asyncio",
    "granian": "say --loop asyncio",
    "aiohttp": "take the worker class aiohttp.GunicornWebWorker",
}
ELSE = "let it call asyncio.run() or asyncio.new_event_loop() and choose no loop, or give it cede.new_event_loop"

_elsewhere = Notice()


def watch() -> None:
    """From now on a loop that is not cede's is told of when it runs. Any number of times."""
    begin: Any = events._set_running_loop
    if getattr(begin, "_of_cede", False):
        return

    def _set_running_loop(loop: asyncio.AbstractEventLoop | None) -> None:
        """Set the running event loop."""
        begin(loop)
        if loop is not None and not isinstance(loop, EventLoop):
            _elsewhere.say(describe(loop, sys._getframe(1)))

    _set_running_loop._of_cede = True  # type: ignore[attr-defined]
    for module in (events, asyncio):
        if getattr(module, "_set_running_loop", None) is begin:
            module._set_running_loop = _set_running_loop  # type: ignore[attr-defined]


def describe(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> str:
    """The line: which loop runs, who started it, what to do."""
    kind = type(loop)
    owner = kind.__module__.partition(".")[0]
    name = "asyncio's own event loop" if owner == "asyncio" else f"{kind.__module__}.{kind.__qualname__}"
    inner = {"asyncio", "cede", owner} - {"__main__"}
    while frame is not None and package_of(frame) in inner:
        frame = frame.f_back
    where, remedy = "", ELSE
    if frame is not None:
        where = f", started at {frame.f_code.co_filename}:{frame.f_lineno}"
        remedy = REMEDIES.get(package_of(frame), ELSE)
    return f"this process was put on cede but runs {name}{where}: to be on cede's, {remedy}; CEDE_QUIET=1 silences this"


def package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
