"""Starting: `run`, `Runner` and `new_event_loop`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from cede.loop.choice import make_driver
from cede.loop.event_loop import EventLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def new_event_loop(*, driver: str | None = None) -> EventLoop:
    """A new event loop.

    driver: "epoll" (the default where it is compiled in) or "selector" (works everywhere). None asks the environment
    variable CEDE_DRIVER first. Raises ValueError for an unknown name, RuntimeError where this install does not have the
    driver.
    """
    return EventLoop(make_driver(driver))


class Runner(asyncio.Runner):  # type: ignore[misc]
    """asyncio.Runner, which makes a cede loop unless `loop_factory` says otherwise.

    debug: True or False sets the loop's debug mode; None leaves it to the environment.
    """

    def __init__(self, *, debug: bool | None = None, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
        super().__init__(debug=debug, loop_factory=new_event_loop if loop_factory is None else loop_factory)


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run the coroutine `main` on a new loop, then close that: pending tasks are cancelled, generators and threads
    ended.

    Raises ValueError if `main` is no coroutine, RuntimeError where a loop runs on this thread already.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("cede.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
