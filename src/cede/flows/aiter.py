"""Helpers for asynchronous iteration. Each takes plain iterables as well, and returns a `Flow`: iterate over it, or close it early by
``async with``.
"""

from __future__ import annotations

import asyncio
import builtins
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any

from cede.core.task.operation import new_waiter
from cede.flows.flow import Flow, reading
from cede.flows.pump import END, FAILED, LATE, Pump, zipped

__all__ = ["Flow", "batch", "buffer", "from_callbacks", "merge", "timeout_each", "zip"]


def whole_number(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, got {value!r}")
    return value


def seconds(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more seconds, got {value!r}")
    return float(value)


def merge(*sources: Any) -> Flow[Any]:
    """The items of several sources as they come. The first failure ends it."""
    iterators = [reading(each) for each in sources]
    return Flow(pumped(iterators, max(len(iterators), 1)), iterators)


async def pumped(iterators: list[Any], capacity: int) -> AsyncGenerator[Any, None]:
    pump = Pump(iterators, capacity)
    try:
        pump.start()
        while (item := await pump.next()) is not END:
            yield item
    finally:
        await pump.stop()


def zip(*sources: Any, strict: bool = False) -> Flow[tuple[Any, ...]]:
    """Tuples of one item of each source, which are waited for together, until the shortest ends. strict: ValueError where another does
    not.
    """
    iterators = [reading(each) for each in sources]
    return Flow(zipped(iterators, 1, strict), iterators)


def buffer(source: Any, n: int) -> Flow[Any]:
    """The items of a source, of which up to `n` are read ahead, by a task of its own."""
    capacity = whole_number(n, "n")
    iterators = [reading(source)]
    return Flow(pumped(iterators, capacity), iterators)


def timeout_each(source: Any, timeout: float) -> Flow[Any]:
    """The items of a source, each of which must come within `timeout` seconds of its being asked for; TimeoutError where one does not."""
    limit = seconds(timeout, "timeout")
    iterators = [reading(source)]
    return Flow(timed(iterators, limit), iterators)


async def timed(iterators: list[Any], timeout: float) -> AsyncGenerator[Any, None]:
    pump = Pump(iterators, 0)
    try:
        pump.start()
        while True:
            pump.ask()
            item = await pump.look(pump.loop.time() + timeout)
            if item is END:
                return
            if item is LATE:
                raise TimeoutError(f"no item came within {timeout:g} s")
            if item is FAILED:
                pump.failed()
            yield item
    finally:
        await pump.stop()


def batch(source: Any, n: int, *, within: float | None = None) -> Flow[list[Any]]:
    """Lists of up to `n` items. within: a list that is not full is handed out that many seconds after its first item came."""
    size = whole_number(n, "n")
    limit = None if within is None else seconds(within, "within")
    iterators = [reading(source)]
    return Flow(batched(iterators, size, limit), iterators)


async def batched(iterators: list[Any], n: int, within: float | None) -> AsyncGenerator[list[Any], None]:
    pump = Pump(iterators, n)
    try:
        pump.start()
        while (first := await pump.next()) is not END:
            items = [first]
            deadline = None if within is None else pump.loop.time() + within
            item = None
            while len(items) < n:
                item = await pump.look(deadline)
                if item is END or item is LATE or item is FAILED:
                    break
                items.append(item)
            yield items
            if item is FAILED:
                pump.failed()
            if item is END:
                return
    finally:
        await pump.stop()


def from_callbacks(subscribe: Callable[[Callable[[Any], None]], Any], *, capacity: int | None = None) -> Flow[Any]:
    """What a callback is called with, as a flow.

    subscribe: called with the callback when the iteration begins; what it returns, where that is callable, is called at the end, to
    unsubscribe. capacity: how many items may wait to be read; the oldest is dropped for one too many. The callback belongs to the loop's
    thread, as the loop's own do.
    """
    if not callable(subscribe):
        raise TypeError(f"from_callbacks(): subscribe must be callable, got {subscribe!r}")
    return Flow(called(subscribe, None if capacity is None else whole_number(capacity, "capacity")))


async def called(subscribe: Callable[[Callable[[Any], None]], Any], capacity: int | None) -> AsyncGenerator[Any, None]:
    items: deque[Any] = deque(maxlen=capacity)
    loop = asyncio.get_running_loop()
    reader: Any = None

    def callback(item: Any) -> None:
        items.append(item)
        if reader is not None and not reader.done():
            reader.set_result(None)

    unsubscribe = subscribe(callback)
    try:
        while True:
            while not items:
                reader = new_waiter(loop, subscribe)
                await reader
            yield items.popleft()
    finally:
        if builtins.callable(unsubscribe):
            unsubscribe()
