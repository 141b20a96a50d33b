"""Work that would hold up the loop, done somewhere else: threads, processes, interpreters. One meaning of limit, cancel and failure for
all.

    async with cede.TaskGroup() as tg:
        tg.create_task(cede.to_thread(path.read_bytes))
        tg.create_task(cede.to_process(render, page, limit=2))

    async with cede.ProcessPool(4, name="render", queue=100) as pool:
        async for image in cede.map(functools.partial(pool.run, render), pages, limit=8):
            ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cede.core.lazy_imports import own
from cede.offload.api import pools as pools
from cede.offload.api import to_interpreter as to_interpreter
from cede.offload.api import to_process as to_process
from cede.offload.api import to_thread as to_thread

if TYPE_CHECKING:
    from cede.offload.errors import RemoteTraceback as RemoteTraceback
    from cede.offload.errors import Unpicklable as Unpicklable
    from cede.offload.errors import WorkerDied as WorkerDied
    from cede.offload.interpreters import InterpreterPool as InterpreterPool
    from cede.offload.pool import Pool as Pool
    from cede.offload.pool import PoolFull as PoolFull
    from cede.offload.pool import PoolStatistics as PoolStatistics
    from cede.offload.processes import ProcessPool as ProcessPool
    from cede.offload.threads import ThreadPool as ThreadPool

# What a program that sends no work away does not pay for: imported when it is asked for.
_LATER = {
    "RemoteTraceback": "errors",
    "Unpicklable": "errors",
    "WorkerDied": "errors",
    "InterpreterPool": "interpreters",
    "Pool": "pool",
    "PoolFull": "pool",
    "PoolStatistics": "pool",
    "ProcessPool": "processes",
    "ThreadPool": "threads",
}

__all__ = [
    "to_thread",
    "to_process",
    "to_interpreter",
    "ThreadPool",
    "ProcessPool",
    "InterpreterPool",
    "Pool",
    "PoolFull",
    "PoolStatistics",
    "pools",
    "WorkerDied",
    "RemoteTraceback",
    "Unpicklable",
]


def __getattr__(name: str) -> Any:
    if name in globals():
        return own(globals(), name)
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module 'cede.offload' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"cede.offload.{home}"), name)
    return found
