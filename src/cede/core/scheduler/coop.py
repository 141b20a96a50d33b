# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Fairness: a fair loop makes a task that never has to wait give way.

On a fair loop each step of a task has a budget. Each await of a cede object that completes at once costs one; when the budget is
exhausted, the next await gives way for one turn before it begins. The ends of blocks (``__aexit__``) cost nothing and never give way.

Invariants
----------
* An await that is forced to yield has done nothing yet. If the task is cancelled there, the await has taken nothing and holds nothing, and
  no object misses a cancellation that it should hear of. So a future yields only if it is done, and the end of a block never does.
* A step that exhausts its budget has completed at least one await: there is always progress, however small the budget.
* A budget is open while its loop runs, on the loop's thread. Threads share `budgets`: they replace the whole list, under a lock.
"""

from __future__ import annotations

import sys
import threading
from asyncio import events
from typing import Any, NamedTuple

from cede.core.scheduler.kernel import Kernel

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import current_frame

# The number of awaits a step, for ``fair=True``.
DEFAULT_BUDGET = 128

# `Budget` tells at most this many greedy places apart, and counts the rest together.
MOST_PLACES = 64


class GreedyPlace(NamedTuple):
    """A coroutine function that had to be forced to give way.

    task: the name of the last task that ran it then. where: "function() at file:line" of the await. yields: how often.
    """

    task: str
    where: str
    yields: int


class Budget:
    """The loop `kernel` allows each step of a task `limit` completed awaits. `forced` counts forced yields."""

    def __init__(self, kernel: Kernel, limit: int) -> None:
        self.kernel = kernel
        self.limit = limit
        self.count = 0
        self.step = 0
        self.forced = 0
        self.places: dict[Any, list[Any]] = {}

    def note(self) -> int:
        """Count a forced yield of the running task, and its place."""
        self.forced += 1
        self.count = 0
        frame = current_frame()
        while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("cede."):
            frame = frame.f_back
        code = None if frame is None else frame.f_code
        if code not in self.places and len(self.places) >= MOST_PLACES:
            code = None
        place = self.places.setdefault(code, [0, None, 0])
        place[0] += 1
        place[1] = self.kernel._announced_task
        place[2] = 0 if frame is None or code is None else frame.f_lineno
        if not isinstance(place[1], str):
            place[1] = place[1].get_name()
        return 0

    def greedy(self) -> tuple[GreedyPlace, ...]:
        """The places of forced yields, the most frequent first."""
        found = []
        for code, (count, task, line) in self.places.items():
            where = "elsewhere" if code is None else f"{code.co_qualname}() at {code.co_filename}:{line}"
            found.append(GreedyPlace(task, where, count))
        found.sort(key=lambda place: -place.yields)
        return tuple(found)

    def open(self) -> None:
        """Call this when the loop begins to run."""
        if self.kernel is None:
            raise RuntimeError("the budget is not initialized")
        with changes:
            set_budgets([*budgets, self])

    def close(self) -> None:
        """Call this when the loop stops running."""
        with changes:
            set_budgets([budget for budget in budgets if budget is not self])


# The budgets of all fair loops that run, and the one that `budget_here` found last.
budgets: list[Budget] = []
latest: Any = None
changes = threading.RLock()  # a finalizer of this thread may come in between


def set_budgets(found: list[Any]) -> None:
    global budgets, latest  # noqa: PLW0603 - read without the lock
    budgets = found
    latest = None
    if cython.compiled:
        checkpoint_hook.loops = len(found)  # type: ignore # noqa: F821
    elif found:
        for owner, name, fair in DOORS:
            make_fair(owner, name, fair)
    else:
        for owner, names in REPLACED.items():
            for name, plain in names.items():
                setattr(owner, name, plain)
        REPLACED.clear()


def forget_after_fork() -> None:
    """Forget the running loops in a forked child: they are the parent's."""
    global changes  # noqa: PLW0603 - another thread of the parent may have held it
    changes = threading.RLock()
    set_budgets([])


def budget_here() -> Any:
    """The budget of the task that runs on this thread, or None. Resets it if a new step has begun."""
    global latest  # noqa: PLW0603
    budget = latest
    if cython.compiled:
        if budget is None or not is_this_thread(budget.kernel._thread_id):  # type: ignore # noqa: F821
            budget = None
            for each in budgets:
                if is_this_thread(each.kernel._thread_id):  # type: ignore # noqa: F821
                    budget = latest = each
    else:
        loop: Any = events._get_running_loop()  # type: ignore[attr-defined]
        if budget is None or budget.kernel is not loop:
            budget = None
            for each in budgets:
                if each.kernel is loop:
                    budget = latest = each
    if budget is None or budget.kernel._announced_task is None:
        return None
    if budget.step != budget.kernel.steps:
        budget.step = budget.kernel.steps
        budget.count = 0
    return budget


def budget_exhausted() -> bool:
    """Whether the running task has to give way before its next await."""
    budget = budget_here()
    return budget is not None and budget.count >= budget.limit


def record_forced_yield() -> None:
    """Count one forced yield for the running task."""
    budget = budget_here()
    if budget is not None:
        budget.note()


def record_await() -> None:
    """Count one completed await for the running task."""
    budget = budget_here()
    if budget is not None:
        budget.count += 1


if cython.compiled:
    checkpoint_hook.budget_exhausted = budget_exhausted  # type: ignore # noqa: F821
    checkpoint_hook.record_forced_yield = record_forced_yield  # type: ignore # noqa: F821
    checkpoint_hook.record_await = record_await  # type: ignore # noqa: F821
    checkpoint_hook.loops = 0  # type: ignore # noqa: F821

    def door() -> Any:
        return cython.address(checkpoint_hook)  # type: ignore # noqa: F821


def any_fair() -> bool:
    """Whether any fair loop runs in this process. Modules that are not compiled ask this."""
    return len(budgets) > 0


# Uncompiled: (class, name, wrapper) of each method that is awaited; while a fair loop runs, `wrapper(method)` replaces the method.
DOORS: list[tuple[type, str, Any]] = []
REPLACED: dict[type, dict[str, Any]] = {}


def fair_here(owner: type, name: str, replacement: Any) -> None:
    """Uncompiled: while a fair loop runs, let ``replacement(owner.name)`` take the place of ``owner.name``."""
    with changes:
        DOORS.append((owner, name, replacement))
        if budgets:
            make_fair(owner, name, replacement)  # a fair loop already runs while this module is loaded


def make_fair(owner: type, name: str, replacement: Any) -> None:
    if name not in REPLACED.setdefault(owner, {}):
        REPLACED[owner][name] = vars(owner)[name]
        setattr(owner, name, replacement(vars(owner)[name]))


def fair_iterator(plain: Any) -> Any:
    """Put the checkpoint hook before `plain`, the `__await__` of a family of awaitables."""

    def __await__(self: Any) -> Any:
        counts = self.may_give_way()
        try:
            if counts and budget_exhausted():
                record_forced_yield()
                try:
                    yield None
                except BaseException:
                    if hasattr(self, "abandon"):
                        self.abandon()
                    raise
            return (yield from plain(self))
        finally:
            if counts:
                record_await()
            del self  # an error's traceback holds this frame

    return __await__


def limit_of(fair: Any, asked_by: str = "fair") -> int:
    """`fair` as a number of awaits; 0 for a loop that is not fair. Raises TypeError or ValueError for anything else."""
    if fair is None or fair is False:
        return 0
    if fair is True:
        return DEFAULT_BUDGET
    if not isinstance(fair, int):
        raise TypeError(f"{asked_by} must be True, False or a number of awaits, got {fair!r}")
    if fair < 1:
        raise ValueError(f"{asked_by} must be 1 await or more, got {fair}")
    return min(fair, sys.maxsize)
