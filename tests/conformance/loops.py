"""The loops that suites are run on, each as a class that can be put where asyncio keeps its own."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import os
import selectors
import sys
from typing import Any

LOOPS = ("cede", "asyncio", "uvloop", "rloop", "zuvloop")
OURS = "cede"
VARIABLE = "CEDE_CONFORMANCE_SUBJECT"

_names = {"uvloop": "Loop", "rloop": "RLoop", "zuvloop": "EventLoop"}


def chosen() -> str:
    """The loop that the environment asks for."""
    name = os.environ.get(VARIABLE, OURS)
    if name not in LOOPS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(LOOPS)}, got {name!r}")
    return name


def loop_class(name: str) -> type[asyncio.AbstractEventLoop]:
    """The class of that loop, which takes a selector as asyncio's does. Raises ImportError where it is not installed."""
    if name == "asyncio":
        return asyncio.SelectorEventLoop
    return cede_class() if name == OURS else peer_class(name)


def cede_class() -> type[asyncio.AbstractEventLoop]:
    import cede
    from cede.drivers.selector.driver import SelectorDriver

    class CedeLoop(cede.EventLoop):
        """cede on its default driver; given a selector that is no epoll, on the driver that waits with that."""

        def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
            if selector is None or isinstance(selector, selectors.EpollSelector):
                super().__init__()
                if selector is not None:
                    selector.close()
            else:
                super().__init__(driver=SelectorDriver(selector))

    return CedeLoop


def peer_class(name: str) -> type[asyncio.AbstractEventLoop]:
    module: Any = find_module(name)
    base: Any = getattr(module, _names[name])

    class PeerLoop(base):  # type: ignore[misc]
        """It has a way of its own to wait: a selector is closed unused."""

        _default_executor = None  # CPython's suite asks each loop for it when it cleans up

        def __new__(cls, selector: Any = None) -> Any:
            return base.__new__(cls)

        def __init__(self, selector: Any = None) -> None:
            super().__init__()
            if selector is not None:
                selector.close()

    return PeerLoop


def find_module(name: str) -> Any:
    """The installed package of that name, also where a stand-in of that name comes first on the path."""
    if name != "uvloop":
        return importlib.import_module(name)
    from . import standing_in

    with standing_in.stepped_aside():
        return importlib.import_module(name)


def version_of(name: str) -> str:
    """The version of the installed loop. Raises ImportError where it is not installed."""
    if name == "asyncio":
        return sys.version.split()[0]
    if name == OURS:
        import cede

        return str(cede.__version__)
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError(f"{name} is not installed") from error


def build_of(name: str) -> str:
    """How cede is installed, ``compiled`` or ``pure``; "" for any other loop."""
    if name != OURS:
        return ""
    from cede.core.task import task

    return "pure" if (task.__file__ or "").endswith(".py") else "compiled"
