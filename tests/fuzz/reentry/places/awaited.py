"""What is awaited, has code of its own, and stands in a queue or under a time limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cede

from ..actions import Item
from ..world import Planned, Script, World
from .common import nap


class Odd:
    """A future of somebody else's making."""

    _asyncio_future_blocking = False

    def __init__(self, world: World, script: Script) -> None:
        self._loop = world.loop
        self.world = world
        self.script = script
        self.callback: Any = None

    def get_loop(self) -> Any:
        self.world.act(self.script)
        return self._loop

    def add_done_callback(self, callback: Any, *, context: Any = None) -> None:
        self.callback = callback
        self.world.act(self.script)

    def remove_done_callback(self, callback: Any) -> int:
        self.world.act(self.script)
        return 0

    def cancel(self, msg: Any = None) -> bool:
        self.world.act(self.script)
        return False

    def done(self) -> bool:
        return False

    def result(self) -> Any:
        self.world.act(self.script)

    def exception(self) -> Any:
        return None

    def cancelled(self) -> bool:
        return False

    def __await__(self) -> Iterator[Any]:
        self.world.act(self.script)
        self._asyncio_future_blocking = True
        yield self
        self.world.act(self.script)

    def __eq__(self, other: object) -> bool:
        self.world.act(self.script)
        return self is other

    def __hash__(self) -> int:
        self.world.act(self.script)
        return id(self)


class Hand:
    """An awaitable whose iterator is written by hand."""

    def __init__(self, world: World, script: Script, yields: Any = None) -> None:
        self.world = world
        self.script = script
        self.left = 3
        self.yields = yields

    def __await__(self) -> Any:
        self.world.act(self.script)
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        self.world.act(self.script)
        self.left -= 1
        if self.left < 0:
            raise StopIteration(None)
        return self.yields

    def throw(self, *error: Any) -> Any:
        self.world.act(self.script)
        raise error[0] if isinstance(error[0], BaseException) else error[0]()

    def close(self) -> None:
        self.world.act(self.script)


def awaitable(world: World, script: Script) -> None:
    """What is awaited has code of its own, under each of the things that wait for it."""
    loop = world.loop

    async def waits(kind: int, thing: Any) -> None:
        try:
            if kind == 0:
                await thing
            elif kind == 1:
                await cede.wait_for(thing, 0.002)
            elif kind == 2:
                async with cede.timeout(0.001):
                    await thing
            elif kind == 3:
                await cede.gather(thing, cede.sleep(0), return_exceptions=True)
            elif kind == 4:
                with cede.move_on_after(0.001):
                    await thing
            elif kind == 5:
                async with cede.TaskGroup() as group:
                    group.create_task(waits(0, thing))
                    group.create_task(nap())
                    world.act(script)
            elif kind == 6:
                await cede.shield(thing)
            else:
                await cede.wait([cede.ensure_future(thing)], timeout=0.001)
        except (Planned, TimeoutError, RuntimeError, TypeError, OSError, StopAsyncIteration, MemoryError, BaseExceptionGroup):
            pass

    def tick() -> None:
        kind = world.turn // 2 % 8
        thing = Odd(world, script) if world.turn % 2 else Hand(world, script)
        made = loop.create_task(waits(kind, thing))
        world.tasks.append(made)

    world.ticks.append(tick)


def primitives(world: World, script: Script) -> None:
    """Queues, locks, events, with tasks on both sides."""
    loop = world.loop
    queues = [cede.Queue(2), cede.PriorityQueue(3), cede.LifoQueue(1)]
    lock, semaphore, event, condition = cede.Lock(), cede.Semaphore(2), cede.Event(), cede.Condition()
    world.queues += queues
    world.locks += [lock, semaphore]
    world.events.append(event)

    async def producer(queue: Any) -> None:
        for number in range(10):
            await queue.put(Item(world, script, number))

    async def consumer(queue: Any) -> None:
        for _ in range(10):
            await queue.get()
            world.act(script)
            queue.task_done()

    async def user() -> None:
        try:
            async with lock:
                world.act(script)
                await cede.sleep(0)
            async with semaphore:
                world.act(script)
                await cede.sleep(0)
            async with condition:
                world.act(script)
                condition.notify()
        except RuntimeError:
            pass  # released by another

    async def notified() -> None:
        async with condition:
            await cede.wait_for(condition.wait(), 0.01)
        await event.wait()

    def tick() -> None:
        if world.turn % 3:
            return
        queue = queues[world.turn // 3 % 3]
        for coroutine in (producer(queue), consumer(queue), user(), notified()):
            made = loop.create_task(coroutine)
            world.tasks.append(made)
            world.plain.append(made)
        if len(world.plain) > 400:
            del world.plain[:50]

    world.ticks.append(tick)


def generator(world: World, script: Script) -> None:
    """Generators, of both kinds, that are left in the middle, and coroutines that are closed or never begun."""
    loop = world.loop

    async def numbers() -> Any:
        try:
            for number in range(5):
                world.act(script)
                yield number
                await cede.sleep(0)
        finally:
            world.act(script)

    async def reads() -> None:
        async for number in numbers():
            world.act(script)
            if number == 1:
                break

    async def closes() -> None:
        try:
            await loop.create_future()
        finally:
            world.act(script)

    def tick() -> None:
        world.tasks.append(loop.create_task(reads()))
        coroutine = closes()
        try:
            coroutine.send(None)
        except BaseException:
            pass
        coroutine.close()
        world.tasks.append(loop.create_task(closes()))
        world.tasks[-1].cancel()

    world.ticks.append(tick)
