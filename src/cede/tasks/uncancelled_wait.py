"""Waiting for what must come to its end: no cancel scope cuts such a wait short, and a cancellation is raised when it is over.

Invariants
----------
* `settle` returns, or raises, when each of the tasks is done, however often the wait is cancelled.
* A cancellation that came meanwhile is raised afterwards; ``cancelling()`` of the task is what others made it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from cede.tasks.cancel_scope import CancelScope
from cede.tasks.wait import wait


class Shelter:
    """``with Shelter():`` keeps the scopes outside away from the block: cede's, and AnyIO's where the program has AnyIO's asyncio backend.
    ``task.cancel()`` and asyncio's own time limits reach it.

    Without the second part a cancelled scope of AnyIO would cancel a wait in the block again in each turn of the loop.
    """

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    def __enter__(self) -> Shelter:
        if asyncio.current_task() is not None:
            self.enter(CancelScope(shield=True))
            theirs = sys.modules.get("anyio._backends._asyncio")
            if theirs is not None:
                self.enter(theirs.CancelScope(shield=True))
        return self

    def enter(self, scope: Any) -> None:
        scope.__enter__()
        self.scopes.append(scope)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self.scopes:
            self.scopes.pop().__exit__(kind, error, trace)


async def settle(tasks: Iterable[Any]) -> None:
    """Wait until each of the tasks is done; what becomes of them is not looked at. Where the wait was cancelled CancelledError is raised,
    afterwards.
    """
    left = [task for task in tasks if not task.done()]
    if not left:
        return
    cancelled: asyncio.CancelledError | None = None
    with Shelter():
        while left:
            try:
                await wait(left)
            except asyncio.CancelledError as request:
                cancelled = request
            left = [task for task in left if not task.done()]
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            cancelled = None  # the error's traceback holds this frame
