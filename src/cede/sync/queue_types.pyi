"""The queues as a type checker is to see them: generic, and of asyncio's kind."""

import asyncio
from typing import TypeVar

T = TypeVar("T")

class Queue(asyncio.Queue[T]):
    def shutdown(self, immediate: bool = False) -> None: ...

class PriorityQueue(Queue[T]): ...
class LifoQueue(asyncio.LifoQueue[T], Queue[T]): ...
