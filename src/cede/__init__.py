"""cede: a fast, asyncio-compatible coroutine runtime.

    import cede

    async def main() -> None:
        await cede.sleep(1)

    cede.run(main())

Everything that asyncio offers runs on a cede loop unchanged: give `cede.new_event_loop` to ``asyncio.Runner`` or ``asyncio.run``
as ``loop_factory``, or call `cede.run`. `accelerate` puts the whole process on cede, asyncio's own names included.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

from cede import _names
from cede._version import __version__ as __version__

# isort: split
from cede.runner import loading as _loading  # noqa: F401 - before the first compiled module is loaded

# isort: split
# Both in time: the one before anybody can change asyncio's own names, the other before the package of its name is imported.
from cede.cluster.entry import cluster as cluster
from cede.core import lazy_imports as _lazily
from cede.core import stdlib as _stdlib
from cede.runner import reexports as _stock
from cede.runner.reexports import *  # noqa: F403 - asyncio's own, listed there

if TYPE_CHECKING:
    from cede.cluster.entry import to_cluster as to_cluster
    from cede.cluster.errors import ClusterLost as ClusterLost
    from cede.cluster.errors import ClusterWorkerDied as ClusterWorkerDied
    from cede.core.scheduler.coop import GreedyPlace as GreedyPlace
    from cede.core.scheduler.timers import TimerHandle as TimerHandle
    from cede.core.task.factory import stock_task_factory as stock_task_factory
    from cede.core.task.future import Future as Future
    from cede.core.task.handle import Handle as Handle
    from cede.core.task.task import Task as Task
    from cede.flows import aiter as aiter
    from cede.flows.flow import Flow as Flow
    from cede.flows.mapping import map as map
    from cede.loop.event_loop import EventLoop as EventLoop
    from cede.loop.statistics import LoopStatistics as LoopStatistics
    from cede.net.server.limits import ServerStatistics as ServerStatistics
    from cede.net.server.server import Server as Server
    from cede.offload.api import pools as pools
    from cede.offload.api import to_interpreter as to_interpreter
    from cede.offload.api import to_process as to_process
    from cede.offload.api import to_thread as to_thread
    from cede.offload.errors import RemoteTraceback as RemoteTraceback
    from cede.offload.errors import Unpicklable as Unpicklable
    from cede.offload.errors import WorkerDied as WorkerDied
    from cede.offload.interpreters import InterpreterPool as InterpreterPool
    from cede.offload.pool import Pool as Pool
    from cede.offload.pool import PoolFull as PoolFull
    from cede.offload.pool import PoolStatistics as PoolStatistics
    from cede.offload.processes import ProcessPool as ProcessPool
    from cede.offload.threads import ThreadPool as ThreadPool
    from cede.runner.accelerate import accelerate as accelerate
    from cede.runner.run import Runner as Runner
    from cede.runner.run import ShutdownError as ShutdownError
    from cede.runner.run import new_event_loop as new_event_loop
    from cede.runner.run import run as run
    from cede.streams import subprocess as subprocess
    from cede.streams.api import open_connection as open_connection
    from cede.streams.api import open_unix_connection as open_unix_connection
    from cede.streams.api import start_server as start_server
    from cede.streams.api import start_unix_server as start_unix_server
    from cede.streams.protocol import StreamReaderProtocol as StreamReaderProtocol
    from cede.streams.reader import StreamReader as StreamReader
    from cede.streams.subprocess import create_subprocess_exec as create_subprocess_exec
    from cede.streams.subprocess import create_subprocess_shell as create_subprocess_shell
    from cede.streams.writer import StreamWriter as StreamWriter
    from cede.sync.barrier import Barrier as Barrier
    from cede.sync.channel import ChannelStatistics as ChannelStatistics
    from cede.sync.channel import Receiver as Receiver
    from cede.sync.channel import Sender as Sender
    from cede.sync.channel import channel as channel
    from cede.sync.condition import Condition as Condition
    from cede.sync.errors import BrokenBarrierError as BrokenBarrierError
    from cede.sync.errors import BrokenResourceError as BrokenResourceError
    from cede.sync.errors import ClosedResourceError as ClosedResourceError
    from cede.sync.errors import EndOfChannel as EndOfChannel
    from cede.sync.errors import QueueEmpty as QueueEmpty
    from cede.sync.errors import QueueFull as QueueFull
    from cede.sync.errors import QueueShutDown as QueueShutDown
    from cede.sync.errors import WouldBlock as WouldBlock
    from cede.sync.event import Event as Event
    from cede.sync.lock import Lock as Lock
    from cede.sync.queue_types import LifoQueue as LifoQueue
    from cede.sync.queue_types import PriorityQueue as PriorityQueue
    from cede.sync.queue_types import Queue as Queue
    from cede.sync.semaphore import BoundedSemaphore as BoundedSemaphore
    from cede.sync.semaphore import Semaphore as Semaphore
    from cede.sync.thread_channel import ThreadChannel as ThreadChannel
    from cede.sync.thread_channel import thread_channel as thread_channel
    from cede.tasks.callgraph import FrameCallGraphEntry as FrameCallGraphEntry
    from cede.tasks.callgraph import FutureCallGraph as FutureCallGraph
    from cede.tasks.callgraph import capture_call_graph as capture_call_graph
    from cede.tasks.callgraph import format_call_graph as format_call_graph
    from cede.tasks.callgraph import future_add_to_awaited_by as future_add_to_awaited_by
    from cede.tasks.callgraph import future_discard_from_awaited_by as future_discard_from_awaited_by
    from cede.tasks.callgraph import print_call_graph as print_call_graph
    from cede.tasks.cancel_scope import CancelScope as CancelScope
    from cede.tasks.cancel_scope import current_effective_deadline as current_effective_deadline
    from cede.tasks.cancel_scope import fail_after as fail_after
    from cede.tasks.cancel_scope import fail_at as fail_at
    from cede.tasks.cancel_scope import move_on_after as move_on_after
    from cede.tasks.cancel_scope import move_on_at as move_on_at
    from cede.tasks.checkpoint import checkpoint as checkpoint
    from cede.tasks.eager import create_eager_task_factory as create_eager_task_factory
    from cede.tasks.eager import eager_task_factory as eager_task_factory
    from cede.tasks.gather import gather as gather
    from cede.tasks.sleep import create_task as create_task
    from cede.tasks.sleep import sleep as sleep
    from cede.tasks.task_group import TaskGroup as TaskGroup
    from cede.tasks.timeouts import Timeout as Timeout
    from cede.tasks.timeouts import timeout as timeout
    from cede.tasks.timeouts import timeout_at as timeout_at
    from cede.tasks.wait import ALL_COMPLETED as ALL_COMPLETED
    from cede.tasks.wait import FIRST_COMPLETED as FIRST_COMPLETED
    from cede.tasks.wait import FIRST_EXCEPTION as FIRST_EXCEPTION
    from cede.tasks.wait import as_completed as as_completed
    from cede.tasks.wait import ensure_future as ensure_future
    from cede.tasks.wait import shield as shield
    from cede.tasks.wait import wait as wait
    from cede.tasks.wait_for import wait_for as wait_for

    BaseEventLoop = SelectorEventLoop = EventLoop

_stdlib.__name__  # noqa: B018 - now, also where Python puts imports off
_lazily.own(globals(), "cluster")


def __getattr__(name: str) -> _Any:
    if name in globals():
        return _lazily.own(globals(), name)
    if name in _names.HOMES:
        found = getattr(_import_module(f"cede.{_names.HOMES[name]}"), name)
    elif name in _names.ALIASES:
        found = getattr(_import_module("cede"), _names.ALIASES[name])
    elif name in _names.MODULES:
        found = _import_module(f"cede.{_names.MODULES[name]}")
    elif name in _names.ROOMS:
        return _import_module(f"cede.{name}")
    else:
        return _stock.fallback(name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "run",
    "accelerate",
    "Runner",
    "ShutdownError",
    "new_event_loop",
    "EventLoop",
    "LoopStatistics",
    "GreedyPlace",
    "create_task",
    "sleep",
    "stock_task_factory",
    "Task",
    "Future",
    "Handle",
    "TimerHandle",
    "open_connection",
    "start_server",
    "open_unix_connection",
    "start_unix_server",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "subprocess",
    "StreamReader",
    "StreamWriter",
    "StreamReaderProtocol",
    "Lock",
    "Event",
    "Condition",
    "Semaphore",
    "BoundedSemaphore",
    "Barrier",
    "BrokenBarrierError",
    "Queue",
    "PriorityQueue",
    "LifoQueue",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "channel",
    "Sender",
    "Receiver",
    "ChannelStatistics",
    "thread_channel",
    "ThreadChannel",
    "WouldBlock",
    "EndOfChannel",
    "ClosedResourceError",
    "BrokenResourceError",
    "Server",
    "ServerStatistics",
    "TaskGroup",
    "Timeout",
    "timeout",
    "timeout_at",
    "wait_for",
    "checkpoint",
    "Flow",
    "CancelScope",
    "move_on_after",
    "move_on_at",
    "fail_after",
    "fail_at",
    "current_effective_deadline",
    "gather",
    "wait",
    "as_completed",
    "shield",
    "ensure_future",
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "capture_call_graph",
    "format_call_graph",
    "print_call_graph",
    "FrameCallGraphEntry",
    "FutureCallGraph",
    "future_add_to_awaited_by",
    "future_discard_from_awaited_by",
    "create_eager_task_factory",
    "eager_task_factory",
    "cluster",
    "to_cluster",
    "ClusterWorkerDied",
    "ClusterLost",
    "BaseEventLoop",
    "SelectorEventLoop",
    "__version__",
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
__all__ += _stock.__all__
