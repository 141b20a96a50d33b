"""What the rows of groups and time limits do: the column "own" runs cede's functions, all others asyncio's."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

from benchmarks.clocks import active
from benchmarks.task_rows import BODIES, nothing

if TYPE_CHECKING:
    from benchmarks.task_rows import Bench

CHILDREN = 100_000
SPAWNED = 1_000
FEW = 10


def tools(b: Bench) -> Any:
    """The module whose functions are measured."""
    return importlib.import_module("cede") if b.sleep is not asyncio.sleep else asyncio


async def gather_few(b: Bench, n: int) -> float:
    """Ten coroutines, as a request that asks ten others has them."""
    gather = tools(b).gather
    start = active()
    for _ in range(n):
        await gather(*[nothing() for _ in range(FEW)])
    return active() - start


async def group_few(b: Bench, n: int) -> float:
    """A group of ten tasks."""
    group = tools(b).TaskGroup
    start = active()
    for _ in range(n):
        async with group() as tasks:
            for _ in range(FEW):
                tasks.create_task(nothing())
    return active() - start


async def gather(b: Bench, n: int) -> float:
    """A hundred thousand coroutines become tasks and are awaited together."""
    gather = tools(b).gather
    rounds = max(n // CHILDREN, 1)
    took = 0.0
    for _ in range(rounds):
        start = active()
        await gather(*[nothing() for _ in range(CHILDREN)])
        took += active() - start
    return took * n / (rounds * CHILDREN)


async def wait_for(b: Bench, n: int) -> float:
    """A time limit for a coroutine that need not wait."""
    wait_for = tools(b).wait_for
    start = active()
    for _ in range(n):
        await wait_for(nothing(), 60)
    return active() - start


async def timeout(b: Bench, n: int) -> float:
    """A time limit is set and taken back."""
    timeout = tools(b).timeout
    start = active()
    for _ in range(n):
        async with timeout(60):
            pass
    return active() - start


async def spawn(b: Bench, n: int) -> float:
    """A group makes a thousand tasks, and waits for them."""
    group = tools(b).TaskGroup
    rounds = max(n // SPAWNED, 1)
    start = active()
    for _ in range(rounds):
        async with group() as tasks:
            for _ in range(SPAWNED):
                tasks.create_task(nothing())
    return (active() - start) * n / (rounds * SPAWNED)


BODIES.update(
    {
        "task.gather-10": gather_few,
        "task.gather-100000": gather,
        "task.wait-for": wait_for,
        "task.timeout-idle": timeout,
        "task.group-10": group_few,
        "task.group-spawn": spawn,
    }
)
