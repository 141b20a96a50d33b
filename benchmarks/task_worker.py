"""One measurement of one task or work row on one loop, in a process of its own: prints a line of JSON."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from time import perf_counter, process_time

from benchmarks import bare, group_rows, service_rows, tls_rows, transfer_rows
from benchmarks.clocks import pace, waited
from benchmarks.loops import BARE, loop_of, new_loop
from benchmarks.sync_rows import BODIES as SYNC_BODIES
from benchmarks.task_rows import BODIES, Bench
from benchmarks.work import Work

BATCHES = 5

MANY = {"task.gather-100000": group_rows.CHILDREN, "task.group-spawn": group_rows.SPAWNED, "task.gather-1000": 1000, "task.timers": 1000}
"""Bodies whose operations come by so many at once."""

TASKS = {key: Work(body, least=MANY.get(key, 100)) for key, body in (BODIES | SYNC_BODIES).items()}
ALL = TASKS | service_rows.WORK | transfer_rows.WORK | tls_rows.WORK


async def measure(b: Bench, work: Work, batch_seconds: float, batches: int = BATCHES, best: bool = False) -> dict[str, float]:
    """Find how many operations fill a batch, run the batches, and return the median ns per operation, or that of the best batch."""
    body = work.body
    n = work.least
    while (took := await body(b, n)) < batch_seconds / 4:
        n = int(n * min(max(batch_seconds / max(took, 1e-6), 2), 20))
    n = max(int(n * batch_seconds / took), work.least)
    gc.collect()
    before = pace()
    start, cpu, lack = perf_counter(), process_time(), waited()
    times: list[float] = []
    # Where the least batch is long already, fewer do.
    while len(times) < batches and (len(times) < BATCHES or sum(times) < 2 * batches * batch_seconds):
        times.append(await body(b, n))
    wall = perf_counter() - start
    return {
        "ns": (min(times) if best else statistics.median(times)) / n * 1e9,
        "cpu_ns": (process_time() - cpu) / (n * len(times)) * 1e9,
        "waited": (waited() - lack) / wall,
        "pace": max(before, pace()),
        "operations": n * len(times),
    }


async def measure_once(b: Bench, work: Work, count: int) -> dict[str, float]:
    """Run the body one time; the first part of it is the warm-up."""
    before = pace()
    cpu = process_time()
    took = await work.body(b, count)
    return {"ns": took / count * 1e9, "seconds": took, "cpu_s": process_time() - cpu, "pace": max(before, pace()), "operations": count}


def in_units(figures: dict[str, float], work: Work) -> dict[str, float]:
    """The same figure as the rows count it."""
    ns = figures["ns"]
    units = {"us": ns / 1e3, "ms": ns / 1e6, "per_s": 1e9 / ns}
    if work.size:
        units["mb_s"] = work.size * 1e3 / ns
    return figures | units


def main() -> None:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=sorted(ALL))
    parser.add_argument("contestant")
    parser.add_argument("--batch", type=float, default=0.04, metavar="SECONDS")
    parser.add_argument("--batches", type=int, default=BATCHES, metavar="N")
    parser.add_argument("--best", action="store_true", help="the best batch counts, not the median of them")
    parser.add_argument("--once", type=int, default=200_000, metavar="N", help="operations of a row that runs one time only")
    parser.add_argument("--operations", type=int, metavar="N", help="run so many and measure nothing: somebody counts instructions")
    wish = parser.parse_args()
    loop = new_loop(loop_of(wish.contestant))
    try:
        work, bench = (bare.WORK if wish.contestant == BARE else ALL)[wish.row], Bench(wish.contestant, loop)
        if wish.operations:
            loop.run_until_complete(work.body(bench, wish.operations))
            return
        if work.once:
            figures = loop.run_until_complete(measure_once(bench, work, wish.once))
        else:
            figures = loop.run_until_complete(measure(bench, work, wish.batch, wish.batches, wish.best))
    finally:
        loop.close()
    print(json.dumps(in_units(figures, work)))


if __name__ == "__main__":
    main()
