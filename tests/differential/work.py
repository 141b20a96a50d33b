"""Statements of tasks, futures, callbacks and timers, and of the tools that wait for several of them."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from . import subjects
from .clock import UNIT
from .world import Actor, Body, Boom, World, named, outcome, pick, plain, waiting

# Since 3.13, and on cede everywhere, a request that is taken back before it was delivered is not delivered.
UNCANCEL_DROPS = sys.version_info >= (3, 13)
EAGER = sys.version_info >= (3, 12)
RETURN_WHEN = (asyncio.ALL_COMPLETED, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION)


# -- callbacks and timers


@plain
def call_soon(world: World, me: Actor, where: str, body: Body) -> None:
    world.handles.append(world.loop.call_soon(world.callback(body, f"{where}!")))


@plain
def post(world: World, me: Actor, where: str, body: Body) -> None:
    world.ring(2)
    world.handles.append(world.loop.call_soon_threadsafe(world.callback(body, f"{where}!")))


@plain
def call_later(world: World, me: Actor, where: str, units: int, body: Body) -> None:
    delay = world.clock.delay(units)
    world.handles.append(world.loop.call_later(delay, world.callback(body, f"{where}!")))


@plain
def call_in_the_past(world: World, me: Actor, where: str, units: int, body: Body) -> None:
    when = world.loop.time() - UNIT * 8 + world.clock.delay(units)
    world.handles.append(world.loop.call_at(when, world.callback(body, f"{where}!")))


@plain
def cancel_handle(world: World, me: Actor, where: str, index: int) -> Any:
    if world.handles:
        pick(world.handles, index).cancel()
    return None


@plain
def tick(world: World, me: Actor, where: str, units: int) -> None:
    """The step takes long."""
    world.clock.units += units


@plain
def stop(world: World, me: Actor, where: str) -> None:
    world.loop.stop()


@plain
def who(world: World, me: Actor, where: str) -> str:
    task = asyncio.current_task(world.loop)
    # asyncio has tasks of its own, for what its servers accept.
    there = sum(each in world.names for each in asyncio.all_tasks(world.loop))
    return f"{world.names.get(task, 'a task') if task else 'no task'} of {there}"


# -- futures


@plain
def new_future(world: World, me: Actor, where: str) -> None:
    world.unset.append(world.keep(world.loop.create_future(), where))


@plain
def set_result(world: World, me: Actor, where: str, index: int) -> str:
    return finish(world, index, lambda future: future.set_result(where))


@plain
def set_exception(world: World, me: Actor, where: str, index: int) -> str:
    return finish(world, index, lambda future: future.set_exception(Boom(where)))


def finish(world: World, index: int, how: Any) -> str:
    if not world.unset:
        return "no future"
    future = pick(world.unset, index)
    if future.done():
        return "done already"
    how(future)
    return world.names[future]


@plain
def cancel(world: World, me: Actor, where: str, index: int) -> str:
    future = world.future(index)
    return f"{world.names[future]} {future.cancel()}"


@plain
def cancel_because(world: World, me: Actor, where: str, index: int) -> str:
    future = world.future(index)
    return f"{world.names[future]} {future.cancel(where)}"


@plain
def uncancel(world: World, me: Actor, where: str) -> Any:
    task = asyncio.current_task(world.loop)
    if task is None or (task._must_cancel and not UNCANCEL_DROPS):  # type: ignore[attr-defined]
        return "not now"
    return task.uncancel()


@plain
def cancelling(world: World, me: Actor, where: str) -> Any:
    task = asyncio.current_task(world.loop)
    return None if task is None else task.cancelling()


@plain
def when_done(world: World, me: Actor, where: str, index: int, body: Body) -> str:
    future = world.future(index)
    callback = world.callback(body, f"{where}!")
    future.add_done_callback(callback)
    world.added.append((future, callback))
    return world.names[future]


@plain
def not_when_done(world: World, me: Actor, where: str, index: int) -> Any:
    if not world.added:
        return None
    future, callback = pick(world.added, index)
    return future.remove_done_callback(callback)


@plain
def state(world: World, me: Actor, where: str, index: int) -> str:
    future = world.future(index)
    return f"{world.names[future]} {outcome(future)}"


@plain
def spawn(world: World, me: Actor, where: str, body: Body) -> None:
    world.spawn(body, where, me.groups)


@plain
def spawn_eagerly(world: World, me: Actor, where: str, body: Body) -> Any:
    """A task that begins at once, in the middle of whoever makes it."""
    if not EAGER:
        return "not in this Python"
    world.active += 1
    options: dict[str, Any] = {"eager_start": True}
    world.keep(asyncio.Task(world.act(body, Actor(where, me.groups)), loop=world.loop, **options), where)
    return None


@plain
def fail(world: World, me: Actor, where: str) -> None:
    raise Boom(where)


# -- waiting


@waiting
async def sleep(world: World, me: Actor, where: str, units: int) -> None:
    await asyncio.sleep(world.clock.delay(units) if units else 0)


@waiting
async def spin(world: World, me: Actor, where: str, turns: int, units: int) -> None:
    """Give way again and again, while the clock goes on."""
    world.spun += turns
    for turn in range(turns):
        world.touch()
        if units and turn % 8 == 7:
            world.clock.units += units
        await asyncio.sleep(0)


@waiting
async def wait_future(world: World, me: Actor, where: str, index: int) -> str:
    for future in world.to_wait_for([index]):
        with world.waits_for([future]):
            return f"{world.names[future]} {await future}"
    return "nothing"


@waiting
async def attempt(world: World, me: Actor, where: str, body: Body, handler: Body) -> Any:
    """try, except."""
    try:
        await world.run(body, me, f"{where}t")
    except (Exception, asyncio.CancelledError) as error:
        world.tell(f"{where} caught {named(error)}")
        await world.run(handler, me, f"{where}e")
    return None


@waiting
async def at_last(world: World, me: Actor, where: str, body: Body, handler: Body) -> Any:
    """try, finally."""
    try:
        await world.run(body, me, f"{where}t")
    finally:
        await world.run(handler, me, f"{where}f")


@waiting
async def gather(world: World, me: Actor, where: str, bodies: list[Body], indices: list[int], errors_too: bool) -> str:
    """New coroutines and what is there already."""
    future = gathered(world, me, where, bodies, indices, errors_too)
    with world.waits_for([future]):
        return str(listed(await future))


@plain
def gather_later(world: World, me: Actor, where: str, bodies: list[Body], indices: list[int], errors_too: bool) -> Any:
    """A gathering that somebody else waits for, or cancels."""
    if asyncio.current_task(world.loop) is None:
        return "not in a callback"
    world.keep(gathered(world, me, where, bodies, indices, errors_too), where)
    return None


def gathered(world: World, me: Actor, where: str, bodies: list[Body], indices: list[int], errors_too: bool) -> Any:
    world.active += len(bodies)
    actors = [Actor(f"{where}g{at}", me.groups) for at in range(len(bodies))]
    there = world.to_wait_for(indices)
    future = asyncio.gather(*map(world.act, bodies, actors), *there, return_exceptions=errors_too)
    world.needs[future] = there
    for actor in actors:
        actor.within = there
    return future


def listed(results: Any) -> list[str]:
    return [named(each) if isinstance(each, BaseException) else str(each) for each in results]


@waiting
async def group(world: World, me: Actor, where: str, bodies: list[Body], body: Body) -> None:
    before = me.groups
    try:
        async with asyncio.TaskGroup() as made:
            me.groups = (*before, (made, world.needs.setdefault(asyncio.current_task(world.loop), [])))
            for at, each in enumerate(bodies):
                in_group(world, me, f"{where}k{at}", each)
            await world.run(body, me, f"{where}b")
    finally:
        me.groups = before


@plain
def child(world: World, me: Actor, where: str, body: Body) -> Any:
    """A task of the group around, made by whoever is in it."""
    if not me.groups:
        return "no group"
    try:
        in_group(world, me, where, body)
    except RuntimeError as error:
        return named(error)
    return None


def in_group(world: World, me: Actor, name: str, body: Body) -> None:
    world.active += 1
    coroutine = world.act(body, Actor(name, me.groups))
    made, needs = me.groups[-1]
    try:
        task = world.keep(made.create_task(coroutine), name)
        needs.append(task)  # of the task in whose block it is
    except RuntimeError:
        world.active -= 1
        coroutine.close()
        raise


@waiting
async def limit(world: World, me: Actor, where: str, units: int, body: Body) -> bool:
    before = me.limits
    try:
        async with asyncio.timeout(world.clock.delay(units)) as made:
            me.limits = (*before, made)
            await world.run(body, me, f"{where}b")
    finally:
        me.limits = before
    return made.expired()


@plain
def move_limit(world: World, me: Actor, where: str, units: int) -> Any:
    if not me.limits:
        return "no limit"
    try:
        me.limits[-1].reschedule(None if units < 0 else world.loop.time() + world.clock.delay(units))
    except RuntimeError as error:
        return named(error)
    return None


@waiting
async def wait_for_body(world: World, me: Actor, where: str, units: int, body: Body) -> str:
    inner = Actor(f"{where}w", me.groups)
    world.active += 1
    return str(await subjects.wait_for(world.act(body, inner), world.clock.delay(units)))


@waiting
async def wait_for_future(world: World, me: Actor, where: str, units: int, index: int) -> str:
    for future in world.to_wait_for([index]):
        with world.waits_for([future]):
            return f"{world.names[future]} {await subjects.wait_for(future, world.clock.delay(units))}"
    return "nothing"


@waiting
async def shielded(world: World, me: Actor, where: str, index: int) -> str:
    for future in world.to_wait_for([index]):
        with world.waits_for([future]):
            return f"{world.names[future]} {await asyncio.shield(future)}"
    return "nothing"


@plain
def shield_later(world: World, me: Actor, where: str, index: int) -> Any:
    inner = world.future(index)
    world.needs[world.keep(asyncio.shield(inner), where)] = [inner]
    return None


@waiting
async def wait(world: World, me: Actor, where: str, indices: list[int], when: int, units: int) -> str:
    futures = world.to_wait_for(indices)
    if not futures:
        return "nothing"
    timeout = None if units < 0 else world.clock.delay(units)
    with world.waits_for(futures):
        done, pending = await asyncio.wait(futures, timeout=timeout, return_when=pick(list(RETURN_WHEN), when))
    return f"{sorted(world.names[each] for each in done)} {sorted(world.names[each] for each in pending)}"


@waiting
async def as_completed(world: World, me: Actor, where: str, indices: list[int], units: int) -> None:
    # Of those that are done already asyncio's order is that of their addresses.
    futures = [future for future in dict.fromkeys(world.to_wait_for(indices)) if not future.done()]
    timeout = None if units < 0 else world.clock.delay(units)
    with world.waits_for(futures):
        await one_by_one(world, where, futures, timeout)


async def one_by_one(world: World, where: str, futures: list[Any], timeout: float | None) -> None:
    for at, each in enumerate(asyncio.as_completed(futures, timeout=timeout)):
        world.touch()
        try:
            world.tell(f"{where} {at} {await each}")
        except (Exception, asyncio.CancelledError) as error:
            world.tell(f"{where} {at} {named(error)}")
            if isinstance(error, TimeoutError) or asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
