"""Ports that are written in Python: each stands in a shell that the kernel can call.

The kernel calls its ports by C where it is compiled, and its hot classes have no methods that Python could override: to look whether one
is overridden would cost each call more than the call. So whoever brings a port of his own brings a plain object, and the kernel wraps it:

=========  =========================================================================================================
port       its methods
=========  =========================================================================================================
clock      ``time()``: seconds since a moment that stays the same; never less than before.
order      ``arrange(batch)``: the list `batch` holds what is ready at the beginning of a turn, in the order in which it
           would run. The answer is an iterable of the same items, each once, in the order in which they run. What
           becomes ready meanwhile runs in the next turn. An item is a task, a handle, or something of cede's own (the
           driver, for the events of one poll); it may be looked at and compared, and is left as it is.
=========  =========================================================================================================

An order that fails, or answers with something else, is reported by the loop's exception handler, and that turn runs first in, first out:
nothing is lost. A clock that fails ends the run, for without one the loop does not know how long to sleep.
"""

from __future__ import annotations

from typing import Any

from cede.core.scheduler.ports import ClockPort, OrderPort

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import real_number


def has_method(port: Any, name: str) -> bool:
    return callable(getattr(port, name, None))


class PythonClock(ClockPort):
    """A clock of the program's."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock

    def seconds(self) -> float:
        told = self.clock.time()
        try:
            seconds: float = told if cython.compiled else real_number(told)
        except TypeError:
            raise TypeError(f"clock.time() must return a number of seconds, got {told!r}") from None
        if seconds != seconds:
            raise ValueError("clock.time() must return a number of seconds, got NaN")
        return seconds


class PythonOrder(OrderPort):
    """An order of the program's."""

    def __init__(self, order: Any) -> None:
        self.order = order

    def arranged(self, batch: list[Any]) -> Any:
        return self.order.arrange(batch)


def clock_port(clock: Any) -> Any:
    """What the kernel calls for `clock`, a loop's argument. Raises TypeError for what is none."""
    if clock is None:
        return None
    if has_method(clock, "time"):
        return PythonClock(clock)
    if isinstance(clock, ClockPort):
        return clock
    raise TypeError(f"clock must be None or an object with a method time(), got {clock!r}")


def order_port(order: Any) -> Any:
    """What the kernel calls for `order`, a loop's argument. Raises TypeError for what is none."""
    if order is None:
        return None
    if has_method(order, "arrange"):
        return PythonOrder(order)
    if isinstance(order, OrderPort):
        return order
    raise TypeError(f"order must be None or an object with a method arrange(batch), got {order!r}")


def own_port(port: Any) -> Any:
    """What the program has given: what stands in the shell, or the port itself."""
    return port.order if isinstance(port, PythonOrder) else port
