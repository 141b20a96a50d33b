"""What a loop tells of itself: counts that are kept anyway, read when somebody asks."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from cede.core.scheduler.coop import Budget, GreedyPlace
from cede.core.weak_ordered_set import WeakOrderedSet
from cede.loop.mixin import LoopMixin
from cede.loop.unfinished import open_transports


class LoopStatistics(NamedTuple):
    """What `EventLoop.statistics` tells.

    turns, steps: how many there were since the loop was made; a step is a task's, or a callback. Their ratio tells how busy a turn is.
    ready: what is to run in the next turn. A number that stays high means that the loop cannot keep up.
    posted: whether other threads, or signals, have handed something in that the loop has not seen yet.
    timers: how many are set, sleeping tasks and deadlines included.
    tasks: how many are not done.
    transports, servers, children: how many connections and pipes are open, servers were not closed, and child processes are watched.
    longest_step: seconds of the longest step, and `longest_step_of`: what that was. Both None unless ``loop.watch_steps`` is True, or
        the loop is in debug mode: then each step costs two looks at the clock.
    fair: how many awaits a task may do in a step; 0 where the loop is not fair. forced_yields: how often a task was made to give way.
    greedy: a `GreedyPlace` for each coroutine function that was, most often first.
    """

    turns: int
    steps: int
    ready: int
    posted: bool
    timers: int
    tasks: int
    transports: int
    servers: int
    children: int
    longest_step: float | None
    longest_step_of: str | None
    fair: int
    forced_yields: int
    greedy: tuple[GreedyPlace, ...]


class StatisticsMixin(LoopMixin):
    """Counts."""

    _budget: Budget | None
    _servers: WeakOrderedSet
    _children: dict[Any, None]
    turns: int
    steps: int
    _batches: int
    longest_step: float
    longest_step_of: str | None

    def statistics(self) -> LoopStatistics:
        """Counts of this loop, at this moment. It looks at each task and transport once, so ask every second, not every millisecond.

        Not thread-safe: numbers that are read from another thread may be a little apart.
        """
        budget = self._budget
        measured = self.longest_step >= 0.0
        closed = self.is_closed()
        return LoopStatistics(
            turns=self.turns,
            steps=self.steps - self._batches,
            ready=self.ready_count(),
            posted=self._has_posts(),
            timers=self.timer_count(),
            tasks=sum(not task.done() for task in asyncio.all_tasks(self)),
            transports=0 if closed else len(open_transports(self)) - len(self._children),
            servers=len(self._servers),
            children=len(self._children),
            longest_step=self.longest_step if measured else None,
            longest_step_of=self.longest_step_of if measured else None,
            fair=0 if budget is None else budget.limit,
            forced_yields=0 if budget is None else budget.forced,
            greedy=() if budget is None else budget.greedy(),
        )
