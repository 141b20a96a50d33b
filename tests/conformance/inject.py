"""Puts a loop in the place of asyncio's own, for everything in this process that asks asyncio for one."""

from __future__ import annotations

import asyncio
import sys
from asyncio import base_events, events, selector_events, unix_events
from pathlib import Path
from typing import Any

from . import loops

PACKAGES = Path(__file__).resolve().parents[1]


class LoggerInForce:
    """Stands for asyncio's logger in a module of ours. Tests replace it where asyncio keeps it, and mean whoever logs."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        for module in (base_events, unix_events, selector_events):
            if module.logger is not self._real:  # type: ignore[attr-defined]
                return getattr(module.logger, name)  # type: ignore[attr-defined]
        return getattr(self._real, name)


def policy_class() -> Any:
    named = getattr(unix_events, "_UnixDefaultEventLoopPolicy", None)  # by this name on every version so far
    return named or asyncio.DefaultEventLoopPolicy


def install(name: str) -> type[asyncio.AbstractEventLoop]:
    """From now on ``asyncio.new_event_loop()``, ``asyncio.run()`` and asyncio's class names give the loop `name`."""
    cls = loops.loop_class(name)
    if name == "asyncio":
        return cls
    for module in (asyncio, unix_events):
        for alias in ("SelectorEventLoop", "EventLoop"):
            if hasattr(module, alias):
                setattr(module, alias, cls)
    policy_class()._loop_factory = cls
    events._set_running_loop(None)
    if name == loops.OURS:
        replace_loggers()
    return cls


# Elsewhere the suite uses its own loop with a virtual clock to look at transports of asyncio's, which enter descriptors that do not exist.
WITH_VIRTUAL_CLOCK = ("test_tasks", "test_futures")


def install_for_suite(name: str, module: str) -> None:
    """As `install`, and what CPython's suite takes from elsewhere: its own loop with a virtual clock, and asyncio's base class."""
    from test.test_asyncio import utils  # before anything is replaced: its classes derive from asyncio's

    cls = install(name)
    if name == loops.OURS and module in WITH_VIRTUAL_CLOCK:
        from .virtual import VirtualLoop

        utils.TestLoop = VirtualLoop
    if name != "asyncio" and module == "test_base_events":
        base_events.BaseEventLoop = cls  # type: ignore[assignment, misc]


def replace_loggers() -> None:
    stand = LoggerInForce(asyncio.log.logger)
    for name, module in list(sys.modules.items()):
        if name.startswith("cede.") and getattr(module, "logger", None) is asyncio.log.logger:
            module.logger = stand  # type: ignore[attr-defined]


def in_children(module: Any, name: str) -> None:
    """Have Python programs that the tests of `module` start through ``assert_python_ok("-c", code)`` begin with `install`."""
    start = getattr(module, "assert_python_ok", None)
    if start is None or name == "asyncio":
        return

    def start_on_our_loop(*args: str, **environment: Any) -> Any:
        words = list(args)
        place = words.index("-c") + 1
        begin = f"import sys; sys.path.insert(0, {str(PACKAGES)!r}); from conformance.inject import install; install({name!r})"
        words[place] = f"{begin}\n{words[place]}"
        return start(*words, **environment)

    module.assert_python_ok = start_on_our_loop
