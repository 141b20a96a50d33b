"""Which driver a new loop gets, and whose tasks it makes."""

from __future__ import annotations

import os
from typing import Any

from cede.core.scheduler.coop import limit_of
from cede.core.scheduler.ports import DriverPort
from cede.core.task.factory import stock_task_factory

NAMES = ("epoll", "selector")
VARIABLE = "CEDE_DRIVER"
TASKS = "CEDE_TASKS"
FAIR = "CEDE_FAIR"


def make_driver(name: str | None = None) -> Any:
    """A new driver: `name`, or what the environment variable CEDE_DRIVER says, or epoll where it is compiled in, else
    selector.

    Raises ValueError for an unknown name, RuntimeError where epoll was asked for and is not there.
    """
    asked_by = "driver"
    if name is None:
        name = os.environ.get(VARIABLE) or None
        asked_by = VARIABLE
    if name is None or name == "epoll":
        try:
            from cede.drivers.epoll.driver import EpollDriver
        except ImportError as error:
            if name == "epoll":
                raise RuntimeError(
                    f"{asked_by} asks for the epoll driver, which this install does not have (it is compiled, and for Linux): {error}"
                ) from error
        else:
            return EpollDriver()
    elif name != "selector":
        raise ValueError(f"{asked_by} must be one of {', '.join(NAMES)}, got {name!r}")
    from cede.drivers.selector.driver import SelectorDriver

    return SelectorDriver()


def as_driver(driver: Any) -> Any:
    """`driver`, in a shell where it is a plain object. Raises TypeError for what is no driver."""
    if isinstance(driver, DriverPort):
        return driver
    from cede.drivers.python_driver import shell_of  # seldom used, so loaded when it is

    return shell_of(driver)


def driver_names() -> list[str]:
    """The drivers that this install has, the default one first."""
    try:
        import cede.drivers.epoll.driver  # noqa: F401
    except ImportError:
        return ["selector"]
    return list(NAMES)


def choose_task_factory(name: str | None = None) -> Any:
    """The task factory of a new loop: `name`, or what the environment variable CEDE_TASKS says, which is "cede" (None is returned, for
    our own tasks) or "asyncio" (for asyncio's).

    Raises ValueError for an unknown name.
    """
    asked_by = "tasks"
    if name is None:
        name = os.environ.get(TASKS) or None
        asked_by = TASKS
    if name is None or name == "cede":
        return None
    if name != "asyncio":
        raise ValueError(f"{asked_by} must be 'cede' or 'asyncio', got {name!r}")
    return stock_task_factory


def choose_limit(fair: Any = None) -> int:
    """How many awaits a step of a task may do on a new loop, 0 for as many as it likes: what `fair` means, or the environment variable
    CEDE_FAIR, which is "on", "off" or a number.

    Raises TypeError or ValueError for what means none of that.
    """
    if fair is not None:
        return limit_of(fair)
    said = os.environ.get(FAIR, "").strip().lower()
    if said in ("", "off", "0"):
        return 0
    if said == "on":
        return limit_of(True, FAIR)
    if not said.isdecimal():
        raise ValueError(f"{FAIR} must be 'on', 'off' or a number of awaits, got {said!r}")
    return limit_of(int(said), FAIR)
