"""Statements of locks, events, semaphores, conditions, barriers and queues."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from .world import Actor, Body, World, named, pick, plain, waiting

# What a queue that was shut raises, where asyncio's can be.
SHUT: tuple[Any, ...] = (asyncio.QueueShutDown,) if sys.version_info >= (3, 13) else ()


@waiting
async def lock(world: World, me: Actor, where: str, index: int, body: Body) -> None:
    async with pick(world.locks, index):
        world.touch()
        world.tell(f"{where} has lock {index}")
        await world.run(body, me, f"{where}b")


@plain
def let_go(world: World, me: Actor, where: str, index: int) -> str:
    """Somebody else's lock, perhaps."""
    try:
        pick(world.locks, index).release()
    except RuntimeError as error:
        return named(error)
    return "released"


@plain
def locked(world: World, me: Actor, where: str, index: int) -> str:
    return f"{pick(world.locks, index).locked()} {pick(world.semaphores, index).locked()}"


@waiting
async def acquire(world: World, me: Actor, where: str, index: int) -> Any:
    return await pick(world.locks, index).acquire()


@waiting
async def permit(world: World, me: Actor, where: str, index: int, body: Body) -> None:
    async with pick(world.semaphores, index):
        world.touch()
        world.tell(f"{where} has permit {index}")
        await world.run(body, me, f"{where}b")


@waiting
async def take_permit(world: World, me: Actor, where: str, index: int) -> Any:
    return await pick(world.semaphores, index).acquire()


@plain
def give_permit(world: World, me: Actor, where: str, index: int) -> Any:
    try:
        pick(world.semaphores, index).release()
    except ValueError as error:
        return named(error)
    return None


@waiting
async def wait_event(world: World, me: Actor, where: str, index: int) -> Any:
    return await pick(world.events, index).wait()


@plain
def set_event(world: World, me: Actor, where: str, index: int) -> None:
    pick(world.events, index).set()


@plain
def clear_event(world: World, me: Actor, where: str, index: int) -> None:
    pick(world.events, index).clear()


@waiting
async def condition(world: World, me: Actor, where: str, body: Body) -> None:
    async with world.conditions[0]:
        world.touch()
        world.tell(f"{where} has the condition")
        await world.run(body, me, f"{where}b")


@waiting
async def wait_condition(world: World, me: Actor, where: str) -> Any:
    return await world.conditions[0].wait()


@plain
def notify(world: World, me: Actor, where: str, many: int) -> Any:
    try:
        world.conditions[0].notify(many)
    except RuntimeError as error:
        return named(error)
    return None


@waiting
async def barrier(world: World, me: Actor, where: str, index: int) -> None:
    await pick(world.barriers, index).wait()  # its number is not told: asyncio may give one twice


@waiting
async def reset_barrier(world: World, me: Actor, where: str, index: int) -> None:
    await pick(world.barriers, index).reset()


@waiting
async def abort_barrier(world: World, me: Actor, where: str, index: int) -> None:
    await pick(world.barriers, index).abort()


# Not compared is what gets in between: where somebody waits already, for an item that is there by now, or for room, cede's queues promise
# him that he comes first, and asyncio's do not (docs/guarantees.md). No statement tries that.


def free_to_put(world: World, index: int) -> bool:
    queue = pick(world.queues, index)
    return queue.full() or not world.putting[queue]


def free_to_get(world: World, index: int) -> bool:
    queue = pick(world.queues, index)
    return queue.empty() or not world.getting[queue]


@waiting
async def put(world: World, me: Actor, where: str, index: int) -> Any:
    if not free_to_put(world, index):
        return "others wait"
    queue = pick(world.queues, index)
    item = world.number()
    world.putting[queue] += 1
    try:
        await queue.put(item)
    except SHUT as error:
        return named(error)
    finally:
        world.putting[queue] -= 1
    return item


@waiting
async def get(world: World, me: Actor, where: str, index: int) -> Any:
    if not free_to_get(world, index):
        return "others wait"
    queue = pick(world.queues, index)
    world.getting[queue] += 1
    try:
        return await queue.get()
    except SHUT as error:
        return named(error)
    finally:
        world.getting[queue] -= 1


@plain
def put_now(world: World, me: Actor, where: str, index: int) -> Any:
    if not free_to_put(world, index):
        return "others wait"
    item = world.number()
    try:
        pick(world.queues, index).put_nowait(item)
    except (asyncio.QueueFull, *SHUT, RuntimeError) as error:
        return named(error)
    return item


@plain
def get_now(world: World, me: Actor, where: str, index: int) -> Any:
    if not free_to_get(world, index):
        return "others wait"
    try:
        return pick(world.queues, index).get_nowait()
    except (asyncio.QueueEmpty, *SHUT, RuntimeError) as error:
        return named(error)


@plain
def task_done(world: World, me: Actor, where: str, index: int) -> Any:
    try:
        pick(world.queues, index).task_done()
    except ValueError as error:
        return named(error)
    return None


@plain
def shut(world: World, me: Actor, where: str, index: int, at_once: bool) -> Any:
    queue = pick(world.queues, index)
    if sys.version_info < (3, 13):
        return "not in this Python"  # but on cede
    queue.shutdown(immediate=at_once)
    return None


@waiting
async def join(world: World, me: Actor, where: str, index: int) -> None:
    await pick(world.queues, index).join()
