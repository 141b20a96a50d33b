"""What the loop calls, and tasks."""

from __future__ import annotations

from typing import Any

import cede

from ..world import Planned, Script, World
from .common import Called, Finalized, Finish, print_nothing, settle


def soon(world: World, script: Script) -> None:
    world.ticks.append(lambda: world.take_in(world.loop.call_soon, script))


def timer(world: World, script: Script) -> None:
    world.ticks.append(lambda: world.take_in(world.loop.call_later, script, 0.001))
    world.ticks.append(lambda: world.take_in(world.loop.call_at, script, 0.0))


def post(world: World, script: Script) -> None:
    world.ticks.append(lambda: world.take_in(world.loop.call_soon_threadsafe, script))


def done(world: World, script: Script) -> None:
    """Callbacks of futures, with comparisons and hashes of their own."""
    callback = Called(world, script)
    world.callbacks.append(callback)

    def tick() -> None:
        future = world.loop.create_future()
        future.add_done_callback(callback)
        future.add_done_callback(lambda future: world.act(script))
        world.futures.append(future)
        old = world.pick(world.futures, world.turn)
        if world.turn % 4 == 0:
            old.remove_done_callback(Called(world, script))
        if not old.done():
            old.set_result(Finalized(world, script))
        if len(world.futures) > 40:
            del world.futures[:20]

    world.ticks.append(tick)


def crowd(world: World, script: Script) -> None:
    """Many tasks that wait for futures, and much that is queued."""
    loop = world.loop

    async def waits(future: Any) -> None:
        await future

    futures = [loop.create_future() for _ in range(150)]
    world.futures.extend(futures)
    tasks = [loop.create_task(waits(future)) for future in futures]
    world.plain.extend(tasks)

    def tick() -> None:
        if world.turn % 7 == 3:
            for _ in range(100):
                loop.call_soon(print_nothing, Finalized(world, script))
            loop.call_soon(loop.stop)

    def between() -> None:
        """What is queued when nothing runs."""
        if not world.loop.is_closed():
            for future in world.futures[:150]:
                loop.call_soon(print_nothing, Finish(world, script, future))

    world.ticks.append(tick)
    world.ends.append(between)


def task(world: World, script: Script) -> None:
    """Tasks that act between their steps, in whatever they wait for."""
    loop = world.loop

    async def steps(kind: int) -> None:
        try:
            for round_ in range(20):
                world.act(script)
                if kind == 0:
                    await cede.sleep(0)
                elif kind == 1:
                    await cede.sleep(0.001)
                elif kind == 2:
                    future = loop.create_future()
                    loop.call_soon(settle, future)
                    await future
                else:
                    await cede.wait_for(cede.sleep(0.001 * (round_ % 3)), 0.001)
        except (Planned, TimeoutError):
            pass
        finally:
            world.act(script)

    def tick() -> None:
        if world.turn % 3 == 0:
            made = loop.create_task(steps(world.turn // 3 % 4))
            world.tasks.append(made)
            world.plain.append(made)
            if len(world.plain) > 400:
                del world.plain[:50]

    world.ticks.append(tick)
