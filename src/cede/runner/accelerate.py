"""accelerate: a whole process on cede, its loops and asyncio's names.

What is put in asyncio's places is what `cede` exports under the same name. It stands in the package ``asyncio`` and in the public names of
its submodules, so that ``from asyncio.locks import Lock`` finds it too. A module that took a name before keeps what it has, which works as
it did: asyncio's own primitives run on cede's loops.

Names that this version of asyncio does not have stay missing, since programs look for them to learn what they may use.

Not replaced are `run`, `Runner` and `new_event_loop`, which ask for the process's loop and get one of cede's; classes of loops, since a
program that names one wants that one; and `Handle`, `TimerHandle` and `Server`, of which only a loop makes objects.

`Future` and `Task` are stood for by classes that make ours and recognise both kinds: a program may have asyncio's from a library, or from
a loop that is not cede's.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from cede.core import stdlib
from cede.core.scheduler.kernel import COMPILED
from cede.core.task.future import Future as OurFuture
from cede.core.task.task import Task as OurTask
from cede.runner import install, other_loops
from cede.runner.stand_in import stand_in

STAYS = frozenset(
    ("run", "Runner", "new_event_loop", "BaseEventLoop", "SelectorEventLoop", "EventLoop", "Handle", "TimerHandle", "Server")
)

# Where asyncio's own loops and tasks take these from: they go on making their own.
STAY_WITHIN = frozenset(("Future", "Task"))


def accelerate(*, names: bool = True) -> None:
    """Put this process on cede: from now on asyncio makes cede's loops, and asyncio's names mean cede's objects.

    To be called before the program's own modules are imported: what was taken out of asyncio by ``from asyncio import ...`` stays what it
    was. Any number of times. `cede run` does it for a program; `cede.run` and `cede.new_event_loop` never do. A loop of another kind that
    runs afterwards all the same is told of on standard error, once.

    names: False leaves asyncio's names alone, as ``cede run --stock`` does, and gives only the loops.
    """
    import cede

    if not COMPILED:
        from cede.core.build import tell_uncompiled

        tell_uncompiled()
    install.install(cede.new_event_loop)
    other_loops.watch()
    if not names:
        return
    replaced: dict[int, Any] = {}
    for name in set(cede.__all__) - STAYS:  # more than asyncio's own __all__, which leaves some out in some versions
        theirs = vars(asyncio).get(name)
        if theirs is not None and theirs is not getattr(cede, name) and not name.startswith("_"):
            ours = STAND_INS.get(name, getattr(cede, name))
            replaced[id(theirs)] = ours
            setattr(asyncio, name, ours)
    for name in ("Process", "SubprocessStreamProtocol"):
        replaced[id(vars(asyncio.subprocess)[name])] = getattr(cede.subprocess, name)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("asyncio."):
            for name in (*getattr(module, "__all__", ()), "SubprocessStreamProtocol"):
                ours = replaced.get(id(vars(module).get(name)))
                if ours is not None and name not in STAY_WITHIN:
                    setattr(module, name, ours)


STAND_INS = {"Future": stand_in("Future", OurFuture, stdlib.Future), "Task": stand_in("Task", OurTask, stdlib.Task)}
