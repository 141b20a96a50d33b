"""Looking at a stack that is suspended."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import Any

from cede.core import stdlib
from cede.stackful.coroutine import StackCoroutine


@dataclass(frozen=True)
class SavedStack:
    """A stackful coroutine at this moment.

    ``entry`` is its function; ``state`` is "fresh", "running", "suspended" or "over"; ``frames`` are those of the suspended function,
    outermost first, empty unless it is suspended; ``awaiting`` is what it waits for, or None.
    """

    entry: Any
    state: str
    frames: tuple[FrameType, ...]
    awaiting: Any

    def format(self) -> str:
        """The frames as a traceback shows them, most recent call last."""
        return "".join(traceback.StackSummary.extract((frame, frame.f_lineno) for frame in self.frames).format())


def saved_stack(task: asyncio.Task[Any] | StackCoroutine) -> SavedStack:
    """What a task made by `spawn`, or a stackful coroutine, is doing. Raises TypeError for any other."""
    coroutine: Any = task if isinstance(task, StackCoroutine) else task.get_coro() if isinstance(task, stdlib.Task) else None
    if not isinstance(coroutine, StackCoroutine):
        raise TypeError(f"a task made by stackful.spawn(), or a stackful coroutine, is expected, not {task!r}")
    frames: list[FrameType] = []
    frame = coroutine.cr_frame
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return SavedStack(coroutine.entry, coroutine.phase, tuple(reversed(frames)), coroutine.cr_await)
