"""The run itself: every row on every loop, in turns, several times over."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import http_rows, install_rows, memory_rows, net_rows
from benchmarks.children import MeasureError, run_json
from benchmarks.loops import BARE, LIMIT, OURS, OWN, Installed
from benchmarks.stats import Spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.native import Native
    from benchmarks.rows import Row

WAITED_LIMIT = 0.05
"""A server or client that was kept from a CPU for more than this part of the time was disturbed."""
PACE_LIMIT = 1.25
"""So was one during which the machine took this many times as long for a fixed piece of work as at its best."""
LEAST_ROUNDS = 3
"""Fewer give no median to speak of, so the time limit does not count before."""
REPEATS = 2
"""How often a disturbed measurement is repeated; the calmest one counts."""

Figures = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    rounds: int
    batch_seconds: float
    net: net_rows.NetSettings
    connections: int
    tls_connections: int
    tasks: int
    sleepers: int
    limit_seconds: float
    """No round is begun that would probably end later than this, once there are three."""


@dataclass
class Cell:
    """One row on one contestant: what came out, round by round."""

    samples: list[Figures] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    disturbed: int = 0

    def spread(self, key: str) -> Spread | None:
        """Median and range of one figure; None when there is not one."""
        values = [sample[key] for sample in self.samples if key in sample]
        return Spread.of(values) if values else None

    def median(self, key: str) -> float | None:
        """The median alone."""
        spread = self.spread(key)
        return None if spread is None else spread.median

    @property
    def note(self) -> str:
        """What a reader has to know about it: that it failed, and why; empty when all is well."""
        if not self.failures:
            return ""
        if not self.samples:
            return f"failed: {self.failures[0]}"
        return f"failed {len(self.failures)} of {len(self.failures) + len(self.samples)} times: {self.failures[0]}"


Results = dict[str, dict[str, Cell]]
"""By row key, then contestant."""


def contestants(row: Row, installed: list[Installed]) -> list[str]:
    """Who is measured in a row, in table order; nobody where something that it needs is not installed."""
    if left_out(row):
        return []
    names = [each.name for each in installed if each.ok]
    if row.kind == "install":
        return install_rows.contestants(row.key.partition(".")[2], names)
    if row.own and OURS in names:
        names.append(OWN)
    if row.key == "net.protocol":
        names.append(LIMIT)
    if row.bare:
        names.append(BARE)
    return names


def left_out(row: Row) -> str:
    """Why a row is not measured on any loop; empty when it is."""
    return http_rows.lacking(*row.needs) if row.kind == "http" else ""


class Run:
    """One run of the benchmark; `step` is told of each measurement: done, of how many, and what it was."""

    def __init__(
        self,
        rows: tuple[Row, ...],
        installed: list[Installed],
        settings: Settings,
        native: Native,
        step: Callable[[int, int, str], None],
    ) -> None:
        self.rows = rows
        self.installed = installed
        self.settings = settings
        self.native = native
        self.step = step
        self.results: Results = {row.key: {name: Cell() for name in contestants(row, installed)} for row in rows}
        self.best_pace = float("inf")
        self.worst_pace = 0.0
        self.repeats_left = 0
        self.seconds = 0.0
        self.rounds_done = 0
        self.load = (os.getloadavg()[1], 0.0)
        """Of the machine, over five minutes: before the run, and at its end, the run included."""

    def rounds_of(self, row: Row) -> int:
        """Memory hardly varies and takes long: two rounds are enough."""
        most = 2 if row.kind == "memory" else row.rounds
        return self.settings.rounds if most is None else min(self.settings.rounds, most)

    def all(self) -> None:
        """Measure everything. Failures are kept in their cells; only KeyboardInterrupt gets out."""
        began = time.monotonic()
        total = sum(self.rounds_of(row) * len(self.results[row.key]) for row in self.rows)
        # A busy machine must not make the run endless: this share of it may be repeats.
        self.repeats_left = total // 10
        done = 0
        for turn in range(self.settings.rounds):
            spent = time.monotonic() - began
            if turn >= LEAST_ROUNDS and spent / turn * (turn + 1) > self.settings.limit_seconds:
                break
            for row in self.rows:
                if turn >= self.rounds_of(row):
                    continue
                cells = list(self.results[row.key].items())
                # Each round begins with another one, so that nobody always follows the same neighbour.
                first = turn % max(len(cells), 1)
                for name, cell in cells[first:] + cells[:first]:
                    done += 1
                    self.step(done, total, f"round {turn + 1}/{self.settings.rounds} {row.key} {name}")
                    if cell.failures and not cell.samples:
                        continue  # it failed the first time: no need to wait for its time limit again
                    self.one(row, name, cell)
            self.rounds_done = turn + 1
        self.seconds = time.monotonic() - began
        self.load = (self.load[0], os.getloadavg()[1])

    def one(self, row: Row, name: str, cell: Cell) -> None:
        """One measurement, repeated when it was disturbed."""
        tries: list[Figures] = []
        try:
            while True:
                tries.append(self.measure(row, name))
                if not self.disturbance(tries[-1]) or len(tries) > REPEATS or self.repeats_left <= 0:
                    break
                self.repeats_left -= 1
        except (MeasureError, OSError) as error:
            if not tries:
                cell.failures.append(str(error))
                return
        calmest = min(tries, key=self.disturbance)
        cell.disturbed += self.disturbance(calmest) > 0
        cell.samples.append(calmest)

    def measure(self, row: Row, name: str) -> Figures:
        """Send one measurement on its way. Raises `MeasureError`."""
        what = row.key.partition(".")[2]
        if row.kind in ("task", "work"):
            options = ["--batch", str(self.settings.batch_seconds), "--once", str(self.settings.sleepers)]
            figures = run_json("benchmarks.task_worker", [row.key, name, *options], 60)
        elif row.kind == "install":
            figures = install_rows.MEASURES[what](name)
        elif row.kind == "http":
            figures = http_rows.measure(what, name, self.settings.net)
        elif row.kind == "net":
            figures = net_rows.measure(self.native, what, name, self.settings.net)
        elif what == "task":
            figures = memory_rows.waiting_task(name, self.settings.tasks)
        elif what == "tls":
            figures = memory_rows.tls_connection(name, self.settings.tls_connections)
        else:
            mode = "protocol" if what == "connection" else "streams"
            figures = memory_rows.connection(self.native, mode, name, self.settings.connections)
        if "pace" in figures:
            self.best_pace = min(self.best_pace, figures["pace"])
            self.worst_pace = max(self.worst_pace, figures["pace"])
        return figures

    def disturbance(self, figures: Figures) -> float:
        """How far a measurement was beyond what passes for calm; 0 within."""
        # Task rows are measured on a clock that leaves this out.
        lack = max(figures["waited"] / WAITED_LIMIT - 1, 0.0) if "server_busy" in figures else 0.0
        slow = max(figures.get("pace", 0.0) / (self.best_pace * PACE_LIMIT) - 1, 0.0)
        return lack + slow
