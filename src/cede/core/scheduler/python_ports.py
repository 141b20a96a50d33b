"""Ports that are written in Python: the kernel wraps each in a shell that it can call.

A compiled kernel calls its ports in C, and its hot classes have no methods that Python could override: checking whether a method is
overridden would cost more than the call. So a program passes a port of its own as a plain object, and the kernel wraps it:

=========  =========================================================================================================
port       its methods
=========  =========================================================================================================
clock      ``time()``: seconds since a moment that stays the same; never less than before.
order      ``arrange(batch)``: the list `batch` holds what is ready at the beginning of a turn, in the order in which it
           would run. The answer is an iterable of the same items, each once, in the order in which they run. What
           becomes ready meanwhile runs in the next turn. An item is a task, a handle, or something of cede's own (the
           driver, for the events of one poll); it may be looked at and compared, and is left as it is.
=========  =========================================================================================================

If an order fails, or returns something else, the loop calls its exception handler, and that turn runs first in, first out: nothing is
lost. A clock that fails ends the run, because without one the loop does not know how long to sleep.
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
    """The shell of a program's clock."""

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
    """The shell of a program's order."""

    def __init__(self, order: Any) -> None:
        self.order = order

    def arranged(self, batch: list[Any]) -> Any:
        return self.order.arrange(batch)


def clock_port(clock: Any) -> Any:
    """The port that the kernel calls for `clock`, a loop's argument. Raises TypeError if it is no clock."""
    if clock is None:
        return None
    if has_method(clock, "time"):
        return PythonClock(clock)
    if isinstance(clock, ClockPort):
        return clock
    raise TypeError(f"clock must be None or an object with a method time(), got {clock!r}")


def order_port(order: Any) -> Any:
    """The port that the kernel calls for `order`, a loop's argument. Raises TypeError if it is no order."""
    if order is None:
        return None
    if has_method(order, "arrange"):
        return PythonOrder(order)
    if isinstance(order, OrderPort):
        return order
    raise TypeError(f"order must be None or an object with a method arrange(batch), got {order!r}")


def own_port(port: Any) -> Any:
    """The object that the program passed: the content of the shell, or the port itself."""
    return port.order if isinstance(port, PythonOrder) else port
