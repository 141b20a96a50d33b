"""One measurement of one task row on one loop, in a process of its own: prints a line of JSON."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from time import perf_counter, process_time

from benchmarks import group_rows  # noqa: F401 - adds its rows
from benchmarks.clocks import pace, waited
from benchmarks.loops import loop_of, new_loop
from benchmarks.task_rows import BODIES, Bench, Body

BATCHES = 5


async def measure(b: Bench, body: Body, batch_seconds: float) -> dict[str, float]:
    """Find how many operations fill a batch, run the batches, and return the median ns per operation."""
    n = 100
    while (took := await body(b, n)) < batch_seconds / 4:
        n = int(n * min(max(batch_seconds / max(took, 1e-6), 2), 20))
    n = max(int(n * batch_seconds / took), 100)
    gc.collect()
    before = pace()
    start, cpu, lack = perf_counter(), process_time(), waited()
    times = [await body(b, n) for _ in range(BATCHES)]
    wall = perf_counter() - start
    return {
        "ns": statistics.median(times) / n * 1e9,
        "cpu_ns": (process_time() - cpu) / (n * BATCHES) * 1e9,
        "waited": (waited() - lack) / wall,
        "pace": max(before, pace()),
        "operations": n * BATCHES,
    }


def main() -> None:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=sorted(BODIES))
    parser.add_argument("contestant")
    parser.add_argument("--batch", type=float, default=0.04, metavar="SECONDS")
    wish = parser.parse_args()
    loop = new_loop(loop_of(wish.contestant))
    try:
        figures = loop.run_until_complete(measure(Bench(wish.contestant, loop), BODIES[wish.row], wish.batch))
    finally:
        loop.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
