"""``make soak``: see `campaign`. Exit status 1 where anything was wrong."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from typing import Any

import cede

from .campaign import campaign
from .people import Town
from .weather import netem_command

IN_NETEM = "CEDE_SOAK_WEATHER"
WANTED = 4096  # descriptors for the clients


class Progress:
    """One line that is rewritten on a terminal; a line each ten seconds elsewhere."""

    def __init__(self) -> None:
        self.status: Any = None
        self.told = 0.0
        if sys.stderr.isatty():
            try:
                from rich.console import Console
            except ImportError:
                return
            self.status = Console(stderr=True).status("starting")
            self.status.start()

    def __call__(self, what: str, left: float, town: Town) -> None:
        counts = town.counts
        answers = counts["answers"] + counts["answers through bad weather"]
        line = (
            f"{what}, {left:.0f} s left: {answers:,} answers, {counts['messages delivered']:,} messages, "
            f"{sum(count for name, count in counts.items() if name.startswith('rogues')):,} misdeeds, {len(town.faults)} faults"
        )
        if self.status is not None:
            self.status.update(line)
        elif time.monotonic() - self.told >= 10:
            self.told = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.status is not None:
            self.status.stop()


def rows(held: list[dict[str, Any]], town: Town) -> tuple[list[list[str]], list[list[str]]]:
    names = ("tasks", "descriptors", "threads", "connections", "heap", "resident", "blocks", "objects", "accepted")
    table = [["server", "at first", "warm-up", "round 1", "round 2"]]
    table += [[name, *(f"{moment[name]:,}" for moment in held)] for name in names]
    last = held[-1]
    server = ("answers", "messages", "failed", "silent", "slow", "held back", "dropped readers", "out of descriptors")
    counts = [["what happened", "times"]]
    counts += [[name, f"{count:,}"] for name, count in sorted(town.counts.items()) if name != "limit"]
    counts += [[f"server: {name}", f"{last[name]:,}"] for name in server]
    return table, counts


def show_table(table: list[list[str]]) -> None:
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
        except ImportError:
            pass
        else:
            rich = Table(*table[0])
            for column in rich.columns[1:]:
                column.justify = "right"
            for row in table[1:]:
                rich.add_row(*row)
            Console().print(rich)
            return
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *others]))
    print()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Servers under load and faults; see tests/soak.")
    parser.add_argument("minutes", type=float, nargs="?", default=3.0, help="how long the load lasts, in minutes (default: 3)")
    parser.add_argument("--seed", type=int, default=None, help="draw the same load again")
    parser.add_argument("--no-netem", action="store_true", help="leave the network as it is, and use the proxy alone")
    options = parser.parse_args()
    seed = int(time.time()) % 1_000_000 if options.seed is None else options.seed
    if IN_NETEM not in os.environ:
        command = None if options.no_netem else netem_command()
        os.environ[IN_NETEM] = "the proxy alone" if command is None else "the proxy, and netem on the loopback"
        if command is not None:
            arguments = [sys.executable, "-m", "tests.soak", str(options.minutes), "--seed", str(seed)]
            os.execvp(command[0], [*command, *arguments])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard), hard))
    print(f"soak of {options.minutes:g} minutes, --seed {seed}; bad weather: {os.environ[IN_NETEM]}", flush=True)
    progress = Progress()
    try:
        faults, held, town = cede.run(campaign(options.minutes * 60, seed, progress))
    finally:
        progress.close()
    for table in rows(held, town):
        show_table(table)
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"{len(faults)} faults" if faults else "nothing was lost, nothing has grown")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
