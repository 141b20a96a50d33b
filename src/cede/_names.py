"""Where each public name of cede lives: imported when somebody asks for it, so that a program pays for what it uses.

`cede` itself has no other list of them but the one for type checkers, and a test holds the two side by side.
"""

from __future__ import annotations

_BY_MODULE = {
    "cluster.entry": "cluster to_cluster",
    "cluster.errors": "ClusterLost ClusterWorkerDied",
    "core.scheduler.coop": "GreedyPlace",
    "core.scheduler.timers": "TimerHandle",
    "core.task.factory": "stock_task_factory",
    "core.task.future": "Future",
    "core.task.handle": "Handle",
    "core.task.task": "Task",
    "flows.flow": "Flow",
    "flows.mapping": "map",
    "loop.event_loop": "EventLoop",
    "loop.statistics": "LoopStatistics",
    "net.server.limits": "ServerStatistics",
    "net.server.server": "Server",
    "offload.api": "pools to_interpreter to_process to_thread",
    "offload.errors": "RemoteTraceback Unpicklable WorkerDied",
    "offload.interpreters": "InterpreterPool",
    "offload.pool": "Pool PoolFull PoolStatistics",
    "offload.processes": "ProcessPool",
    "offload.threads": "ThreadPool",
    "runner.accelerate": "accelerate",
    "runner.run": "Runner ShutdownError new_event_loop run",
    "streams.api": "open_connection open_unix_connection start_server start_unix_server",
    "streams.protocol": "StreamReaderProtocol",
    "streams.reader": "StreamReader",
    "streams.subprocess": "create_subprocess_exec create_subprocess_shell",
    "streams.writer": "StreamWriter",
    "sync.barrier": "Barrier",
    "sync.channel": "ChannelStatistics Receiver Sender channel",
    "sync.condition": "Condition",
    "sync.errors": "BrokenBarrierError BrokenResourceError ClosedResourceError EndOfChannel QueueEmpty QueueFull QueueShutDown WouldBlock",
    "sync.event": "Event",
    "sync.lock": "Lock",
    "sync.queue": "LifoQueue PriorityQueue Queue",
    "sync.semaphore": "BoundedSemaphore Semaphore",
    "sync.thread_channel": "ThreadChannel thread_channel",
    "tasks.callgraph": "FrameCallGraphEntry FutureCallGraph capture_call_graph format_call_graph future_add_to_awaited_by "
    "future_discard_from_awaited_by print_call_graph",
    "tasks.cancel_scope": "CancelScope current_effective_deadline fail_after fail_at move_on_after move_on_at",
    "tasks.checkpoint": "checkpoint",
    "tasks.eager": "create_eager_task_factory eager_task_factory",
    "tasks.gather": "gather",
    "tasks.sleep": "create_task sleep",
    "tasks.task_group": "TaskGroup",
    "tasks.timeouts": "Timeout timeout timeout_at",
    "tasks.wait": "ALL_COMPLETED FIRST_COMPLETED FIRST_EXCEPTION as_completed ensure_future shield wait",
    "tasks.wait_for": "wait_for",
}

# name -> module, without the "cede." before it
HOMES = {name: module for module, names in _BY_MODULE.items() for name in names.split()}
# asyncio's names of the loop's class
ALIASES = {"BaseEventLoop": "EventLoop", "SelectorEventLoop": "EventLoop"}
# What is a module itself, under another name than its own.
MODULES = {"aiter": "flows.aiter", "subprocess": "streams.subprocess"}
# Packages of ours that are found as attributes of `cede` whether they are imported or not; asyncio has a module called `streams` too.
ROOMS = frozenset(("core", "drivers", "flows", "loop", "net", "offload", "process", "runner", "streams", "sync", "tasks"))
