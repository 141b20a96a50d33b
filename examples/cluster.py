"""Counts primes on a cluster, one of whose workers is killed half-way (needs cede and distributed).

    python examples/cluster.py                                  # on processes of this machine, started and ended by the program
    python examples/cluster.py tcp://scheduler:8786 --no-kill   # on the workers of a Dask scheduler

The ranges that the dead worker had in hand are counted again (`retries=2`), the others are not. The sum is compared with one made here.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal

import cede


def primes(first: int, last: int) -> tuple[int, int]:
    """How many primes there are from `first` to before `last`, and the process that says so. A plain function: it runs on a thread."""
    count = sum(number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1)) for number in range(first, last))
    return count, os.getpid()


async def process() -> int:
    """The worker's process. A coroutine function: it runs on the worker's loop."""
    await asyncio.sleep(0)
    return os.getpid()


async def main(address: str | None, pieces: int, size: int, kill: bool) -> int:
    local = {} if address else {"workers": 2, "threads": 2, "silence_logs": logging.CRITICAL}
    async with cede.cluster(address, retries=2, **local) as cluster:
        total, done, killed = 0, 0, None
        workers: set[int] = set()
        calls = cluster.map(primes, (size * n for n in range(pieces)), (size * (n + 1) for n in range(pieces)), limit=8)
        async for count, worker in calls:
            total += count
            done += 1
            workers.add(worker)
            if kill and done == pieces // 2:
                killed = await cluster.run(process)
                os.kill(killed, signal.SIGKILL)
                print(f"{done} of {pieces} ranges are counted: process {killed} is killed")
        async with cluster.TaskGroup() as group:
            asked = [group.create_task(process) for _ in range(4)]
        print(f"{done} of {pieces} ranges are counted, by {len(workers)} processes; {len(asked)} more calls were answered")
    expected, _ = primes(0, pieces * size)
    print(f"{total} primes below {pieces * size}, {'as' if total == expected else 'but'} {expected} are counted here")
    return 0 if total == expected and done == pieces and killed not in {task.result() for task in asked} else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("address", nargs="?", help="of a Dask scheduler, such as tcp://host:8786; without it a local cluster is started")
    parser.add_argument("--pieces", type=int, default=60, help="how many ranges (default: %(default)s)")
    parser.add_argument("--size", type=int, default=2000, help="numbers in each (default: %(default)s)")
    parser.add_argument("--no-kill", action="store_true", help="leave the workers alone")
    arguments = parser.parse_args()
    if arguments.pieces < 1 or arguments.size < 1:
        parser.error("--pieces and --size must be whole numbers from 1")
    raise SystemExit(
        cede.run(main(arguments.address, arguments.pieces, arguments.size, not arguments.no_kill and arguments.address is None))
    )
