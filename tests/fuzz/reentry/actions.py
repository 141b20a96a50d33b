"""What user code does where it should not. Each takes the world, the object that it is about (or None), and numbers."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from typing import Any

import cede

from .world import Planned, PlannedBase, World, plan

BIG = 6 << 20
# What no descriptor, count or limit can be; and what they hardly are.
NUMBERS = (-1, -(2**31), 2**30 + 5, 2**31 - 1, 2**31, 2**32 + 1, 2**40, 2**62, 2**63, 2**70, 1 << 200)
TIMES = (-1.0, 0.0, 1e300, float("inf"), float("nan"), -1e300)
DEPTHS = (3, 200, 60_000)
# Protocols' methods that are given something to look at, each of which calls what it found ``wrong``.
LOOKING = {"data_received", "buffer_updated", "datagram_received"}
DEEPLY = 2  # times in one program


def nested(world: World, this: Any) -> None:
    note_overtaking()
    world.loop.call_soon(hold, None)  # or it would sleep where nothing is ready
    world.loop._run_once()


def note_overtaking() -> None:
    """Where a protocol has been called and has not looked yet at what it was given, as in a finalizer that the collector runs there, a
    turn tells it of what comes next: that is looked at first."""
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name in LOOKING and "wrong" not in frame.f_locals:
            protocol = frame.f_locals.get("self")
            link = getattr(protocol, "theirs", None) or getattr(protocol, "mine", None)
            if link is not None:
                link.overtaken = True
        frame = frame.f_back


def nested_thrice(world: World, this: Any) -> None:
    for _ in range(3):
        nested(world, this)


def run_inside(world: World, this: Any) -> None:
    try:
        world.loop.run_forever()
    except RuntimeError:
        pass  # it runs already, or is closed


def stop(world: World, this: Any) -> None:
    world.loop.stop()


def close_loop(world: World, this: Any) -> None:
    world.loop.close()


def cancel_all(world: World, this: Any) -> None:
    for task in asyncio.all_tasks(world.loop):
        task.cancel()


def collect(world: World, this: Any, generation: int) -> None:
    gc.collect(generation % 3)


def raises(world: World, this: Any, kind: int) -> None:
    kinds = (Planned, PlannedBase, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, asyncio.CancelledError)
    kinds += (TimeoutError, MemoryError, RecursionError, OSError, BlockingIOError, InterruptedError, StopAsyncIteration)
    raise plan(kinds[kind % len(kinds)]("planned"))


def soon(world: World, this: Any, which: int) -> None:
    script = world.pick(world.scripts, which)
    world.take_in(world.loop.call_soon, script)


def soon_entered(world: World, this: Any, which: int) -> None:
    """In the context that is entered already: refused when its time comes, and reported."""
    context = contextvars.copy_context()
    context.run(lambda: world.take_in(lambda run: world.loop.call_soon(run, context=context), world.pick(world.scripts, which)))


def later(world: World, this: Any, which: int, ticks: int) -> None:
    world.take_in(world.loop.call_later, world.pick(world.scripts, which), ticks % 5 * 0.001)


def at_past(world: World, this: Any, which: int) -> None:
    world.take_in(world.loop.call_at, world.pick(world.scripts, which), 0.0)


def threadsafe(world: World, this: Any, which: int) -> None:
    world.take_in(world.loop.call_soon_threadsafe, world.pick(world.scripts, which))


def cancel_handle(world: World, this: Any, which: int) -> None:
    handle = world.pick(list(world.handles.values()), which)
    if handle is not None:
        handle.cancel()


def resolve(world: World, this: Any, which: int) -> None:
    future = world.pick(world.futures, which)
    if future is not None and not future.done():
        future.set_result(which)


def resolve_all(world: World, this: Any) -> None:
    for future in list(world.futures):
        if not future.done():
            future.set_result(None)


def fail(world: World, this: Any, which: int) -> None:
    future = world.pick(world.futures, which)
    if future is not None and not future.done():
        future.set_exception(Planned())
        future.exception()


def cancel_future(world: World, this: Any, which: int) -> None:
    future = world.pick(world.futures, which)
    if future is not None:
        future.cancel()


def drop_futures(world: World, this: Any) -> None:
    del world.futures[::2]


def callback(world: World, this: Any, which: int) -> None:
    future, function = world.pick(world.futures, which), world.pick(world.callbacks, which)
    if future is not None and function is not None:
        future.add_done_callback(function)


def remove_callback(world: World, this: Any, which: int) -> None:
    future, function = world.pick(world.futures, which), world.pick(world.callbacks, which + 1)
    if future is not None and function is not None:
        future.remove_done_callback(function)


def cancel_task(world: World, this: Any, which: int) -> None:
    task = world.pick(world.tasks, which)
    if task is not None:
        task.cancel()


def uncancel(world: World, this: Any, which: int) -> None:
    task = world.pick(world.tasks, which)
    if task is not None:
        task.uncancel()


def finish_task(world: World, this: Any, which: int) -> None:
    """Behind its back."""
    task = world.pick(world.tasks, which)
    if task is not None and not task.done():
        world.robbed = world.robbed or task in world.plain
        try:
            cede.Future.set_result(task, None)
        except TypeError:
            pass  # asyncio's own


def look(world: World, this: Any, which: int) -> None:
    for things in (world.tasks, world.futures, world.transports, list(world.handles.values())):
        thing = world.pick(things, which)
        repr(thing)
    task = world.pick(world.tasks, which)
    if task is not None:
        task.get_stack()
    asyncio.all_tasks(world.loop)
    repr(world.loop)


def spawn(world: World, this: Any, which: int) -> None:
    script = world.pick(world.scripts, which)

    async def spawned() -> None:
        world.act(script)
        await cede.sleep(0)
        world.act(script)

    coroutine = spawned()
    try:
        task = world.loop.create_task(coroutine)
    except BaseException:
        coroutine.close()
        raise
    world.tasks.append(task)


def spawn_eager(world: World, this: Any, which: int) -> None:
    script = world.pick(world.scripts, which)

    async def spawned() -> None:
        world.act(script)
        await cede.sleep(0)

    coroutine = spawned()
    try:
        world.tasks.append(cede.Task(coroutine, loop=world.loop, eager_start=True))
    except BaseException:
        coroutine.close()
        raise


# -- transports


def transport_of(world: World, this: Any, which: int) -> Any:
    own = getattr(this, "transport", None)
    if own is not None and which % 3:
        return own
    return world.pick(world.transports, which)


def abort(world: World, this: Any, which: int) -> None:
    transport = transport_of(world, this, which)
    if transport is not None:
        getattr(transport, "abort", transport.close)()


def close(world: World, this: Any, which: int) -> None:
    transport = transport_of(world, this, which)
    if transport is not None:
        transport.close()


def write(world: World, this: Any, which: int, size: int) -> None:
    protocol = this if hasattr(this, "write") else world.pick(world.protocols, which)
    if protocol is not None:
        protocol.write((1, 100, 5000, 70_000)[size % 4])


def write_end(world: World, this: Any, which: int) -> None:
    transport = transport_of(world, this, which)
    if transport is not None and getattr(transport, "can_write_eof", lambda: False)():
        transport.write_eof()


def pause(world: World, this: Any, which: int) -> None:
    transport = transport_of(world, this, which)
    if hasattr(transport, "pause_reading"):
        transport.pause_reading()


def resume(world: World, this: Any, which: int) -> None:
    transport = transport_of(world, this, which)
    if hasattr(transport, "resume_reading"):
        transport.resume_reading()


def limits(world: World, this: Any, which: int, high: int) -> None:
    transport = transport_of(world, this, which)
    if hasattr(transport, "set_write_buffer_limits"):
        transport.set_write_buffer_limits((0, 1, 1000, 1 << 20)[high % 4])
        transport.get_write_buffer_size()


def set_protocol(world: World, this: Any, which: int, buffered: int) -> None:
    protocol = this if hasattr(this, "replaced") else world.pick(world.protocols, which)
    if protocol is not None and protocol.transport is not None:
        protocol.replaced(bool(buffered % 2))


def send_to(world: World, this: Any, which: int) -> None:
    for sender in world.ticks:
        if hasattr(sender, "burst"):
            sender.burst(which % 16 + 1)


def reader(world: World, this: Any, which: int) -> None:
    sock, script = world.pick(world.sockets, which), world.pick(world.scripts, which)
    if sock is not None and sock.fileno() >= 0:
        world.loop.add_reader(sock, world.act, script)


def writer(world: World, this: Any, which: int) -> None:
    sock, script = world.pick(world.sockets, which), world.pick(world.scripts, which)
    if sock is not None and sock.fileno() >= 0:
        world.loop.add_writer(sock, world.act, script)


def no_reader(world: World, this: Any, which: int) -> None:
    sock = world.pick(world.sockets, which)
    if sock is not None and sock.fileno() >= 0:
        world.loop.remove_reader(sock)
        world.loop.remove_writer(sock)


def shut_socket(world: World, this: Any, which: int) -> None:
    """Behind the loop's back."""
    sock = world.pick(world.sockets, which)
    if sock is not None:
        sock.close()


# -- primitives


def put(world: World, this: Any, which: int) -> None:
    queue = world.pick(world.queues, which)
    if queue is not None:
        try:
            queue.put_nowait(Item(world, world.pick(world.scripts, which), which))
        except (asyncio.QueueFull, cede.QueueFull):
            pass


def get(world: World, this: Any, which: int) -> None:
    queue = world.pick(world.queues, which)
    if queue is not None:
        try:
            queue.get_nowait()
            queue.task_done()
        except (asyncio.QueueEmpty, cede.QueueEmpty):
            pass


def release(world: World, this: Any, which: int) -> None:
    lock = world.pick(world.locks, which)
    if lock is not None:
        lock.release()


def set_event(world: World, this: Any, which: int) -> None:
    event = world.pick(world.events, which)
    if event is not None:
        event.set()
        if which % 2:
            event.clear()


class Item:
    """What compares by a script."""

    def __init__(self, world: World, script: Any, number: int) -> None:
        self.world = world
        self.script = script
        self.number = number

    def __lt__(self, other: Any) -> bool:
        self.world.act(self.script, self)
        return self.number < other.number

    def __eq__(self, other: Any) -> bool:
        self.world.act(self.script, self)
        return self is other

    def __hash__(self) -> int:
        self.world.act(self.script, self)
        return self.number

    def __bool__(self) -> bool:
        self.world.act(self.script, self)
        return True


# -- the loop


def clock(world: World, this: Any, which: int) -> None:
    """The loop gets a clock that runs a script."""
    script = world.pick(world.scripts, which)

    def time() -> float:
        try:
            world.act(script)
        except BaseException as error:
            error.from_clock = True  # type: ignore[attr-defined]
            raise
        return type(world.loop).time(world.loop)

    world.loop.time = time


def plain_clock(world: World, this: Any) -> None:
    if "time" in getattr(world.loop, "__dict__", {}):
        del world.loop.time


def handler(world: World, this: Any, which: int) -> None:
    script = world.pick(world.scripts, which)

    def handle(loop: Any, context: dict[str, Any]) -> None:
        world.on_report(loop, context)
        world.act(script)

    world.loop.set_exception_handler(handle)


def factory(world: World, this: Any, which: int) -> None:
    script = world.pick(world.scripts, which)
    kind = (asyncio.tasks._PyTask, cede.Task)[which % 2]  # type: ignore[attr-defined]

    def make(loop: Any, coroutine: Any, **options: Any) -> Any:
        world.act(script)
        return kind(coroutine, loop=loop, **options)

    world.loop.set_task_factory(None if which % 3 == 0 else make)


def debug(world: World, this: Any, on: int) -> None:
    world.loop.set_debug(bool(on % 2))


def patience(world: World, this: Any, which: int) -> None:
    world.loop.slow_callback_duration = (0.0, 0.1, 1e9)[which % 3]


def traced(world: World, this: Any, which: int, how: int) -> None:
    """A trace or profile function that runs a script, at a few of its events. It raises nothing: it would raise in the judge, too."""
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return
    script = world.pick(world.scripts, which)
    if any(action[0] in ("nested", "nested_thrice") for known in world.scripts for action in known.actions):
        world.overtakes = True
        for link in world.links:
            link.overtaken = True
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        if count % 61 == 0:
            try:
                world.act(script)
            except BaseException:
                pass
        if count > 2000:
            sys.settrace(None)
            sys.setprofile(None)
        return trace

    if how % 2:
        sys.settrace(trace)
    else:
        sys.setprofile(trace)


def in_thread(world: World, this: Any, which: int) -> None:
    script = world.pick(world.scripts, which)
    future = world.loop.run_in_executor(None, world.act, script)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    world.futures.append(future)


def number(world: World, this: Any, which: int, what: int) -> None:
    """A number that no sane caller gives, and the next time another one. Refused in words, at once; never by running out of memory."""
    world.oddities += 1
    which += world.oddities
    what += world.oddities // len(NUMBERS)
    value = NUMBERS[which % len(NUMBERS)]
    one = world.sockets[0] if world.sockets else None
    loop = world.loop
    calls: tuple[Any, ...] = (
        lambda: loop.add_reader(value, print),
        lambda: loop.add_writer(value, print),
        lambda: loop.remove_reader(value),
        lambda: loop.call_later(TIMES[which % len(TIMES)], print).cancel(),
        lambda: loop.call_at(TIMES[which % len(TIMES)], print).cancel(),
        lambda: cede.Queue(value).put_nowait(1),
        lambda: cede.Semaphore(value).locked(),
        lambda: cede.StreamReader(value, loop=loop).feed_data(b"x"),
        lambda: cede.Barrier(value),
        lambda: one is not None and drop(loop.sock_recv(one, value)),
        lambda: one is not None and drop(loop.sock_recvfrom(one, value)),
        lambda: world.transports and world.transports[0].set_write_buffer_limits(value),
        lambda: world.transports and world.transports[0].set_write_buffer_limits(value, value),
        lambda: drop(cede.StreamReader(loop=loop).read(value)),
        lambda: drop(cede.StreamReader(loop=loop).readexactly(value)),
        lambda: drop(cede.sleep(value)),
        lambda: cede.timeout(value),
        lambda: cede.ThreadChannel(value) if hasattr(cede, "ThreadChannel") else None,
        lambda: cede.channel(value),
    )
    try:
        calls[what % len(calls)]()
    except (OSError, ValueError, OverflowError, TypeError, RuntimeError):
        pass
    except MemoryError:
        if what % len(calls) in (9, 10):  # the number of bytes to receive: of that size is the object, with asyncio too
            return
        world.wrong(f"{value} in number, {what % len(calls)}: out of memory, in place of a refusal")


def drop(awaitable: Any) -> None:
    """Begin an operation, and let it go."""
    iterator = awaitable.__await__()
    try:
        iterator.send(None)
    except (StopIteration, OSError, ValueError, TypeError, OverflowError, RuntimeError):
        pass
    iterator.close()


def deep(world: World, this: Any, depth: int, kind: int, how: int) -> None:
    """What drives or owns one of its own kind, very often; the next time that is another kind."""
    world.depths += 1
    kind += world.depths
    count = DEPTHS[depth % len(DEPTHS)]
    loop = world.loop
    made: list[Any] = []
    if count > 1000:
        if world.deep_done >= DEEPLY:
            return  # it takes a second
        world.deep_done += 1
    if kind % 4 == 0:
        thing: Any = cede.sleep(0)
        for _ in range(count):
            thing = cede.wait_for(thing, 1000)
    elif kind % 4 == 1:
        thing = loop.create_future()
        for _ in range(count // 4):
            thing = cede.shield(thing)
    elif kind % 4 == 2:
        thing = loop.create_future()
        for _ in range(count // 4):
            thing = loop.create_task(waits(thing))
            made.append(thing)
    else:
        thing = loop.create_future()
        for _ in range(count // 4):
            thing = cede.gather(thing)
    if how % 3 == 0:
        del thing
        if made:
            for task in made:
                task._log_destroy_pending = False
    else:
        task = loop.create_task(waits_quietly(thing, how % 3 == 1))
        world.tasks.append(task)
        world.keep.extend(made)
        for task in made:
            task._log_destroy_pending = False


async def waits(thing: Any) -> None:
    await thing


async def waits_quietly(thing: Any, limited: bool) -> None:
    try:
        if limited:
            async with cede.timeout(0.002):
                await thing
        else:
            await thing
    except RecursionError:
        pass


def signal_self(world: World, this: Any) -> None:
    """A byte for the driver's own descriptor."""
    world.loop.call_soon_threadsafe(int)


def odd_socket(world: World, this: Any, which: int) -> None:
    """Socket operations begun and dropped, or left to a task."""
    if len(world.sockets) < 2:
        return
    one, other = world.sockets[0], world.sockets[1]
    if one.fileno() < 0 or other.fileno() < 0:
        return
    loop = world.loop

    async def talk() -> None:
        try:
            if which % 3 == 0:
                await loop.sock_sendall(one, bytes(which % 7 * 9000 + 1))
            elif which % 3 == 1:
                await loop.sock_recv(other, 1000)
            else:
                await loop.sock_recv_into(one, bytearray(100))
        except (OSError, ValueError, RuntimeError):
            pass

    coroutine = talk()
    try:
        world.tasks.append(loop.create_task(coroutine))
    except BaseException:
        coroutine.close()
        raise


def nothing(world: World, this: Any) -> None:
    pass


def litter(world: World, this: Any, which: int, many: int) -> None:
    """Objects with a finalizer that runs a script, where the loop will let go of them, or the collector."""
    from .places.common import Finalized

    script = world.pick(world.scripts, which)
    loop = world.loop
    for _ in range(many % 3 + 1):
        end = Finalized(world, script)
        if which % 5 == 0:
            end.me = end
        elif which % 5 == 1:
            loop.call_soon(hold, end)
        elif which % 5 == 2:
            loop.call_later(0.001, hold, end)
        elif which % 5 == 3:
            loop.call_later(1000, hold, end)
        else:
            future = world.pick(world.futures, which)
            if future is not None and not future.done():
                future.set_result(end)


def hold(thing: Any) -> None:
    pass


ACTIONS: dict[str, Any] = {
    name: function
    for name, function in list(globals().items())
    if getattr(function, "__module__", "") == __name__ and callable(function)
}
for name in ("Item", "waits", "waits_quietly", "hold", "drop", "transport_of", "note_overtaking"):
    del ACTIONS[name]

# How many numbers each takes, and how often it is drawn.
TWO = {"later", "write", "limits", "set_protocol", "traced", "number", "litter"}
NONE = {"nested", "nested_thrice", "run_inside", "stop", "close_loop", "cancel_all", "resolve_all", "drop_futures", "plain_clock"}
NONE |= {"signal_self", "nothing"}
COUNTS = {name: 2 if name in TWO else 0 if name in NONE else 3 if name == "deep" else 1 for name in ACTIONS}
WEIGHTS = {"nothing": 12, "nested": 12, "abort": 6, "write": 6, "raises": 6, "resolve": 4, "collect": 3, "litter": 8, "set_protocol": 4}
WEIGHTS |= {"deep": 0.3, "number": 0.7, "traced": 0.4, "in_thread": 0.5, "close_loop": 0.7, "clock": 0.7, "debug": 0.5, "factory": 0.7}
WEIGHTS |= {"run_inside": 0.5, "shut_socket": 0.4, "soon_entered": 0.5}

# What a thread that is not the loop's may do in a finalizer: whatever the collector's thread could do to an asyncio loop without losing
# its turn. (`abort` and `close` are among it because finalizers of connections do them.)
ELSEWHERE = {"nothing", "abort", "close", "threadsafe", "resolve", "resolve_all", "cancel_future", "collect", "drop_futures", "look"}
ELSEWHERE |= {"cancel_task"}
