"""Flows, however they end: every flow with every kind of source and every kind of end. Nothing runs afterwards, every source has done its
cleaning up, and has done it in the task that read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

import cede
from cede import aiter

Run = Callable[..., Any]
NEVER = 1000.0

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


class Record:
    """What the sources of one test did."""

    def __init__(self) -> None:
        self.begun = 0
        self.closed = 0
        self.wrong: list[str] = []


class Theirs(Exception):
    pass


async def cleaning(record: Record, task: Any) -> None:
    """What takes its time, and is lost where somebody cancels it."""
    for _ in range(3):
        await asyncio.sleep(0.001)
    if asyncio.current_task() is not task:
        record.wrong.append("cleaned up in another task than it was read in")
    record.closed += 1


async def waits(record: Record) -> AsyncIterator[int]:
    record.begun += 1
    task = asyncio.current_task()
    try:
        yield 1
        await asyncio.sleep(NEVER)
        yield 2
    finally:
        await cleaning(record, task)


async def always(record: Record) -> AsyncIterator[int]:
    record.begun += 1
    task = asyncio.current_task()
    try:
        for number in itertools.count():
            await asyncio.sleep(0)
            yield number
    finally:
        await cleaning(record, task)


async def holds(record: Record) -> AsyncIterator[int]:
    """A scope, a time limit and a token across its yield, all of which have to be left in the task that entered them."""
    record.begun += 1
    task = asyncio.current_task()
    token = variable.set("held")
    try:
        with cede.CancelScope():
            async with asyncio.timeout(NEVER):
                try:
                    for number in itertools.count():
                        await asyncio.sleep(0)
                        yield number
                finally:
                    await cleaning(record, task)
    finally:
        variable.reset(token)


async def shields(record: Record) -> AsyncIterator[int]:
    """A shield across its yield, which keeps a request to stop away from its task."""
    record.begun += 1
    task = asyncio.current_task()
    with cede.CancelScope(shield=True):
        try:
            for number in itertools.count():
                await asyncio.sleep(0)
                yield number
        finally:
            await cleaning(record, task)


async def stubborn(record: Record) -> AsyncIterator[int]:
    """Goes on after a cancellation, with another item."""
    record.begun += 1
    task = asyncio.current_task()
    try:
        yield 1
        try:
            await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            yield 2
    finally:
        await cleaning(record, task)


async def fails(record: Record) -> AsyncIterator[int]:
    record.begun += 1
    try:
        await asyncio.sleep(0)
        yield 1
        raise Theirs
    finally:
        record.closed += 1


async def is_cancelled(record: Record) -> AsyncIterator[int]:
    """Awaits what somebody else cancels."""
    record.begun += 1
    try:
        yield 1
        loop = asyncio.get_running_loop()
        other = loop.create_future()
        loop.call_soon(other.cancel)
        await other
        yield 2
    finally:
        record.closed += 1


class Handmade:
    """An iterator that is no generator: it does not hear of a cancellation, and has to be closed."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.task: Any = None

    def __aiter__(self) -> Handmade:
        return self

    async def __anext__(self) -> int:
        if self.task is None:
            self.task = asyncio.current_task()
            self.record.begun += 1
        await asyncio.sleep(0)
        return 1

    async def aclose(self) -> None:
        if self.task is not None:
            await cleaning(self.record, self.task)


def plain(record: Record) -> Iterator[int]:
    record.begun += 1
    token = variable.set("plain")
    try:
        yield from itertools.count()
    finally:
        variable.reset(token)
        record.closed += 1


async def same(item: Any) -> Any:
    return item


async def slow_to_stop(item: Any) -> Any:
    try:
        await asyncio.sleep(NEVER if item else 0)
        return item
    finally:
        await asyncio.sleep(0.002)


SOURCES: dict[str, Callable[[Record], Any]] = {
    each.__name__: each for each in (waits, always, holds, shields, stubborn, fails, is_cancelled, Handmade, plain)
}
FLOWS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "map": lambda source: cede.map(same, source(), limit=3),
    "map, as they come": lambda source: cede.map(same, source(), limit=3, ordered=False),
    "map, slow": lambda source: cede.map(slow_to_stop, source(), limit=3),
    "map, two": lambda source: cede.map(lambda a, b: a, source(), source(), limit=3),
    "merge": lambda source: aiter.merge(source(), source()),
    "zip": lambda source: aiter.zip(source(), source()),
    "buffer": lambda source: aiter.buffer(source(), 2),
    "batch": lambda source: aiter.batch(source(), 2),
    "batch within": lambda source: aiter.batch(source(), 5, within=0.001),
    "timeout_each": lambda source: aiter.timeout_each(source(), NEVER),
    "map of a buffer of a merge": lambda source: cede.map(same, aiter.buffer(aiter.merge(source(), source()), 2), limit=2),
}


async def drink(flow: Any, enough: int = 1000) -> None:
    async with flow:
        for _ in range(enough):
            await anext(flow)
            await asyncio.sleep(0)


async def scope_late(flow: Any) -> None:
    with cede.move_on_after(0.005):
        await drink(flow)


async def scope_at_once(flow: Any) -> None:
    with cede.CancelScope() as scope:
        scope.cancel()
        await drink(flow)


async def anyio_scope(flow: Any) -> None:
    with anyio.move_on_after(0.005):
        await drink(flow)


async def time_limit(flow: Any) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.005):
            await drink(flow)


async def cancelled(flow: Any, *, turns: int = 5, times: int = 1) -> None:
    task = asyncio.create_task(drink(flow))
    for _ in range(turns):
        await asyncio.sleep(0)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0.001)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def cancelled_at_once(flow: Any) -> None:
    await cancelled(flow, turns=1)


async def cancelled_again_and_again(flow: Any) -> None:
    await cancelled(flow, times=4)


async def left_early(flow: Any) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):  # some have no first item
            await drink(flow, 1)


async def never_begun(flow: Any) -> None:
    async with flow:
        pass


async def dropped(flow: Any) -> None:
    flows = [flow]
    flow = None

    async def look() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                async for _ in flows.pop():
                    break

    await look()
    gc.collect()
    deadline = asyncio.get_running_loop().time() + 10
    while len(asyncio.all_tasks()) > 1 and asyncio.get_running_loop().time() < deadline:  # the loop closes it, and tells nobody
        await asyncio.sleep(0.001)


ENDS: dict[str, Callable[[Any], Any]] = {
    each.__name__: each
    for each in (
        scope_late,
        scope_at_once,
        anyio_scope,
        time_limit,
        cancelled,
        cancelled_at_once,
        cancelled_again_and_again,
        left_early,
        never_begun,
        dropped,
    )
}


async def once(source: str, flow: str, end: str) -> list[str]:
    """What is wrong with that flow of that source after that end."""
    record = Record()
    outcome = "none"
    before = asyncio.all_tasks()
    flows = [FLOWS[flow](lambda: SOURCES[source](record))]
    try:
        await ENDS[end](flows.pop())
    except Theirs:
        outcome = "theirs"
    except asyncio.CancelledError:
        outcome = "cancelled"
    wrong = record.wrong
    left = asyncio.all_tasks() - before
    if left:
        wrong.append(f"{len(left)} tasks still run")
        await asyncio.wait(left)
    if record.closed != record.begun:
        wrong.append(f"{record.begun} sources were begun, {record.closed} have cleaned up")
    expected = {"none"} | {"fails": {"theirs"}, "is_cancelled": {"cancelled"}}.get(source, set())
    if outcome not in expected:
        wrong.append(f"it raised {outcome}")
    if asyncio.current_task().cancelling():
        wrong.append("a request to stop is left over")
    return wrong


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("source", SOURCES)
def test_nothing_runs_and_all_is_closed_afterwards(run: Run, source: str, end: str) -> None:
    async def main() -> dict[str, list[str]]:
        return {flow: await once(source, flow, end) for flow in FLOWS}

    assert {flow: wrong for flow, wrong in run(main).items() if wrong} == {}


@pytest.mark.parametrize("flow", [each for each in FLOWS if each != "map, slow"])
def test_source_that_ends_by_cancellation_does_not_end_in_order(run: Run, flow: str) -> None:
    """What it had brought before comes first; then its CancelledError, not the end of the iteration."""

    async def main() -> tuple[int, str]:
        items = 0
        try:
            async for _ in FLOWS[flow](lambda: is_cancelled(Record())):
                items += 1
        except asyncio.CancelledError:
            return items, "cancelled"
        return items, "ended"

    items, how = run(main)
    assert how == "cancelled"
    assert items >= 1


@pytest.mark.parametrize("flow", ["merge", "buffer", "batch", "batch within", "zip", "timeout_each"])
def test_source_that_ends_by_a_time_limit_of_its_own_does_not_end_in_order(run: Run, flow: str) -> None:
    async def late() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.01)
        raise TimeoutError("its own")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="its own"):
            async for _ in FLOWS[flow](late):
                pass

    run(main)


@pytest.mark.parametrize("flow", FLOWS)
def test_error_of_the_cleaning_up_is_raised(run: Run, flow: str) -> None:
    async def untidy() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                await asyncio.sleep(0)
                yield number
        finally:
            raise Theirs

    async def main() -> None:
        with pytest.raises(Theirs):
            await drink(FLOWS[flow](untidy), 1)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_error_of_the_cleaning_up_is_told_where_the_closing_is_cancelled(run: Run) -> None:
    async def untidy() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(NEVER)
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.005)
            raise Theirs

    async def main() -> list[Any]:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(type(context["exception"])))
        task = asyncio.create_task(drink(aiter.buffer(untidy(), 1)))
        for _ in range(5):
            await asyncio.sleep(0)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0.001)
        with pytest.raises(asyncio.CancelledError):
            await task
        return told

    assert run(main) == [Theirs]


def test_items_of_a_map_outlive_the_work_on_them(run: Run) -> None:
    """The source is closed, and with it perhaps what its items stand for, when nobody works on an item any more."""

    async def main() -> list[str]:
        order: list[str] = []

        async def source() -> AsyncIterator[int]:
            try:
                for number in itertools.count():
                    yield number
            finally:
                order.append("source")

        async def work(number: int) -> int:
            try:
                if number:
                    await asyncio.sleep(NEVER)
                return number
            finally:
                await asyncio.sleep(0.002)
                order.append("work")

        await drink(cede.map(work, source(), limit=3), 1)
        return order

    order = run(main)
    assert order.count("work") >= 3
    assert order.index("source") == len(order) - 1


class Marker:
    pass


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("way", ["fails", "ends", "cancelled"])
def test_flow_that_is_over_is_in_no_cycle(run: Run, flow: str, way: str) -> None:
    """What its frames held goes at once, with the collector off."""

    async def source() -> AsyncIterator[Any]:
        here = Marker()
        markers.append(weakref.ref(here))
        await asyncio.sleep(0)
        yield 0
        if way == "fails":
            raise Theirs
        if way == "cancelled":
            await asyncio.sleep(NEVER)

    async def main() -> None:
        here = Marker()
        markers.append(weakref.ref(here))
        with contextlib.suppress(Theirs):
            with cede.move_on_after(0.005 if way == "cancelled" else NEVER):
                async with FLOWS[flow](source) as items:
                    async for _ in items:
                        pass

    markers: list[weakref.ref[Marker]] = []

    async def outer() -> list[Any]:
        await asyncio.create_task(main())
        await asyncio.sleep(0)
        return [each for each in markers if each() is not None]

    gc.collect()
    gc.disable()
    try:
        left = run(outer)
    finally:
        gc.enable()
    assert len(markers) >= 2
    assert not left


def test_tasks_that_shutdown_cancels_before_they_begin(run: Run) -> None:
    """Somebody else cancels the reading tasks: the reader is told, and what was not read is closed."""

    async def main() -> bool:
        record = Record()
        source = Handmade(record)
        source.task = None
        closed: list[bool] = []

        async def aclose() -> None:
            closed.append(True)

        source.aclose = aclose  # type: ignore[method-assign]
        before = asyncio.all_tasks()

        def cancel_all() -> None:
            for task in asyncio.all_tasks() - before:
                task.cancel()

        asyncio.get_running_loop().call_soon(cancel_all)
        with pytest.raises(asyncio.CancelledError):
            await drink(aiter.buffer(source, 1))
        return bool(closed)

    assert run(main)
