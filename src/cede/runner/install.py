"""Puts asyncio on cede for a whole process: whoever asks asyncio for a new event loop gets a cede loop.

Up to Python 3.15 the question passes through the event loop policy, whose public names are deprecated since 3.14; later Pythons have
no policy, and the functions that make loops are replaced instead.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import sys
from collections.abc import Callable
from typing import Any

Factory = Callable[[], asyncio.AbstractEventLoop]


def install(factory: Factory) -> None:
    """From now on asyncio.run, Runner, new_event_loop and the policy, where there is one, make their loops with `factory`."""
    events: Any = asyncio.events
    if sys.version_info < (3, 14):
        base: Any = asyncio.DefaultEventLoopPolicy
        set_policy = asyncio.set_event_loop_policy
    else:
        # The default policy under its private name, because asking for the public one is what is deprecated.
        base = getattr(sys.modules.get("asyncio.unix_events", asyncio), "_DefaultEventLoopPolicy", None)
        set_policy = getattr(events, "_set_event_loop_policy", None)
    if base is None or set_policy is None:
        replace_functions(factory)
        return

    class CedePolicy(base):  # type: ignore[misc]
        """The default policy, with cede's loops."""

        def _loop_factory(self) -> asyncio.AbstractEventLoop:
            return factory()

        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return factory()

    set_policy(CedePolicy())


def replace_functions(factory: Factory) -> None:
    """For a Python without policies: `new_event_loop` itself, in each place that asyncio's own modules look it up."""
    original = asyncio.events.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """Create and return a new event loop: one of cede's, in this process."""
        return factory()

    for name, module in list(sys.modules.items()):
        if (name == "asyncio" or name.startswith("asyncio.")) and getattr(module, "new_event_loop", None) is original:
            module.new_event_loop = new_event_loop  # type: ignore[attr-defined]
