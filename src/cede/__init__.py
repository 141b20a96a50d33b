"""cede: a fast, asyncio-compatible coroutine runtime.

    import cede

    async def main() -> None:
        await cede.sleep(1)

    cede.run(main())

Everything that asyncio offers runs on a cede loop unchanged: give `cede.new_event_loop` to ``asyncio.Runner`` or ``asyncio.run``
as ``loop_factory``, or call `cede.run`.
"""

from typing import TYPE_CHECKING

from cede._version import __version__ as __version__
from cede.core.factory import stock_task_factory as stock_task_factory
from cede.core.future import Future as Future
from cede.core.handle import Handle as Handle
from cede.core.task import Task as Task
from cede.core.timers import TimerHandle as TimerHandle
from cede.loop.event_loop import EventLoop as EventLoop
from cede.net.limits import ServerStatistics as ServerStatistics
from cede.net.server import Server as Server
from cede.tools.runner import Runner as Runner
from cede.tools.runner import ShutdownError as ShutdownError
from cede.tools.runner import new_event_loop as new_event_loop
from cede.tools.runner import run as run
from cede.tools.sleep import create_task as create_task
from cede.tools.sleep import sleep as sleep
from cede.tools.streams import StreamReader as StreamReader
from cede.tools.streams import StreamReaderProtocol as StreamReaderProtocol
from cede.tools.streams import StreamWriter as StreamWriter
from cede.tools.streams import open_connection as open_connection
from cede.tools.streams import open_unix_connection as open_unix_connection
from cede.tools.streams import start_server as start_server
from cede.tools.streams import start_unix_server as start_unix_server
from cede.tools.sync.barrier import Barrier as Barrier
from cede.tools.sync.channel import ChannelStatistics as ChannelStatistics
from cede.tools.sync.channel import Receiver as Receiver
from cede.tools.sync.channel import Sender as Sender
from cede.tools.sync.channel import channel as channel
from cede.tools.sync.condition import Condition as Condition
from cede.tools.sync.errors import BrokenBarrierError as BrokenBarrierError
from cede.tools.sync.errors import BrokenResourceError as BrokenResourceError
from cede.tools.sync.errors import ClosedResourceError as ClosedResourceError
from cede.tools.sync.errors import EndOfChannel as EndOfChannel
from cede.tools.sync.errors import QueueEmpty as QueueEmpty
from cede.tools.sync.errors import QueueFull as QueueFull
from cede.tools.sync.errors import QueueShutDown as QueueShutDown
from cede.tools.sync.errors import WouldBlock as WouldBlock
from cede.tools.sync.event import Event as Event
from cede.tools.sync.lock import Lock as Lock
from cede.tools.sync.semaphore import BoundedSemaphore as BoundedSemaphore
from cede.tools.sync.semaphore import Semaphore as Semaphore
from cede.tools.sync.thread_channel import ThreadChannel as ThreadChannel
from cede.tools.sync.thread_channel import thread_channel as thread_channel

if TYPE_CHECKING:
    from cede.tools.sync.queue_types import LifoQueue as LifoQueue
    from cede.tools.sync.queue_types import PriorityQueue as PriorityQueue
    from cede.tools.sync.queue_types import Queue as Queue
else:
    from cede.tools.sync.queue import LifoQueue, PriorityQueue, Queue

__all__ = [
    "run",
    "Runner",
    "ShutdownError",
    "new_event_loop",
    "EventLoop",
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
    "__version__",
]
