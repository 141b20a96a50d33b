"""asyncio's own classes, as they are before `cede.accelerate` puts cede's in the places where programs find them.

What cede's objects claim to be by ``__class__``, what is recognised as asyncio's, and what cede itself leaves to asyncio, is looked up here
and not in asyncio: code that took a class from asyncio earlier still recognises our objects, and nothing of ours that hands on to asyncio
comes back to itself.
"""

from __future__ import annotations

from asyncio.events import Handle as Handle
from asyncio.events import TimerHandle as TimerHandle
from asyncio.futures import Future as Future
from asyncio.futures import wrap_future as wrap_future
from asyncio.locks import Barrier as Barrier
from asyncio.locks import BoundedSemaphore as BoundedSemaphore
from asyncio.locks import Condition as Condition
from asyncio.locks import Event as Event
from asyncio.locks import Lock as Lock
from asyncio.locks import Semaphore as Semaphore
from asyncio.queues import LifoQueue as LifoQueue
from asyncio.queues import PriorityQueue as PriorityQueue
from asyncio.queues import Queue as Queue
from asyncio.streams import FlowControlMixin as FlowControlMixin
from asyncio.streams import StreamReader as StreamReader
from asyncio.streams import StreamReaderProtocol as StreamReaderProtocol
from asyncio.streams import StreamWriter as StreamWriter
from asyncio.taskgroups import TaskGroup as TaskGroup
from asyncio.tasks import Task as Task
from asyncio.tasks import sleep as sleep
from asyncio.timeouts import Timeout as Timeout

from cede.core.lazy_imports import own

# Now, also where Python puts imports off: later these names mean cede's own.
for _name in list(globals()):
    own(globals(), _name)


def class_of(thing: object, original: type) -> type:
    """What an object of a subclass says of itself: its own class where that is the program's, `original` where it is one of ours."""
    own = type(thing)
    return original if str(own.__module__).startswith("cede.") else own
