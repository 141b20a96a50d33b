"""Helpers for asynchronous iteration. Each takes plain iterables as well, and returns a `Flow`: iterate over it, or close it early by
``async with``.
"""

from __future__ import annotations

import asyncio
import builtins
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any

from cede.tools.flows.flow import Flow, close_all, flow, reading
from cede.tools.flows.pump import END, Pump
from cede.tools.groups.waitfor import wait_for

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
    return merged([reading(each) for each in sources])


@flow
async def merged(iterators: list[Any]) -> AsyncGenerator[Any, None]:
    pump = Pump(iterators, max(len(iterators), 1))
    try:
        while (item := await pump.next()) is not END:
            yield item
    finally:
        await pump.stop()


def zip(*sources: Any, strict: bool = False) -> Flow[tuple[Any, ...]]:
    """Tuples of one item of each source, which are waited for together, until the shortest ends. strict: ValueError where another does
    not.
    """
    return zipped([reading(each) for each in sources], strict)


@flow
async def zipped(iterators: list[Any], strict: bool) -> AsyncGenerator[tuple[Any, ...], None]:
    pumps = [Pump([each], 1) for each in iterators]
    try:
        while pumps:
            row = [await pump.next() for pump in pumps]
            ended = [item is END for item in row]
            if any(ended):
                if strict and not all(ended):
                    raise ValueError("zip() has sources of different lengths")
                return
            yield tuple(row)
    finally:
        await close_all([Stopping(pump) for pump in pumps])


class Stopping:
    """A pump, as something that `close_all` can close."""

    def __init__(self, pump: Pump) -> None:
        self.aclose = pump.stop


def buffer(source: Any, n: int) -> Flow[Any]:
    """The items of a source, of which up to `n` are read ahead, by a task of its own."""
    return buffered(reading(source), whole_number(n, "n"))


@flow
async def buffered(iterator: Any, n: int) -> AsyncGenerator[Any, None]:
    pump = Pump([iterator], n)
    try:
        while (item := await pump.next()) is not END:
            yield item
    finally:
        await pump.stop()


def timeout_each(source: Any, timeout: float) -> Flow[Any]:
    """The items of a source, each of which must come within `timeout` seconds of its being asked for; TimeoutError where one does not."""
    return timed(reading(source), seconds(timeout, "timeout"))


@flow
async def timed(iterator: Any, timeout: float) -> AsyncGenerator[Any, None]:
    try:
        while True:
            try:
                item = await wait_for(iterator.__anext__(), timeout)
            except StopAsyncIteration:
                return
            yield item
    finally:
        await close_all([iterator])


def batch(source: Any, n: int, *, within: float | None = None) -> Flow[list[Any]]:
    """Lists of up to `n` items. within: a list that is not full is handed out that many seconds after its first item came."""
    return batched(reading(source), whole_number(n, "n"), None if within is None else seconds(within, "within"))


@flow
async def batched(iterator: Any, n: int, within: float | None) -> AsyncGenerator[list[Any], None]:
    pump = Pump([iterator], n)
    try:
        while (first := await pump.next()) is not END:
            items = [first]
            deadline = None if within is None else pump.loop.time() + within
            ended = False
            failure: BaseException | None = None
            while len(items) < n:
                try:
                    item = await pump.next(deadline)
                except TimeoutError as error:
                    if deadline is None or pump.loop.time() < deadline:
                        failure = error
                    break
                except Exception as error:
                    failure = error
                    break
                if item is END:
                    ended = True
                    break
                items.append(item)
            yield items
            if failure is not None:
                raise failure
            if ended:
                return
    finally:
        failure = None
        await pump.stop()


def from_callbacks(subscribe: Callable[[Callable[[Any], None]], Any], *, capacity: int | None = None) -> Flow[Any]:
    """What a callback is called with, as a flow.

    subscribe: called with the callback when the iteration begins; what it returns, where that is callable, is called at the end, to
    unsubscribe. capacity: how many items may wait to be read; the oldest is dropped for one too many. The callback belongs to the loop's
    thread, as the loop's own do.
    """
    if not callable(subscribe):
        raise TypeError(f"from_callbacks(): subscribe must be callable, got {subscribe!r}")
    return called(subscribe, None if capacity is None else whole_number(capacity, "capacity"))


@flow
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
                reader = loop.create_future()
                await reader
            yield items.popleft()
    finally:
        if builtins.callable(unsubscribe):
            unsubscribe()
