"""Where things die: queues that are closed full, finalizers, weak references, the collector on a thread of its own."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import weakref
from typing import Any

import cede

from ..actions import BIG
from ..world import Planned, Script, World
from .common import Finalized, Finish, nap, print_nothing, start


def dropped_full(world: World, script: Script) -> None:
    """Another loop, which is closed while much is queued whose finalizers wake tasks of that loop."""

    def tick() -> None:
        if world.turn % 11 != 5:
            return
        loop = type(world.loop)()
        loop.set_exception_handler(lambda loop, context: None)

        async def waits(future: Any) -> None:
            await future

        futures = [loop.create_future() for _ in range(200)]
        tasks = [loop.create_task(waits(future)) for future in futures]
        try:
            for _ in range(2):
                if asyncio._get_running_loop() is None:
                    loop.call_soon(loop.stop)
                    loop.run_forever()
                else:
                    # Stepped by hand, beside the one that runs.
                    tasks_loop = asyncio._get_running_loop()
                    asyncio._set_running_loop(None)
                    try:
                        loop.call_soon(loop.stop)
                        loop.run_forever()
                    finally:
                        asyncio._set_running_loop(tasks_loop)
            for future in futures:
                loop.call_soon(print_nothing, Finish(world, script, future))
                loop.call_later(1000, print_nothing, Finish(world, script, future))
        finally:
            loop.close()
            for task in tasks:
                task._log_destroy_pending = False
        futures.clear()

    world.ticks.append(tick)


def finalizer(world: World, script: Script) -> None:
    """Objects that die: by the last reference, in a cycle, in a future, in a callback, in a task's locals, in an exception."""
    loop = world.loop

    async def holds(end: Any) -> None:
        await cede.sleep(0)
        raise Planned(end)

    def tick() -> None:
        kind = world.turn % 6
        end = Finalized(world, script)
        if kind == 0:
            end.me = end
        elif kind == 1:
            loop.call_soon(print_nothing, end)
        elif kind == 2:
            loop.call_later(0.001, print_nothing, end).cancel()
        elif kind == 3:
            world.tasks.append(loop.create_task(holds(end)))
        elif kind == 4:
            future = loop.create_future()
            future.set_result(end)
            loop.call_soon(print_nothing, future)
        else:
            loop.call_later(1000, print_nothing, end)
            gc.collect(0)

    world.ticks.append(tick)


def weak(world: World, script: Script) -> None:
    loop = world.loop

    def tick() -> None:
        made: list[Any] = [loop.create_future(), loop.call_soon(print_nothing), loop.create_task(cede.sleep(0) if False else nap())]
        world.keep[:] = [weakref.ref(thing, lambda ref: world.act(script)) for thing in made]

    world.ticks.append(tick)


def collector(world: World, script: Script) -> None:
    """The collector on a thread of its own, some moments after there is something to collect; and long sends, which give up the
    interpreter's lock meanwhile."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    stop = threading.Event()
    go = threading.Semaphore(0)
    moments = 0
    gc.disable()  # `World.end` enables it again

    def run() -> None:
        while True:
            go.acquire()
            if stop.is_set():
                return
            sum(range(moments * 97 % 2000))
            gc.collect(0)

    thread = threading.Thread(target=run, daemon=True)
    loop = world.loop

    class Abort:
        def __init__(self, transport: Any) -> None:
            self.transport = transport
            self.me = self

        def __del__(self) -> None:
            if not world.over:
                self.transport.abort()
            world.act(script)

    def reads(sock: socket.socket) -> None:
        try:
            while sock.recv(1 << 20):
                pass
        except OSError:
            pass
        sock.close()

    readers: list[threading.Thread] = []

    async def sends() -> None:
        nonlocal moments
        for round_ in range(60):
            moments += 1
            one, other = socket.socketpair()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
            transport.set_write_buffer_limits(1 << 30)
            transport.write(bytes(BIG))
            if round_ % 2:
                transport.writelines([bytes(70_000), bytes(BIG // 2)])
            reader = threading.Thread(target=reads, args=(other,), daemon=True)
            readers.append(reader)
            world.transports.append(transport)
            reader.start()
            Abort(transport)
            go.release()
            for _ in range(6):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            transport.abort()

    def end() -> None:
        stop.set()
        go.release()
        thread.join(20)
        sys.setswitchinterval(before)

    world.ends.append(end)
    thread.start()
    world.long.append(start(world, sends()))
