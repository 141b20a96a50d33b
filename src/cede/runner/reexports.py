"""What cede takes over from asyncio as it is, so that ``import cede as asyncio`` finds it.

Interfaces, exceptions and questions about the running loop mean the same to both. What stands in neither `__all__` here nor in cede itself
is looked up in asyncio when somebody asks (`fallback`): submodules such as ``asyncio.subprocess``, what asyncio means to remove, and what a
later version may bring.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop as AbstractEventLoop
from asyncio import AbstractServer as AbstractServer
from asyncio import BaseProtocol as BaseProtocol
from asyncio import BaseTransport as BaseTransport
from asyncio import BufferedProtocol as BufferedProtocol
from asyncio import CancelledError as CancelledError
from asyncio import DatagramProtocol as DatagramProtocol
from asyncio import DatagramTransport as DatagramTransport
from asyncio import IncompleteReadError as IncompleteReadError
from asyncio import InvalidStateError as InvalidStateError
from asyncio import LimitOverrunError as LimitOverrunError
from asyncio import Protocol as Protocol
from asyncio import ReadTransport as ReadTransport
from asyncio import SendfileNotAvailableError as SendfileNotAvailableError
from asyncio import SubprocessProtocol as SubprocessProtocol
from asyncio import SubprocessTransport as SubprocessTransport
from asyncio import Transport as Transport
from asyncio import WriteTransport as WriteTransport
from asyncio import all_tasks as all_tasks
from asyncio import current_task as current_task
from asyncio import get_event_loop as get_event_loop
from asyncio import get_running_loop as get_running_loop
from asyncio import iscoroutine as iscoroutine
from asyncio import isfuture as isfuture
from asyncio import run_coroutine_threadsafe as run_coroutine_threadsafe
from asyncio import set_event_loop as set_event_loop
from typing import Any

from cede.core.task.wrap import wrap_future as wrap_future

TimeoutError = asyncio.TimeoutError

__all__ = [
    "AbstractEventLoop",
    "AbstractServer",
    "BaseProtocol",
    "BaseTransport",
    "BufferedProtocol",
    "CancelledError",
    "DatagramProtocol",
    "DatagramTransport",
    "IncompleteReadError",
    "InvalidStateError",
    "LimitOverrunError",
    "Protocol",
    "ReadTransport",
    "SendfileNotAvailableError",
    "SubprocessProtocol",
    "SubprocessTransport",
    "TimeoutError",
    "Transport",
    "WriteTransport",
    "all_tasks",
    "current_task",
    "get_event_loop",
    "get_running_loop",
    "iscoroutine",
    "isfuture",
    "run_coroutine_threadsafe",
    "set_event_loop",
    "wrap_future",
]

# Not for programs, but asyncio exports them all the same.
PRIVATE = frozenset(
    ("_enter_task", "_get_running_loop", "_leave_task", "_register_task", "_set_running_loop", "_unregister_task", "_swap_current_task")
)


def fallback(name: str) -> Any:
    """asyncio's object of that name. Raises AttributeError, in cede's name, where it has none."""
    if not name.startswith("_") or name in PRIVATE:
        try:
            return getattr(asyncio, name)
        except AttributeError:
            pass
    raise AttributeError(f"module 'cede' has no attribute {name!r}")
