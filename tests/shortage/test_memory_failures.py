"""Allocations that fail in a row, at any moment: a program gets MemoryErrors, waits for what will not come, or goes on; no crash."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap

import pytest

from cede.core.scheduler.kernel import COMPILED
from cede.loop.config import driver_names

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="one child for each moment"),
    pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer's allocations do not fail"),
]

# Arguments: the driver, then pairs "first:last" of allocations between which each fails (0: to the end). Prints those that end in a signal.
FRAME = """
    import asyncio, gc, logging, os, signal, socket, sys
    import _testcapi
    import cede
    from cede.loop.config import make_driver
    from cede.loop.event_loop import EventLoop

    def new_loop():
        return EventLoop(make_driver(sys.argv[1]))

    {program}

    def failing(first, last):
        _testcapi.set_nomemory(first, last)
        try:
            run()
        except Exception:
            pass
        finally:
            _testcapi.remove_mem_hooks()

    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda what: None
    gc.disable()
    run()
    for pair in sys.argv[2:]:
        child = os.fork()
        if not child:
            # Who waits for a task that had no memory waits for ever.
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            failing(*map(int, pair.split(":")))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGALRM:
            print(pair, signal.strsignal(os.WTERMSIG(status)))
    print("done")
    """

MUCH = """
    class Echo(asyncio.Protocol, asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport
        def data_received(self, data):
            self.transport.write(data)
        def datagram_received(self, data, address):
            self.transport.sendto(data)

    async def take_all(queue):
        while await queue.get() is not None:
            await asyncio.sleep(0)

    async def queues():
        queue = cede.Queue(2)
        taking = asyncio.create_task(take_all(queue))
        for item in (1, 2, 3, 4, None):
            await queue.put(item)
        await taking

    async def hold(lock):
        async with lock:
            await asyncio.sleep(0)

    async def locks():
        for kind in (cede.Lock, cede.Semaphore, cede.Condition):
            lock = kind()
            await asyncio.gather(hold(lock), hold(lock), hold(lock))

    async def fail():
        await asyncio.sleep(0)
        raise ValueError

    async def groups():
        try:
            async with cede.TaskGroup() as group:
                group.create_task(fail())
                group.create_task(asyncio.sleep(1))
        except* ValueError:
            pass

    async def deadlines():
        try:
            await cede.wait_for(asyncio.sleep(5), 0.001)
        except TimeoutError:
            pass
        with cede.move_on_after(0.001):
            await asyncio.sleep(5)

    async def pair(kind):
        near, far = socket.socketpair(type=kind)
        near.setblocking(False)
        far.setblocking(False)
        return near, far

    async def streams():
        near, far = await pair(socket.SOCK_STREAM)
        transport, _ = await asyncio.get_running_loop().create_connection(Echo, sock=near)
        reader, writer = await asyncio.open_connection(sock=far)
        try:
            for size in (10, 300_000):
                writer.write(bytes(size))
                await writer.drain()
                await reader.readexactly(size)
        finally:
            transport.close()
            writer.close()

    async def datagrams():
        near, far = await pair(socket.SOCK_DGRAM)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=near)
        with far:
            await asyncio.get_running_loop().sock_sendall(far, b"x")
            await asyncio.get_running_loop().sock_recv(far, 10)
        transport.close()

    async def operations():
        near, far = await pair(socket.SOCK_STREAM)
        with near, far:
            receiving = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(near, 100))
            await asyncio.sleep(0)
            await asyncio.get_running_loop().sock_sendall(far, b"abc")
            await receiving

    async def timers():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        for handle in [loop.call_later(9, print) for _ in range(5)]:
            handle.cancel()
        loop.call_soon(lambda: 1 / 0)
        loop.call_later(0.001, done.cancel)
        await asyncio.wait([done])

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        for part in (queues, locks, groups, deadlines, streams, datagrams, operations, timers):
            try:
                await part()
            except Exception:
                pass

    def run():
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
    """

# A handler of ours that returns, where a callback's own words fail: without memory it has no traceback.
WORDLESS = """
    class Wordless:
        def __call__(self):
            raise ValueError
        def __repr__(self):
            raise ValueError

    def run():
        loop = new_loop()
        try:
            loop.set_exception_handler(lambda loop, context: None)
            loop.call_soon(Wordless())
            loop.call_soon(loop.stop)
            loop.run_forever()
        finally:
            loop.close()
    """

# A `with` of ours around what fails: it is told of an exception that has no traceback.
WITHIN = """
    def run():
        loop = EventLoop(make_driver(sys.argv[1]), fair=3)
        try:
            loop.call_soon(loop.stop)
            loop.run_forever()
        finally:
            loop.close()
    """

# The end of a coroutine into which an error was thrown: up to 3.11 the StopIteration for it is made late, and becomes a MemoryError.
CAUGHT = """
    async def catch(waited):
        try:
            await waited
        except asyncio.CancelledError:
            pass

    async def main():
        waited = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(catch(waited)) for _ in range(3)]
        await asyncio.sleep(0)
        waited.cancel()
        await asyncio.gather(*tasks)

    def run():
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
    """


def crashes(program: str, name: str, pairs: list[str]) -> list[str]:
    pytest.importorskip("_testcapi", reason="this interpreter has no way to make allocations fail")
    whole = textwrap.dedent(FRAME).format(program=textwrap.dedent(program))
    words = [sys.executable, "-c", whole, name, *pairs]
    checked = {**os.environ, "PYTHONMALLOC": "debug"}  # what is read beside an object, or after its end, is no address
    done = subprocess.run(words, env=checked, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.endswith("done\n"), done.stdout + done.stderr
    return done.stdout.splitlines()[:-1]


@pytest.mark.parametrize("program", [WORDLESS, WITHIN, CAUGHT], ids=["wordless", "within", "caught"])
def test_failures_at_each_moment(program: str) -> None:
    lengths = (2,) if program is CAUGHT else (2, 8)  # there each child waits for tasks that died
    # Uncompiled, a crash would be the interpreter's: a few moments show that the programs end.
    pairs = [f"{first}:{first + length}" for first in range(1, 330, 1 if COMPILED else 13) for length in lengths]
    assert crashes(program, driver_names()[0], pairs) == []


@pytest.mark.parametrize("name", driver_names())
def test_failures_anywhere(name: str, rng: random.Random) -> None:
    firsts = sorted(rng.randrange(1, 2500) for _ in range(15))
    pairs = [f"{first}:{first + length if length else 0}" for first in firsts for length in (1, 5, 40, 0)]
    assert crashes(MUCH, name, pairs) == []
