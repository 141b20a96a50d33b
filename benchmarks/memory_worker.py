"""Parks many tasks, each on a future of its own, and prints what each added to this process."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os

from benchmarks.clocks import resident
from benchmarks.loops import loop_of, new_loop


async def wait(loop: asyncio.AbstractEventLoop) -> None:
    """What a parked task is doing."""
    await loop.create_future()


async def park(loop: asyncio.AbstractEventLoop, count: int) -> float:
    """Bytes per task."""

    async def some(n: int) -> list[asyncio.Task[None]]:
        tasks = [loop.create_task(wait(loop)) for _ in range(n)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return tasks

    few = await some(100)
    gc.collect()
    before = resident()
    many = await some(count)
    gc.collect()
    each = (resident() - before) / count
    if any(task.done() for task in few + many):
        raise RuntimeError("a task that should wait is done")
    return each


def main() -> None:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contestant")
    parser.add_argument("count", type=int)
    wish = parser.parse_args()
    loop = new_loop(loop_of(wish.contestant))

    each = loop.run_until_complete(park(loop, wish.count))
    print(json.dumps({"bytes": each, "count": wish.count}), flush=True)
    # Ending a loop under a hundred thousand waiting tasks is not what is measured, and would log each of them.
    os._exit(0)


if __name__ == "__main__":
    main()
