"""Puts asyncio on cede for a whole process: whoever asks asyncio for a new event loop gets a cede loop, and asyncio's locks, queues,
groups, streams and their kin are cede's.

Up to Python 3.15 the question passes through the event loop policy, whose public names are deprecated since 3.14; later Pythons have
no policy, and the functions that make loops are replaced instead.
"""

from __future__ import annotations

import asyncio
import asyncio.events
import sys
from collections.abc import Callable
from typing import Any

# What programs take from asyncio and cede has of its own. Not among them: loops, policies and `run`, which go by what makes a loop; tasks,
# futures and handles, which the loop makes; and what is the same object.
SWAPPED = (
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "Semaphore",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "TaskGroup",
    "Timeout",
    "as_completed",
    "capture_call_graph",
    "create_eager_task_factory",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "create_task",
    "eager_task_factory",
    "ensure_future",
    "format_call_graph",
    "gather",
    "open_connection",
    "open_unix_connection",
    "print_call_graph",
    "shield",
    "sleep",
    "start_server",
    "start_unix_server",
    "timeout",
    "timeout_at",
    "wait",
    "wait_for",
)

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


def swap_names() -> None:
    """Put cede's objects in the place of asyncio's, wherever asyncio's own modules show them.

    Names that this version of asyncio does not have stay missing, since programs look for them to learn the version.
    """
    import cede

    pairs = [(getattr(asyncio, name), getattr(cede, name)) for name in SWAPPED if hasattr(asyncio, name)]
    pairs += [(getattr(asyncio.subprocess, name), getattr(cede.subprocess, name)) for name in ("Process", "SubprocessStreamProtocol")]
    ours = {id(stock): own for stock, own in pairs if stock is not own}
    for module_name, module in list(sys.modules.items()):
        if module_name == "asyncio" or module_name.startswith("asyncio."):
            for name, value in list(vars(module).items()):
                own = ours.get(id(value))
                if own is not None:
                    setattr(module, name, own)


def accelerate() -> None:
    """Put asyncio on cede, in this process, from now on: event loops that asyncio is asked for are cede's, and so are its locks, queues,
    groups, time limits, streams and subprocesses. As ``cede run`` does before the program starts; `cede.run` alone never does.

    Call it first thing: a module that did ``from asyncio import Queue`` before keeps asyncio's. May be called twice.
    """
    from cede.tools.runner import new_event_loop

    install(new_event_loop)
    swap_names()
