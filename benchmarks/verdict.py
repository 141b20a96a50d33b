"""Who won: cede beside the best peer in every row, and whether the target is met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.loops import BARE, GOAL, OURS, OWN, PEERS

if TYPE_CHECKING:
    from benchmarks.harness import Cell, Results
    from benchmarks.rows import Metric, Row, Target


@dataclass(frozen=True)
class Verdict:
    """One line of the comparison."""

    row: Row
    contestant: str
    metric: Metric
    ours: float | None
    against: str
    """Whom it is measured against: the best peer by name, or who the target names; empty when nobody gave a figure."""
    theirs: float | None
    target: Target | None
    bare: float | None = None
    """What the same work takes without a loop, where that is measured."""

    @property
    def ratio(self) -> float | None:
        """Ours to theirs; None without both."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is no target or no figure."""
        return None if self.target is None or self.ratio is None else self.target.met(self.ratio)


def best_peer(cells: dict[str, Cell], metric: Metric) -> str:
    """The peer with the best median; empty when no peer has one."""
    known = {name: value for name in PEERS if name in cells and (value := cells[name].median(metric.key)) is not None}
    if not known:
        return ""
    return (min if metric.less_is_better else max)(known, key=known.__getitem__)


def judge(rows: tuple[Row, ...], results: Results, pure: bool) -> list[Verdict]:
    """A line for every row and target; rows without a target are compared with the best peer all the same."""
    lines: list[Verdict] = []
    for row in rows:
        cells = results[row.key]
        targets = row.pure_targets() if pure else row.targets
        for contestant in (OURS, OWN):
            if contestant == OWN and not row.own:
                continue
            mine = [target for target in targets if contestant in target.contestants]
            wanted: list[Target | None] = [*mine] or [None]
            for target in wanted:
                metric = target.metric if target else row.metric
                against = target.against if target and target.against != "best" else best_peer(cells, metric)
                ours = cells[contestant].median(metric.key) if contestant in cells else None
                theirs = target.bound if target and against == GOAL else cells[against].median(metric.key) if against in cells else None
                bare = cells[BARE].median(metric.key) if BARE in cells else None
                lines.append(Verdict(row, contestant, metric, ours, against if theirs is not None else "", theirs, target, bare))
    return lines
