"""Rows of two builds, measured in pairs, and what to say of them."""

from __future__ import annotations

import math
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

CONFIDENCE = 0.95
"""How sure it has to be that the median of all possible pairs lies in the interval that is told."""
LEAST = 0.02
"""What the layout of the machine code comes to: a function that moves changes a short row by so much, and says nothing of the change."""
NARROW = 0.05
"""An interval within so much of 1 shows that there is no difference to speak of; a wider one around 1 shows nothing."""
FEW_INSTRUCTIONS = 0.01
"""Counts of one build differ by less from run to run; the collector and malloc are what differs."""

RESTS_ON = (
    *("task.sleep0", "task.create", "task.gather-10", "task.call-soon", "task.call-later-cancel", "task.future"),
    *("task.group-10", "task.wait-for", "task.timeout-idle"),
    *("sync.lock", "sync.lock-contended", "sync.queue", "sync.queue-free", "sync.event"),
    *("work.threadsafe", "work.to-thread", "move.udp-1", "tls.requests"),
    *("net.protocol", "net.streams", "memory.connection"),
    *("install.import", "install.import-memory", "install.wheel", "install.objects"),
)
"""The rows that the design rests on: what is measured unless somebody names others."""

BATCH, BATCHES = 0.002, 50
"""Seconds of a batch, and how many: the best of them counts. On a busy machine most are disturbed, and few short ones are not."""
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


def interval(costs: Sequence[float]) -> tuple[float, float]:
    """Where the median of all possible pairs lies with `CONFIDENCE`, however they are distributed: between two of those that were seen.

    Half of all pairs lie below the median, so how many of n do is a matter of n coins. Fewer than six cannot show that much: their range
    is widened by itself on both sides, which is what three values of a normal distribution ask for.
    """
    seen, count = sorted(costs), len(costs)
    cut, tail = -1, 0.0
    for below in range(count // 2):
        tail += math.comb(count, below) / 2**count
        if 1 - 2 * tail < CONFIDENCE:
            break
        cut = below
    if cut >= 0:
        return seen[cut], seen[-1 - cut]
    width = seen[-1] - seen[0]
    return seen[0] - width, seen[-1] + width


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
        costs = [cost(before, after, metric) for before, after in pairs]
        return cls(base, this, cost(base, this, metric), *interval(costs))

    @property
    def by_figures(self) -> int:
        """1 where this build costs more, -1 where it costs less, 0 where neither does; `UNCLEAR` where the pairs do not tell."""
        if self.low > 1 and self.ratio > 1 + LEAST:
            return 1
        if self.high < 1 and self.ratio < 1 - LEAST:
            return -1
        return 0 if self.low > 1 - NARROW and self.high < 1 + NARROW else UNCLEAR


UNCLEAR = 2


def cost(base: float, this: float, metric: Metric) -> float:
    """The ratio as a cost; 1 where both are nothing."""
    above, below = (this, base) if metric.less_is_better else (base, this)
    return above / below if below else 1.0 if above == below else math.inf


def verdict(line: Line, metric: Metric) -> str:
    """What is to be said of a metric that was measured: figures that are clear tell it; instructions do, where figures are not.

    Both can be clear and contradict each other: then somebody has to look.
    """
    pairs = line.pairs[metric.key]
    exact = line.row.rounds == 1
    figures = Compared.of(pairs, metric).by_figures if exact or len(pairs) > 1 else UNCLEAR
    if line.instructions is not None:
        base, this = line.instructions
        ratio = this / max(base, 1)
        counted = 1 if ratio > 1 + FEW_INSTRUCTIONS else -1 if ratio < 1 - FEW_INSTRUCTIONS else 0
        if figures == UNCLEAR:
            figures = counted
        elif figures * counted == -1:
            figures = UNCLEAR
    words = {1: "larger", -1: "smaller"} if metric.is_size else {1: "slower", -1: "faster"}
    return (words | {0: "same", UNCLEAR: "unclear"})[figures]


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """What is measured in these rows: cede through asyncio's names, and where a row has that through its own."""
    lines = []
    for row in rows:
        # Clients and other programs set the pace of the whole; what the server takes for a request does not depend on them.
        metrics = (CAPACITY, USER) if row.kind in ("net", "http") else (row.metric,)
        lack = http_rows.lacking(*row.needs) if row.kind == "http" else "it is about this tree alone" if row.on_demand else ""
        lines += [Line(row, name, metrics, trouble=lack) for name in ((OURS, OWN) if row.own else (OURS,))]
    return lines


def rounds_of(line: Line, rounds: int, wished: bool) -> int:
    """How often a row is measured: fewer times where one takes long and hardly varies, unless somebody wants it."""
    most = 3 if line.row.kind == "memory" else line.row.rounds
    return rounds if wished or most is None else min(rounds, most)


def measure(build: Build, line: Line) -> dict[str, float]:
    """One measurement in a fresh process of a build. Raises `MeasureError`."""
    if line.row.kind in ("task", "work"):
        how = ["--batch", str(BATCH), "--batches", str(BATCHES), "--best"]
        return run_json("benchmarks.task_worker", [line.row.key, line.contestant, *how], PATIENCE, str(build.python))
    options = [line.row.key, line.contestant, "--programs", str(PLACE / "programs")]
    return run_json("benchmarks.compare.one", options, PATIENCE, str(build.python))


def one_pair(line: Line, builds: tuple[Build, Build], turned: bool, take: Callable[[Build, Line], dict[str, float]] | None = None) -> None:
    """Both builds, one right after the other; what fails is kept in the line, which is not measured again."""
    figures: dict[str, dict[str, float]] = {}
    for build in reversed(builds) if turned else builds:
        try:
            figures[build.name] = (take or measure)(build, line)
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
    operations = -(-int(line.operations * counter.seconds / (BATCHES * BATCH)) // least) * least or least
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


def costs_more(lines: Sequence[Line]) -> bool:
    """Whether any row is slower or larger than it was."""
    return any(verdict(line, metric) in ("slower", "larger") for line in lines for metric in line.metrics if line.pairs.get(metric.key))


def table(lines: Sequence[Line], names: tuple[str, str], counting: bool) -> Table:
    """What is printed: one line for each metric that was measured."""
    head = ["row", "through", *names, "ratio", "interval", "verdict"]
    whole = [head + (["instructions", names[1], "ratio"] if counting else [])]
    for line in lines:
        for metric in line.metrics:
            if not line.pairs.get(metric.key):
                continue
            seen = Compared.of(line.pairs[metric.key], metric)
            spread = f"{seen.low:.3f}-{seen.high:.3f}"
            name = line.row.key + ("" if metric == line.metrics[0] and line.row.metric == metric else f" ({metric.title})")
            medians = [figure(seen.base, metric), figure(seen.this, metric)]
            cells = [name, label(line.contestant, line.row.kind), *medians, f"{seen.ratio:.3f}", spread, verdict(line, metric)]
            if counting:
                both = line.instructions
                cells += ["-", "-", "-"] if both is None else [f"{both[0]:,.0f}", f"{both[1]:,.0f}", f"{both[1] / max(both[0], 1):.3f}"]
            whole.append(cells)
    return whole
