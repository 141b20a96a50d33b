# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Who asked a task to stop, when and why: what a CancelledError says when it is shown.

`Task.note_request` keeps a tuple of references; this module turns it into text when somebody reads it. In debug mode, or if
`loop.slow_cancel_duration` is a number, it also reports a task that goes on all the same.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from typing import Any

from cede.core.task import describe
from cede.core.task.describe import frames_inside

logger = logging.getLogger("asyncio")

# Debug mode reports a task that still runs PATIENCE seconds after a request, if `loop.slow_cancel_duration` is None.
PATIENCE = 5.0


# A request that comes from a file below this folder is shown without its place.
OURS = os.path.dirname(os.path.dirname(os.path.dirname(describe.__file__))) + os.sep


def line_of(code: Any, instruction: int) -> int:
    """The line of an instruction, by its offset in bytes."""
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return int(line)
    return int(code.co_firstlineno)


class CancelRequest:
    """One request to stop, and a note on the CancelledError that it led to. Its text is made when somebody reads it.

    by: the name of the task that asked, or None. when: seconds of the monotonic clock. why: the message, or None. where: "file:line".
    """

    __slots__ = ("_code", "_instruction", "by", "when", "why")

    def __init__(self, noted: tuple[Any, ...]) -> None:
        by, self.when, self.why, self._code, self._instruction = noted
        self.by: str | None = f"Task-{by}" if isinstance(by, int) else by

    @property
    def where(self) -> str | None:
        """The line that called `cancel`; None if that was no Python code, or code of cede."""
        if self._code is None or self._code.co_filename.startswith(OURS):
            return None
        return f"{self._code.co_filename}:{line_of(self._code, self._instruction)}"

    def __str__(self) -> str:
        parts = ["cancelled"]
        if self.by is not None:
            parts.append(f"by {self.by}")
        if self.where is not None:
            parts.append(f"in {self._code.co_qualname}() at {self.where}")
        parts.append(f"{time.monotonic() - self.when:.3f} s ago")
        text = " ".join(parts)
        return text if self.why is None else f"{text}: {self.why}"

    __repr__ = __str__


class Notes(list):  # type: ignore[type-arg]
    """The notes of an error. A request in it becomes text when somebody reads it."""

    def __iter__(self) -> Any:
        return map(text_of, list.__iter__(self))

    def __getitem__(self, index: Any) -> Any:
        found = list.__getitem__(self, index)
        return [text_of(each) for each in found] if isinstance(index, slice) else text_of(found)


def text_of(note: Any) -> Any:
    return str(CancelRequest(note)) if type(note) is tuple else note


def tell(error: Any, noted: Any) -> int:
    """Attach the request `noted` to `error`, whose arguments stay as they are."""
    notes = Notes()
    notes.append(noted)
    error.__notes__ = notes
    return 0


def request_of(error: BaseException) -> CancelRequest | None:
    """The request that led to a CancelledError; None if that is not known."""
    notes = getattr(error, "__notes__", None)
    for note in list.__iter__(notes) if type(notes) is Notes else ():
        if type(note) is tuple:
            return CancelRequest(note)
    return None


def watch(task: Any, noted: tuple[Any, ...]) -> None:
    """Report `task` if it still runs `PATIENCE`, or `loop.slow_cancel_duration`, seconds from now."""
    loop = task.get_loop()
    if not loop.is_closed():
        patience = PATIENCE if loop.slow_cancel_duration is None else loop.slow_cancel_duration
        loop.call_later(patience, report_if_going_on, weakref.ref(task), noted)


def report_if_going_on(reference: Any, noted: tuple[Any, ...]) -> None:
    task = reference()
    if task is None or task.done() or not task.cancelling():
        return
    places = [f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}()" for frame in frames_inside(task.get_coro())]
    where = " > ".join(places) or "a place that is unknown"
    logger.warning(f"Task {task.get_name()!r} was asked to stop and still runs, at {where} ({CancelRequest(noted)})")
