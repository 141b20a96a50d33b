"""The loops that programs run on: asyncio's, and cede's with either driver, each with a clock that is stepped.

The names that programs use are asyncio's: its own, or, in a process that was accelerated, cede's.

What is done to asyncio here takes away what depends on memory addresses or real time, and nothing else:

* its selector never sleeps, for the clock does not go on meanwhile;
* its task group keeps the order in which tasks came, in which cede's cancels them too: a plain set has none.

One thing differs on purpose: its condition hands a notification on where who got it is cancelled, as it does since Python 3.13, but wakes
no other one where a waiter is cancelled that nobody has notified.

Before Python 3.13 its task group also learns what it does since then, and cede's on every version: it takes back what it asked of its task
while that waited for the others, and a task that somebody else has cancelled is cancelled again behind the errors. Before 3.14 its TLS
transport learns to say that it closes where the transport underneath does, after a failure for one.
"""

from __future__ import annotations

import asyncio
import functools
import math
import selectors
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .clock import TIE, Clock

WAYS = ("alone", "names")


class NeverSleeping:
    """A selector that looks, and never sleeps.

    What one look finds is told in one of its orders: `orders` says in which, for each look that finds several events; 0 is the order of
    the descriptors. `met` is of such looks how many orders there were, and where the log was.
    """

    def __init__(self, orders: Sequence[int] = ()) -> None:
        self.inner = selectors.DefaultSelector()
        self.orders = orders
        self.met: list[tuple[int, int]] = []
        self.position: Callable[[], int] = int

    def select(self, timeout: float | None = None) -> Any:
        found = self.inner.select(0)
        if len(found) > 1:
            found.sort(key=lambda pair: pair[0].fd)
            at = len(self.met)
            self.met.append((math.factorial(len(found)), self.position()))
            if at < len(self.orders):
                found = ordered(found, self.orders[at])
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def ordered(things: list[Any], order: int) -> list[Any]:
    """One of the orders of these things, by number."""
    left = list(things)
    made = []
    while left:
        order, at = divmod(order, len(left))
        made.append(left.pop(at))
    return made


class Oracle(asyncio.SelectorEventLoop):
    """asyncio's loop."""

    def __init__(self, clock: Clock, orders: Sequence[int] = ()) -> None:
        self.stepped = clock
        self.looks = NeverSleeping(orders)
        super().__init__(self.looks)  # type: ignore[arg-type]
        self._clock_resolution = TIE / 64  # what is due at the very time of the clock is due

    def time(self) -> float:
        return self.stepped.time()


@functools.cache
def kind_of_cede() -> Any:
    """cede's loop, with a clock that is stepped."""
    from cede.loop.event_loop import EventLoop

    class Ours(EventLoop):
        stepped: Clock

        def time(self) -> float:
            return self.stepped.time()

    return Ours


def cede_loop(driver: str, clock: Clock) -> Any:
    """cede's loop, with one of its drivers."""
    from cede.loop.config import make_driver

    loop = kind_of_cede()(make_driver(driver))
    loop.stepped = clock
    return loop


class OrderedSet(dict[Any, None]):
    """A set that keeps the order in which things came."""

    def add(self, thing: Any) -> None:
        self[thing] = None

    def discard(self, thing: Any) -> None:
        self.pop(thing, None)

    def remove(self, thing: Any) -> None:
        del self[thing]


CANCELS_AGAIN = sys.version_info >= (3, 13)


def order_the_groups_of_asyncio() -> None:
    """asyncio's groups cancel their tasks in the order in which these came."""
    begin = asyncio.TaskGroup.__init__

    def begin_in_order(group: Any) -> None:
        begin(group)
        group._tasks = OrderedSet()

    asyncio.TaskGroup.__init__ = begin_in_order  # type: ignore[method-assign]
    if not CANCELS_AGAIN:
        end = asyncio.TaskGroup.__aexit__

        async def end_and_cancel_again(group: Any, kind: Any, error: Any, traceback: Any) -> Any:
            parent = group._parent_task
            asked_before = group._parent_cancel_requested
            try:
                return await end(group, kind, error, traceback)
            except BaseExceptionGroup:
                if group._parent_cancel_requested and not asked_before:
                    parent.uncancel()
                if parent.cancelling():
                    parent.uncancel()
                    parent.cancel()
                raise

        asyncio.TaskGroup.__aexit__ = end_and_cancel_again  # type: ignore[method-assign]


async def wait_for_notification(condition: Any) -> bool:
    """As `asyncio.Condition.wait` since Python 3.13, but for the last lines: there it notifies another one in any case."""
    if not condition.locked():
        raise RuntimeError("cannot wait on un-acquired lock")
    notified = condition._get_loop().create_future()
    condition.release()
    try:
        try:
            condition._waiters.append(notified)
            try:
                await notified
                return True
            finally:
                condition._waiters.remove(notified)
        finally:
            error = None
            while True:
                try:
                    await condition.acquire()
                    break
                except asyncio.CancelledError as cancelled:
                    error = cancelled
            if error is not None:
                raise error
    except BaseException:
        if not notified.cancelled():
            condition._notify(1)
        raise


def have_conditions_of_asyncio_wake_the_notified() -> None:
    """And nobody else, and lose no notification, on every version."""
    condition: Any = asyncio.Condition
    condition.wait = wait_for_notification
    if not hasattr(condition, "_notify"):  # before 3.13
        def notify_unlocked(self: Any, many: int) -> None:
            woken = 0
            for waiter in self._waiters:
                if woken >= many:
                    break
                if not waiter.done():
                    woken += 1
                    waiter.set_result(False)

        condition._notify = notify_unlocked


def let_tls_of_asyncio_say_that_it_closes() -> None:
    """As soon as the transport underneath does."""
    from asyncio import sslproto

    kind: Any = sslproto._SSLProtocolTransport
    if hasattr(sslproto.SSLProtocol, "_is_transport_closing"):
        return  # it knows

    def is_closing(transport: Any) -> bool:
        if transport._closed:
            return True
        lower = transport._ssl_protocol._transport
        return lower is not None and bool(lower.is_closing())

    kind.is_closing = is_closing


def let_no_selector_sleep() -> None:
    """For cede's portable driver, which asks the selectors of the standard library."""
    kind: Any = selectors.DefaultSelector
    select = kind.select

    def look(self: Any, timeout: float | None = None) -> Any:
        found = select(self, 0)
        if len(found) > 1:
            found.sort(key=lambda pair: pair[0].fd)
        return found

    kind.select = look


# Whether asyncio's `wait_for` runs the awaitable in the task that waits, as cede's does on every version. Before 3.12 it makes a task.
IN_THE_TASK = sys.version_info >= (3, 12)


class PatientTimeout(asyncio.Timeout):
    """A time limit that is not reached where the future has its result already."""

    def __init__(self, when: float, future: Any) -> None:
        super().__init__(when)
        self.future = future

    def _on_timeout(self) -> None:
        if not self.future.done():
            super()._on_timeout()  # type: ignore[misc]


async def wait_for(awaitable: Any, seconds: float) -> Any:
    """`wait_for`. Of asyncio's what differs on purpose: cede's has its newest meaning on every version, and throws no result away that is
    there when the time is up.
    """
    loop = asyncio.get_running_loop()
    if "cede" in asyncio.wait_for.__module__:
        return await asyncio.wait_for(awaitable, seconds)
    if asyncio.isfuture(awaitable):
        async with PatientTimeout(loop.time() + seconds, awaitable):
            return await awaitable
    if IN_THE_TASK:
        return await asyncio.wait_for(awaitable, seconds)
    async with asyncio.timeout(seconds):
        return await awaitable
