"""What a task that never gives way does to the others, and what sleep(0) changes.

    python   examples/fairness.py
    cede run examples/fairness.py

A coroutine is resumed when somebody else stops. Here a ticker wants to run every few milliseconds
while a hog computes: in one go, giving way now and then, at every step, or in a thread. Each line
of the table is one run:

    ticks    how often the ticker ran while the hog was at work
    latest   how late the ticker was at worst, in ms. That is what a user of a server waits for
             nothing, and it is about as long as the hog's longest stretch without an await
    hog      how long the hog took for the same work, in ms. What it took more than in one go is
             the price of the turns it gave away

The lesson: give way every millisecond or so. More often costs, more rarely hurts the others.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

CALIBRATION = 200  # steps


def step() -> int:
    """A small piece of honest work: some 10 microseconds."""
    return sum(range(600))


def hog_at_once(steps: int) -> None:
    for _ in range(steps):
        step()


async def hog(steps: int, every: int) -> None:
    """Do the work, and give way after `every` steps; 0: never."""
    for count in range(1, steps + 1):
        step()
        if every and count % every == 0:
            await asyncio.sleep(0)


@dataclass
class Ticker:
    interval: float  # seconds
    ticks: int = 0
    latest: float = 0.0  # seconds
    _due: float = field(default=0.0, init=False)

    async def run(self) -> None:
        while True:
            self._due = time.perf_counter() + self.interval
            await asyncio.sleep(self.interval)
            self.ticks += 1
            self.latest = max(self.latest, self.late())

    def late(self) -> float:
        """Seconds by which the next tick is overdue by now."""
        return time.perf_counter() - self._due


async def measure(work: Callable[[], Awaitable[None]], interval: float) -> tuple[int, float, float]:
    """Ticks, worst lateness and the hog's time (seconds) for one run."""
    ticker = Ticker(interval)
    ticking = asyncio.create_task(ticker.run())
    await asyncio.sleep(0)  # let it set out before the hog comes
    started = time.perf_counter()
    await work()
    took = time.perf_counter() - started
    ticks = ticker.ticks
    # A tick that the hog kept back until now is as late as one that came late.
    latest = max(ticker.latest, ticker.late())
    ticking.cancel()
    return ticks, latest, took


async def main(seconds: float, interval: float) -> None:
    started = time.perf_counter()
    hog_at_once(CALIBRATION)
    cost = (time.perf_counter() - started) / CALIBRATION
    steps = max(100, round(seconds / cost))
    now_and_then = max(1, round(0.001 / cost))
    rows: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("never gives way", lambda: hog(steps, 0)),
        (f"sleep(0) every {now_and_then} steps", lambda: hog(steps, now_and_then)),
        ("sleep(0) at every step", lambda: hog(steps, 1)),
        ("in a thread", lambda: asyncio.to_thread(hog_at_once, steps)),
    ]
    print(f"{steps} steps of {cost * 1e6:.0f} us; a tick is due every {interval * 1e3:g} ms\n")
    print(f"{'the hog':28} {'ticks':>6} {'latest, ms':>11} {'hog, ms':>9}")
    for name, work in rows:
        ticks, latest, took = await measure(work, interval)
        print(f"{name:28} {ticks:6} {latest * 1e3:11.1f} {took * 1e3:9.0f}", flush=True)


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 3600 seconds, not {text}")
    return number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a task that never gives way does to the others.")
    parser.add_argument("--seconds", type=positive, default=0.5, help="work of the hog (%(default)s)")
    parser.add_argument("--interval", type=positive, default=0.005, help="between ticks, seconds (%(default)s)")
    args = parser.parse_args()
    sys.exit(asyncio.run(main(args.seconds, args.interval)))
