"""Computing in processes: a bounded map, a time limit that stops the work, and a worker that is killed.

    python examples/primes.py --upto 2000000

The loop is free all the while: a ticker beside the work shows it. Needs cede.
"""

import argparse
import asyncio
import functools
import os
import signal

import cede


def count_primes(start: int, stop: int) -> int:
    """How many primes there are in range(start, stop). Plain code that does nothing but compute."""
    return sum(1 for number in range(max(start, 2), stop) if all(number % each for each in range(2, int(number**0.5) + 1)))


def kill_myself() -> None:
    """What the system does to a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


async def tick(ticks: list[int]) -> None:
    while True:
        await asyncio.sleep(0.005)
        ticks.append(1)


async def main(upto: int, parts: int) -> None:
    step = -(-upto // parts)
    starts = range(0, upto, step)
    stops = [min(start + step, upto) for start in starts]
    ticks: list[int] = []
    async with cede.ProcessPool(name="primes") as pool, cede.TaskGroup() as group:
        ticker = group.create_task(tick(ticks))
        found = 0
        # At most four parts are on their way; results come in order.
        async for count in cede.map(functools.partial(pool.run, count_primes), starts, stops, limit=4):
            found += count
        print(f"{found} primes below {upto}; the loop went on meanwhile: {bool(ticks)}")

        # The time limit does not only stop waiting: the process that computes is killed.
        with cede.move_on_after(0.2) as scope:
            await pool.run(count_primes, 0, 10**9)
        print(f"stopped in the middle: {scope.cancelled_caught}")

        try:
            await pool.run(kill_myself)
        except cede.WorkerDied as death:
            print(f"a worker died of signal {-(death.exitcode or 0)}")
        print(f"and the next call: {await pool.run(count_primes, 0, 100)} primes below 100")
        told = pool.statistics()
        print(f"done {told.done}, failed {told.failed}, cancelled {told.cancelled}")
        ticker.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Counts primes in processes.")
    parser.add_argument("--upto", type=int, default=200_000, help="count below this number (default 200000)")
    parser.add_argument("--parts", type=int, default=16, help="in so many parts (default 16)")
    options = parser.parse_args()
    cede.run(main(options.upto, max(1, options.parts)))
