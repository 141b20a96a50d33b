"""Where user code runs. Each function here makes one place, for a script; what it makes is used by the pump, each turn."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import cede
from tests.support.certificates import client_context, server_context

from .actions import BIG, Item
from .world import Link, Planned, Script, World


class Finalized:
    """Runs a script where it dies."""

    me: Any = None

    def __init__(self, world: World, script: Script | None) -> None:
        self.world = world
        self.script = script

    def __del__(self) -> None:
        self.world.act(self.script, self)


class Called:
    """A callback whose comparison and hash are scripts as well."""

    def __init__(self, world: World, script: Script) -> None:
        self.world = world
        self.script = script

    def __call__(self, *args: Any) -> None:
        self.world.act(self.script, self)

    def __eq__(self, other: object) -> bool:
        self.world.act(self.script, self)
        return self is other

    def __hash__(self) -> int:
        self.world.act(self.script, self)
        return 1


class Base:
    """What the protocols have in common."""

    may_be_buffered = True
    def __init__(self, world: World, script: Script, mine: Link, theirs: Link) -> None:
        self.world = world
        self.script = script
        self.mine = mine  # what it sends
        self.theirs = theirs  # what it receives
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.mine.made += 1
        self.world.transports.append(transport)
        self.world.act(self.script, self)

    def connection_lost(self, error: Any) -> None:
        self.mine.lost += 1
        self.world.act(self.script, self)

    def pause_writing(self) -> None:
        self.world.act(self.script, self)

    def resume_writing(self) -> None:
        self.world.act(self.script, self)

    def write(self, size: int) -> None:
        transport = self.transport
        if transport is None or transport.is_closing() or self.mine.unsure or not hasattr(transport, "write"):
            return
        if self.mine.writing:
            self.mine.overtaken = True  # a finalizer runs a turn in the middle of another write: either may go first
        self.mine.writing = True
        piece = self.mine.piece(size)
        self.mine.sent += len(piece)
        try:
            if size % 2:
                transport.write(piece)
            else:
                transport.writelines([piece[: size // 2], bytearray(piece[size // 2 :])])
        except BaseException:
            self.mine.unsure = True
            raise
        finally:
            self.mine.writing = False

    def replaced(self, buffered: bool) -> None:
        new = (Buffered if buffered and self.may_be_buffered else Plain)(self.world, self.script, self.mine, self.theirs)
        new.transport = self.transport
        new.may_be_buffered = self.may_be_buffered
        self.world.protocols.append(new)
        self.transport.set_protocol(new)


class Plain(Base, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        wrong = self.theirs.check(data)
        if wrong:
            self.world.wrong(wrong)
        self.world.act(self.script, self)

    def eof_received(self) -> Any:
        self.world.act(self.script, self)
        return self.script.position % 2 == 0


class Buffered(Base, asyncio.BufferedProtocol):
    buffer = b""
    asked = 0

    def get_buffer(self, hint: int) -> Any:
        self.world.act(self.script, self)
        self.asked += 1  # always the smallest, megabytes would take minutes
        self.buffer = bytearray((1, 100, 70_000)[(self.script.position + self.asked) % 3])  # type: ignore[assignment]
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        wrong = self.theirs.check(self.buffer[:count])
        if wrong:
            self.world.wrong(wrong)
        self.world.act(self.script, self)

    def eof_received(self) -> Any:
        self.world.act(self.script, self)
        return self.script.position % 2 == 0


def start(world: World, coroutine: Any) -> Any:
    """Run what makes a connection as a task of the program, which may be cancelled."""

    async def guarded() -> None:
        with contextlib.suppress(OSError, Planned, RuntimeError, TimeoutError, ValueError):
            await coroutine

    task = world.loop.create_task(guarded())
    world.tasks.append(task)
    return task


def link(world: World) -> Link:
    made = Link(len(world.links))
    made.overtaken = world.overtakes
    world.links.append(made)
    return made


def pair(world: World) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    for sock in (one, other):
        sock.setblocking(False)
        world.ends.append(sock.close)
    return one, other


def talk(world: World, one: Any, other: Any) -> None:
    """Both ends write a little each turn."""

    def tick() -> None:
        if world.turn % 2:
            one.write((10, 3001)[world.turn % 3 == 0])
        else:
            other.write(11)

    world.ticks.append(tick)


def known(world: World, transport: Any) -> None:
    world.transports.append(transport)


# -- places


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


class Finish:
    def __init__(self, world: World, script: Script, future: Any) -> None:
        self.world = world
        self.script = script
        self.future = future

    def __del__(self) -> None:
        if not self.future.done():
            try:
                self.future.set_result(None)
            except RuntimeError:
                pass
        self.world.act(self.script)


def print_nothing(*args: Any) -> None:
    pass


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


def settle(future: Any) -> None:
    if not future.done():
        future.set_result(None)


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


async def nap() -> None:
    await cede.sleep(0)


def stream(world: World, script: Script, ssl: bool = False) -> None:
    one, other = pair(world)
    there, back = link(world), link(world)
    left, right = Plain(world, script, there, back), Buffered(world, script, back, there)
    world.protocols += [left, right]
    loop = world.loop

    async def connect(protocol: Any, sock: Any, server: bool) -> None:
        options: dict[str, Any] = {}
        if ssl:
            options = {"ssl": server_context() if server else client_context()}
            if not server:
                options["server_hostname"] = "localhost"
        if server:
            await loop.connect_accepted_socket(lambda: protocol, sock, **options)
        else:
            await loop.create_connection(lambda: protocol, sock=sock, **options)

    start(world, connect(left, one, False))
    start(world, connect(right, other, True))
    talk(world, left, right)


def tls(world: World, script: Script) -> None:
    stream(world, script, True)


def datagrams(world: World, script: Script) -> None:
    """Two endpoints, and a socket that sends to both: each must be told of its own, in order."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.bind(("127.0.0.1", 0))
    plain.setblocking(False)
    world.ends.append(plain.close)
    ends = [Datagrams(world, script, link(world)) for _ in range(2)]
    loop = world.loop

    async def open_one(end: Datagrams) -> None:
        await loop.create_datagram_endpoint(lambda: end, local_addr=("127.0.0.1", 0))

    for end in ends:
        start(world, open_one(end))

    def tick() -> None:
        tick.burst(15 if world.turn % 5 == 0 else 2)  # type: ignore[attr-defined]

    def burst(count: int) -> None:
        for _ in range(count):
            for end in ends:
                if end.address is not None:
                    end.number += 1
                    try:
                        plain.sendto(b"%d %d" % (end.mine.tag, end.number), end.address)
                    except OSError:
                        pass  # no room, or the system lacks something: the next number is as good

    tick.burst = burst  # type: ignore[attr-defined]
    world.ticks.append(tick)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, world: World, script: Script, mine: Link) -> None:
        self.world = world
        self.script = script
        self.mine = mine
        self.transport: Any = None
        self.address: Any = None
        self.number = 0
        self.seen = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.mine.made += 1
        self.world.transports.append(transport)
        self.address = transport.get_extra_info("sockname")
        self.world.act(self.script, self)

    def connection_lost(self, error: Any) -> None:
        self.mine.lost += 1
        self.world.act(self.script, self)

    def datagram_received(self, data: bytes, address: Any) -> None:
        wrong = self.check(data)
        if wrong:
            self.world.wrong(wrong)
        self.world.act(self.script, self)

    def check(self, data: bytes) -> str | None:
        tag, number = map(int, data.split()) if data.count(b" ") == 1 else (-1, -1)
        late = number <= self.seen and not self.mine.overtaken
        seen, self.seen = self.seen, number
        if tag != self.mine.tag or late or number > self.number:
            return f"datagrams of {self.mine.tag}: {data!r} came, after number {seen} of {self.number}"
        return None

    def error_received(self, error: Any) -> None:
        self.world.act(self.script, self)


def pipe(world: World, script: Script) -> None:
    out, into = os.pipe()
    left, right = link(world), link(world)
    reading, writing = Plain(world, script, right, left), Plain(world, script, left, right)
    reading.may_be_buffered = writing.may_be_buffered = False  # the transports of pipes know `data_received` alone
    loop = world.loop

    async def connect() -> None:
        await loop.connect_read_pipe(lambda: reading, os.fdopen(out, "rb", 0))
        await loop.connect_write_pipe(lambda: writing, os.fdopen(into, "wb", 0))

    world.protocols.append(writing)
    start(world, connect())
    world.ticks.append(lambda: writing.write(100))


def server(world: World, script: Script) -> None:
    loop = world.loop
    opened: list[Any] = []

    def make() -> Any:
        world.act(script)
        return Plain(world, script, link(world), Link(0))

    async def serve() -> None:
        found = await loop.create_server(make, "127.0.0.1", 0, backlog=20)
        opened.append(found)
        world.ends.append(found.close)

    def tick() -> None:
        if not opened or world.turn % 2:
            return
        if opened[0].sockets:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(opened[0].sockets[0].getsockname())
            sock.close() if world.turn % 3 == 0 else world.ends.append(sock.close)

    start(world, serve())
    world.ticks.append(tick)


def process(world: World, script: Script) -> None:
    class Protocol(asyncio.SubprocessProtocol):
        transport: Any = None

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            world.act(script, self)

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            world.act(script, self)

        def pipe_connection_lost(self, fd: int, error: Any) -> None:
            world.act(script, self)

        def process_exited(self) -> None:
            world.act(script, self)

        def connection_lost(self, error: Any) -> None:
            world.act(script, self)

    async def spawn() -> None:
        transport, _ = await world.loop.subprocess_exec(Protocol, "/bin/cat")
        world.ends.append(transport.close)
        pipe = transport.get_pipe_transport(0)
        world.ticks.append(lambda: pipe.write(b"x" * 1000))

    start(world, spawn())


def watched(world: World, script: Script) -> None:
    """Readers and writers of sockets, which the program replaces, and closes behind the loop's back."""
    world.sockets.extend(pair(world))
    loop = world.loop

    def tick() -> None:
        one, other = world.sockets[0], world.sockets[1]
        if one.fileno() < 0 or other.fileno() < 0:
            world.sockets[:2] = pair(world)
            return
        if world.turn % 4 == 1:
            loop.add_reader(one, world.act, script)
            loop.add_writer(one, world.act, script)
        elif world.turn % 4 == 2:
            other.send(b"x")
        elif world.turn % 4 == 3:
            loop.remove_writer(one)
        elif world.turn % 8 == 0:
            loop.remove_reader(one)

    world.ticks.append(tick)


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


def streams(world: World, script: Script) -> None:
    """Readers and writers over a pair, with a task on each side."""
    one, other = pair(world)

    async def side(sock: Any, first: bool) -> None:
        reader, writer = await cede.open_connection(sock=sock)
        known(world, writer.transport)
        world.act(script)
        try:
            for round_ in range(10):
                if first:
                    writer.write(b"line\n" * (round_ + 1))
                    world.act(script)
                    await writer.drain()
                else:
                    await cede.wait_for(reader.readline(), 0.05)
                    world.act(script)
        finally:
            writer.close()

    for sock, first in ((one, True), (other, False)):
        start(world, side(sock, first))


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


PLACES: dict[str, tuple[Any, float]] = {
    "soon": (soon, 2),
    "timer": (timer, 2),
    "post": (post, 1),
    "done": (done, 2),
    "crowd": (crowd, 1),
    "dropped_full": (dropped_full, 1),
    "task": (task, 3),
    "finalizer": (finalizer, 3),
    "weak": (weak, 1),
    "stream": (stream, 4),
    "tls": (tls, 2),
    "datagrams": (datagrams, 2),
    "pipe": (pipe, 1),
    "server": (server, 1),
    "process": (process, 0.3),
    "watched": (watched, 2),
    "awaitable": (awaitable, 3),
    "primitives": (primitives, 3),
    "generator": (generator, 2),
    "streams": (streams, 2),
    "collector": (collector, 0.4),
}


# -- faults that the judge must see, which no program is drawn with


def crashes(world: World, script: Script) -> None:
    import ctypes

    ctypes.string_at(8)


def hangs(world: World, script: Script) -> None:
    threading.Event().wait()


def loses(world: World, script: Script) -> None:
    world.take_in(lambda run: world.loop.create_future().get_loop().call_later(1000, run), script)


def errs(world: World, script: Script) -> None:
    """An error of the kind that only a mistake of cede's makes, in code of cede's."""
    namespace: dict[str, Any] = {}
    exec(compile("def mistaken():\n    return [][0]", "cede/core/mistaken.py", "exec"), namespace)
    world.ticks.append(namespace["mistaken"])


PLACES |= {"crashes": (crashes, 0), "hangs": (hangs, 0), "loses": (loses, 0), "errs": (errs, 0)}
