# cython: auto_pickle=False
"""An awaitable that is done: awaiting it takes no turn and gives None. It has no state, so one object serves everybody."""

from __future__ import annotations

from cede.core.task.awaitable import Operation

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED


class Done(Operation):
    """What ``__aexit__`` gives back where leaving needs no wait."""

    def advance(self) -> int:
        return ENDED


class Passing(Done):
    """For coroutines that would end without an await: on a fair loop they count, and may give way."""

    def may_give_way(self) -> bool:
        return True


DONE = Done()
PASSING = Passing()
