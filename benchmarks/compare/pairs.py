"""Rows of two builds, measured in pairs, and what to say of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import http_rows
from benchmarks.children import MeasureError, run_json
from benchmarks.compare.builds import PLACE, Build
from benchmarks.compare.counting import Counter, per_operation
from benchmarks.loops import OURS, OWN, label
from benchmarks.rows import CAPACITY, USER, Metric, Row
from benchmarks.task_worker import ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.report import Table

LEAST = 0.01
"""Less than this is the noise of the machine code's layout, whatever the pairs say."""
BATCH = 0.02
PATIENCE = 90.0


@dataclass
class Line:
    """One row through one API: the pairs (base, this) of each metric, and the instructions of both."""

    row: Row
    contestant: str
    metrics: tuple[Metric, ...]
    pairs: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    instructions: tuple[float, float] | None = None
    operations: int = 0
    """Of one short measurement."""
    trouble: str = ""


@dataclass(frozen=True)
class Compared:
    """What the pairs of one metric come to. Ratios are costs, this build's to the base's: above 1 is worse, also where more is better."""

    base: float
    this: float
    ratio: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]], metric: Metric) -> Compared:
        """Of at least one pair."""
        base, this = (statistics.median(side) for side in zip(*pairs, strict=True))
        costs = sorted(after / before if metric.less_is_better else before / after for before, after in pairs)
        low, _, high = statistics.quantiles(costs, n=4, method="inclusive") if len(costs) > 1 else costs * 3
        return cls(base, this, this / base if metric.less_is_better else base / this, low, high)

    @property
    def verdict(self) -> str:
        """``worse`` or ``better`` where three quarters of the pairs agree and the medians differ by more than `LEAST`; else nothing."""
        if self.low > 1 and self.ratio > 1 + LEAST:
            return "worse"
        return "better" if self.high < 1 and self.ratio < 1 - LEAST else ""


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """What is measured in these rows: cede through asyncio's names, and where a row has that through its own."""
    lines = []
    for row in rows:
        # Clients and other programs set the pace of the whole; what the server takes for a request does not depend on them.
        metrics = (CAPACITY, USER) if row.kind in ("net", "http") else (row.metric,)
        lack = http_rows.lacking(*row.needs) if row.kind == "http" else ""
        lines += [Line(row, name, metrics, trouble=lack) for name in ((OURS, OWN) if row.own else (OURS,))]
    return lines


def rounds_of(line: Line, rounds: int, wished: bool) -> int:
    """How often a row is measured: fewer times where one takes long and hardly varies, unless somebody wants it."""
    most = 3 if line.row.kind == "memory" else line.row.rounds
    return rounds if wished or most is None else min(rounds, most)


def measure(build: Build, line: Line) -> dict[str, float]:
    """One measurement in a fresh process of a build. Raises `MeasureError`."""
    if line.row.kind in ("task", "work"):
        return run_json("benchmarks.task_worker", [line.row.key, line.contestant, "--batch", str(BATCH)], PATIENCE, str(build.python))
    options = [line.row.key, line.contestant, "--programs", str(PLACE / "programs")]
    return run_json("benchmarks.compare.one", options, PATIENCE, str(build.python))


def one_pair(line: Line, builds: tuple[Build, Build], turned: bool, take: Callable[[Build, Line], dict[str, float]] = measure) -> None:
    """Both builds, one right after the other; what fails is kept in the line, which is not measured again."""
    figures: dict[str, dict[str, float]] = {}
    for build in reversed(builds) if turned else builds:
        try:
            figures[build.name] = take(build, line)
        except (MeasureError, OSError) as error:
            line.trouble = f"{build.name} failed: {error}"
            return
    base, this = (figures[build.name] for build in builds)
    line.operations = int(base.get("operations", 0))
    for metric in line.metrics:
        line.pairs.setdefault(metric.key, []).append((base[metric.key], this[metric.key]))


def counted(line: Line) -> bool:
    """Whether instructions can be counted: one process does all of it, as often as it is told."""
    return line.row.kind in ("task", "work") and not ALL[line.row.key].once and not line.trouble


def count_pair(line: Line, builds: tuple[Build, Build], counter: Counter) -> None:
    """Instructions of both builds; a row that cannot be counted has none."""
    least = ALL[line.row.key].least
    # What was measured went on for five batches.
    operations = -(-int(line.operations * counter.seconds / (5 * BATCH)) // least) * least or least
    try:
        base, this = (per_operation(counter, lambda n, build=build: worker(build, line, n), operations) for build in builds)  # type: ignore[misc]
    except MeasureError:
        return
    line.instructions = (base, this)


def worker(build: Build, line: Line, operations: int) -> list[str]:
    """The command that runs so many operations and measures nothing."""
    return [str(build.python), "-m", "benchmarks.task_worker", line.row.key, line.contestant, "--operations", str(operations)]


def figure(value: float, metric: Metric) -> str:
    """With the unit."""
    return f"{value:,.{metric.digits}f} {metric.unit}"


def table(lines: Sequence[Line], names: tuple[str, str], counting: bool) -> Table:
    """What is printed: one line for each metric that was measured."""
    head = ["row", "through", *names, "ratio", "quartiles", ""]
    whole = [head + (["instructions", names[1], "ratio"] if counting else [])]
    for line in lines:
        for metric in line.metrics:
            if not line.pairs.get(metric.key):
                continue
            seen = Compared.of(line.pairs[metric.key], metric)
            spread = f"{seen.low:.3f}-{seen.high:.3f}"
            name = line.row.key + ("" if metric == line.metrics[0] and line.row.metric == metric else f" ({metric.title})")
            medians = [figure(seen.base, metric), figure(seen.this, metric)]
            cells = [name, label(line.contestant), *medians, f"{seen.ratio:.3f}", spread, seen.verdict]
            if counting:
                both = line.instructions
                cells += ["-", "-", "-"] if both is None else [f"{both[0]:,.0f}", f"{both[1]:,.0f}", f"{both[1] / max(both[0], 1):.3f}"]
            whole.append(cells)
    return whole
