# cython: auto_pickle=False
"""Event: a flag, and who waits until it is up.

Whoever waits when `set` is called goes on, also where `clear` follows before it runs.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import NAMES, begin
from cede.sync import pure
from cede.sync.loop_bound import described
from cede.sync.parking_lot import Waiting
from cede.sync.waitable import Waitable

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED

NAMES["EventWait"] = "Event.wait"


class EventWait(Waiting):
    """``event.wait()``; `argument` is the result."""

    def step(self) -> int:
        event = self.owner
        if self.waiter is not None:
            self.check()
            event.waiting.drop(self)
            self.waiter = None
        elif not event._value:
            return self.stand(event.new_waiter(), event.line())
        self.value = self.argument
        if cython.compiled and type(self) is EventWait:
            self.owner = None
            keep_spare(0, self)  # type: ignore # noqa: F821
        return ENDED

    def release(self) -> int:
        event = self.owner
        event.waiting.drop(self)
        return 0


if cython.compiled:

    def waiting_for(event: Any) -> Any:
        spare = take_spare(0)  # type: ignore # noqa: F821
        return begin(EventWait.__new__(EventWait) if spare is None else spare, event, True)


class Event(Waitable):
    """A flag that tasks can wait for: asyncio.Event's API. Not thread-safe. It starts down."""

    if not cython.compiled:
        _value = False

    def __init__(self) -> None:
        self._value = False

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.Event if type(self) is Event else type(self)

    def is_set(self) -> bool:
        """Whether the flag is up."""
        return bool(self._value)

    def set(self) -> None:
        """Raise the flag: all who wait go on."""
        self.raise_flag()

    def clear(self) -> None:
        """Lower the flag: those who wait from now on wait for the next `set`."""
        self._value = False

    if cython.compiled:

        def wait(self) -> Coroutine[Any, Any, bool]:
            """Wait until the flag is up; at once where it is. The result is True."""
            return waiting_for(self)  # type: ignore[no-any-return]

    def raise_flag(self) -> int:
        if not self._value:
            self._value = True
            if self.waiting is not None:
                self.waiting.wake_all()
        return 0

    def kept(self) -> Any:
        return {"_value": bool(self._value)}

    def __repr__(self) -> str:
        return described(self, "set" if self._value else "unset", self.waiting)


coroutine_methods(Event, wait=pure.wait_for_event)
if not cython.compiled:
    pure.take_part(Event, "wait")
