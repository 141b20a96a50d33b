"""asyncio's names on cede: by `cede run`, by `cede.accelerate()`, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from cede.tools.accelerating import SWAPPED

if TYPE_CHECKING:
    from pathlib import Path

REPORT = f"""
import asyncio, sys
import cede
def whose():
    found = {{}}
    for name in {SWAPPED!r}:
        if hasattr(asyncio, name):
            stock = getattr(asyncio, name)
            found[name] = stock is getattr(cede, name)
    return set(found.values())
"""


def execute(*command: Any, code: str = "", cwd: Path | None = None) -> str:
    done = subprocess.run([*map(str, command)], input=textwrap.dedent(code), capture_output=True, text=True, timeout=60, cwd=cwd)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


PYTHON = (sys.executable, "-X", "dev", "-W", "error")


def test_cede_run_swaps_the_names() -> None:
    program = REPORT + "print(whose(), asyncio.queues.Queue is asyncio.locks and 1 or asyncio.queues.Queue is cede.Queue)"
    assert execute(*PYTHON, "-m", "cede", "run", "-", code=program) == "{True} True\n"
    assert execute(*PYTHON, "-m", "cede", "run", "--stock", "-", code=program) == "{False} False\n"


def test_the_loop_is_cedes_either_way() -> None:
    program = """
    import asyncio, cede
    async def main():
        print(type(asyncio.get_running_loop()) is cede.EventLoop)
    asyncio.run(main())
    """
    for options in ((), ("--stock",)):
        assert execute(*PYTHON, "-m", "cede", "run", *options, "-", code=program) == "True\n"


def test_only_accelerate_does_it_from_code() -> None:
    program = REPORT + textwrap.dedent("""
        async def nothing(): pass
        cede.run(nothing())
        print(whose(), type(asyncio.new_event_loop()) is cede.EventLoop)
        """)
    assert execute(sys.executable, "-", code=program) == "{False} False\n"
    program = REPORT + textwrap.dedent("""
        cede.accelerate()
        cede.accelerate()
        loop = asyncio.new_event_loop()
        print(whose(), type(loop) is cede.EventLoop)
        loop.close()
        """)
    assert execute(*PYTHON, "-", code=program) == "{True} True\n"


def test_programs_keep_working() -> None:
    program = """
    import asyncio
    from asyncio import Queue as EarlyQueue, Lock as EarlyLock
    import cede, copy, pickle, sys
    cede.accelerate()

    class Mine(asyncio.Queue):
        def _init(self, maxsize):
            self.items = []
        def _put(self, item):
            self.items.append(item)
        def _get(self):
            return self.items.pop()
        def qsize(self):
            return len(self.items)
        def empty(self):
            return not self.items

    class Early(EarlyQueue):
        pass

    assert isinstance(asyncio.Queue(), EarlyQueue) and isinstance(asyncio.Lock(), EarlyLock)
    assert isinstance(Mine(), asyncio.Queue) and issubclass(asyncio.LifoQueue, asyncio.Queue)
    assert not isinstance(asyncio.Event(), asyncio.Lock)
    for error in (asyncio.QueueEmpty("x"), asyncio.CancelledError("x"), asyncio.TimeoutError("x"), asyncio.IncompleteReadError(b"ab", 3),
                  asyncio.LimitOverrunError("x", 3), asyncio.InvalidStateError("x"), asyncio.BrokenBarrierError("x")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and again.args == error.args, error
    if hasattr(asyncio, "QueueShutDown"):
        assert asyncio.QueueShutDown is cede.QueueShutDown
    assert pickle.loads(pickle.dumps(cede.QueueShutDown("x"))).args == ("x",)
    assert pickle.loads(pickle.dumps(cede.EndOfChannel("x"))).args == ("x",)

    async def talk(reader, writer):
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    async def main():
        for queue in (Mine(), Early(), asyncio.PriorityQueue()):
            assert isinstance(queue, asyncio.Queue) or type(queue) is Early
            async with asyncio.TaskGroup() as group:
                getting = group.create_task(queue.get())
                await asyncio.sleep(0)
                await queue.put(1)
            assert getting.result() == 1
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server, asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\\n")
            assert await asyncio.wait_for(reader.readline(), 30) == b"HELLO\\n"
            writer.close()
            await writer.wait_closed()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(1)", stdout=asyncio.subprocess.PIPE)
        assert isinstance(process, asyncio.subprocess.Process)
        assert await process.communicate() == (b"1\\n", None)
        assert [await each for each in asyncio.as_completed([asyncio.sleep(0, 5)])] == [5]
        assert await asyncio.gather(asyncio.shield(asyncio.sleep(0, 3)), asyncio.to_thread(int)) == [3, 0]
        done, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(0))])
        assert len(done) == 1 and not pending

    asyncio.run(main())
    loop = asyncio.SelectorEventLoop()   # asked for by name: asyncio's own, and all of it works there too
    assert type(loop) is not cede.EventLoop
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    print("done")
    """
    assert execute(sys.executable, "-W", "error", "-", code=program) == "done\n"


@pytest.mark.parametrize("name", SWAPPED)
def test_each_name_is_asyncios(name: str) -> None:
    import cede

    assert name in cede.__all__
