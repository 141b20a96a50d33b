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
inbox      ``post(item)``, on any thread but the loop's: keep this. ``take()``, on the loop's thread: a list of
           what was posted and is to be run now, each item once, in that order; the rest is kept. It is asked in the
           turns behind a post, and behind a call of the function that ``attach(notify)`` got, if the inbox has that
           method: who keeps something back calls it, on any thread, when there is something to take.
offload    ``submit(kind, function, *args)``: have ``function(*args)`` called, where and when it likes, and return a
           ``concurrent.futures.Future`` for that. `kind` is "job" (``run_in_executor(None, ...)``), "name" (a look-up
           in the system's resolver) or "child" (which waits for the end of a child process).
=========  =========================================================================================================

If an order fails, or returns something else, the loop calls its exception handler, and that turn runs first in, first out: nothing is
lost. It does the same if an inbox fails, whose items stay posted. A clock that fails ends the run, because without one the loop does not
know how long to sleep.
"""

from __future__ import annotations

import weakref
from typing import Any

from cede.core.scheduler.inbox import Inbox
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


class PythonInbox(Inbox):
    """An inbox of the program's. Nothing is run but what was posted and has not been given out before, whatever it says."""

    def __init__(self, inbox: Any, driver: Any) -> None:
        Inbox.__init__(self, driver)
        self.inbox = inbox
        self.kernel: Any = None
        self.posted: dict[int, Any] = {}  # by their addresses: what the program's inbox has
        self.arrived: list[Any] = []  # what it gave out

    def attach(self, kernel: Any) -> int:
        self.kernel = weakref.ref(kernel)
        if has_method(self.inbox, "attach"):
            self.inbox.attach(self.notify)
        return 0

    def notify(self) -> None:
        """There is something to take. Any thread."""
        self.ring()

    def post(self, item: Any) -> None:
        self.posted[id(item)] = item
        try:
            self.inbox.post(item)
        except BaseException:
            self.posted.pop(id(item), None)
            raise
        self.ring()

    def take_all(self) -> list[Any]:
        self.pending = False
        try:
            for item in list(self.inbox.take()):
                if id(item) not in self.posted:
                    raise ValueError(f"inbox.take() must return what was posted, each item once, got {item!r}")
                self.arrived.append(item)
                del self.posted[id(item)]
        except (KeyboardInterrupt, SystemExit):
            self.pending = True
            raise
        except BaseException as error:
            loop = self.kernel()
            if loop is not None:
                message = "inbox.take() has failed: what it has not given out stays posted"
                loop.call_exception_handler({"message": message, "exception": error})
        taken, self.arrived = self.arrived, []
        return taken

    def spin(self, seconds: float) -> bool:
        return False

    def drop(self) -> int:
        there = len(self.posted) + len(self.arrived)
        posted, self.posted = self.posted, {}
        arrived, self.arrived = self.arrived, []
        posted.clear()
        arrived.clear()
        return there


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


def inbox_port(inbox: Any, driver: Any) -> Any:
    """What the kernel calls for `inbox`, a loop's argument. Raises TypeError for what is none."""
    if inbox is None:
        return Inbox(driver)
    return PythonInbox(check_inbox(inbox), driver)


def check_inbox(inbox: Any) -> Any:
    """`inbox`. Raises TypeError for what is none."""
    if inbox is not None and not (has_method(inbox, "post") and has_method(inbox, "take")):
        raise TypeError(f"inbox must be None or an object with the methods post(item) and take(), got {inbox!r}")
    return inbox


def check_offload(offload: Any) -> Any:
    """`offload`. Raises TypeError for what is none."""
    if offload is not None and not has_method(offload, "submit"):
        raise TypeError(f"offload must be None or an object with a method submit(kind, function, *args), got {offload!r}")
    return offload


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
