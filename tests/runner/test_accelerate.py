"""`cede.accelerate`: asyncio's names on cede's, in a process of its own each time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BEFORE = "import asyncio\nfrom asyncio import Future as F, Task as T, Queue as Q, Lock as L, TaskGroup as G\nimport cede\n"


def script(
    body: str, *, before: str = BEFORE, call: str = "cede.accelerate()\n", command: tuple[str, ...] = (), **environment: str
) -> list[str]:
    source = before + call + textwrap.dedent(body)
    words = [sys.executable, "-W", "error", "-X", "dev", *command, "-c", source]
    environment = {**os.environ, **environment}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=environment)
    # -X dev makes asyncio say so where a busy machine took a tenth of a second over a step.
    said = [line for line in done.stderr.splitlines() if not (line.startswith("Executing <") and " took " in line)]
    assert (done.returncode, said) == (0, []), done.stderr
    return done.stdout.split()


def test_names_are_ours_in_asyncio_and_in_its_submodules() -> None:
    got = script("""
        import asyncio.locks, asyncio.queues
        for name in ("Lock", "Event", "Queue", "gather", "sleep", "wait_for", "timeout", "TaskGroup", "open_connection", "StreamReader"):
            assert getattr(asyncio, name) is getattr(cede, name), name
        assert asyncio.locks.Lock is cede.Lock and asyncio.queues.Queue is cede.Queue and asyncio.tasks.gather is cede.gather
        for name in ("Handle", "TimerHandle", "Server", "run", "Runner", "CancelledError", "QueueEmpty"):
            assert getattr(asyncio, name).__module__.startswith("asyncio"), name
        async def main():
            assert type(asyncio.get_running_loop()) is cede.EventLoop
            async with asyncio.TaskGroup() as group:
                return [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
        print(*(task.result() for task in asyncio.run(main())))
    """)
    assert got == ["0", "1", "2"]


def test_both_kinds_of_futures_and_tasks_are_recognised() -> None:
    script("""
        class Mine(asyncio.Future):
            pass

        async def main():
            loop = asyncio.get_running_loop()
            made, mine, stock = asyncio.Future(), Mine(), F(loop=loop)
            assert type(made) is cede.Future and type(mine) is Mine
            for each in (made, mine, stock, asyncio.current_task()):
                assert isinstance(each, asyncio.Future) and isinstance(each, F if each is not mine else Mine) and asyncio.isfuture(each)
            assert not isinstance(made, Mine) and issubclass(Mine, asyncio.Future) and issubclass(F, asyncio.Future)
            assert isinstance(asyncio.current_task(), asyncio.Task) and isinstance(asyncio.current_task(), T)
            old = T(asyncio.sleep(0, 7), loop=loop)
            assert isinstance(old, asyncio.Task) and not isinstance(made, asyncio.Task)
            assert await old == 7
            for each in (made, mine, stock):
                loop.call_soon(each.set_result, 1)
                assert await each == 1
            asyncio.Future[int], asyncio.Task | None

        asyncio.run(main())
    """)


def test_objects_of_ours_are_recognised_by_code_that_took_the_names_before() -> None:
    script("""
        async def main():
            assert isinstance(asyncio.Queue(), Q) and isinstance(asyncio.Lock(), L) and isinstance(asyncio.TaskGroup(), G)
            assert isinstance(asyncio.Queue(), asyncio.Queue) and isinstance(asyncio.Lock(), asyncio.Lock)
            old = Q()
            old.put_nowait(1)
            assert await old.get() == 1
            async with L():
                pass

        asyncio.run(main())
    """)


def test_subclass_of_queue() -> None:
    got = script("""
        class Newest(asyncio.Queue):
            def _init(self, maxsize):
                self._queue = []
            def _put(self, item):
                self._queue.append(item)
            def _get(self):
                return self._queue.pop()

        async def main():
            queue = Newest()
            for number in range(3):
                await queue.put(number)
            print(*[await queue.get() for _ in range(3)])

        asyncio.run(main())
    """)
    assert got == ["2", "1", "0"]


def test_exceptions_travel() -> None:
    script("""
        import pickle
        async def main():
            for provoke in (asyncio.Queue().get_nowait, asyncio.current_task().result):
                try:
                    provoke()
                except Exception as error:
                    assert type(pickle.loads(pickle.dumps(error))) is type(error)
                    assert type(error) in (asyncio.QueueEmpty, asyncio.InvalidStateError)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.001)
            except asyncio.TimeoutError as error:
                assert type(pickle.loads(pickle.dumps(error))) is TimeoutError

        asyncio.run(main())
        for name in ("Queue", "Future", "Task", "Lock", "gather"):
            assert pickle.loads(pickle.dumps(getattr(asyncio, name))) is getattr(asyncio, name), name
    """)


def test_what_is_patched_by_a_mock_can_be_awaited() -> None:
    script("""
        from unittest import mock

        async def main():
            for name in ("sleep", "wait_for", "wait", "open_connection"):
                assert asyncio.iscoroutinefunction(getattr(asyncio, name)), name
                with mock.patch(f"asyncio.{name}") as patched:
                    await getattr(asyncio, name)(1)
                    patched.assert_awaited_once_with(1)

        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of iscoroutinefunction, on newer versions
        asyncio.run(main())
    """)


def test_what_cede_leaves_to_asyncio_does_not_come_back_to_itself() -> None:
    script("""
        import concurrent.futures, socket

        async def main():
            loop = asyncio.get_running_loop()
            done = concurrent.futures.Future()
            done.set_result(1)
            assert await asyncio.wrap_future(done) == 1
            assert await loop.run_in_executor(concurrent.futures.ThreadPoolExecutor(1), abs, -2) == 2
            await loop.getaddrinfo("localhost", 80, flags=socket.AI_CANONNAME)
            assert await asyncio.to_thread(abs, -3) == 3
            await cede.checkpoint()

        asyncio.run(main())
    """)


def test_loops_of_others_take_our_names_too() -> None:
    script(
        """
        import selectors
        from asyncio.selector_events import BaseSelectorEventLoop

        async def main():
            assert type(asyncio.get_running_loop()) is not cede.EventLoop
            queue = asyncio.Queue(1)
            async def feed():
                for number in range(10):
                    await queue.put(number)
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                group.create_task(feed())
                got = [await queue.get() for _ in range(10)]
            assert got == list(range(10))
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()
            await asyncio.gather(writer.wait_closed(), asyncio.sleep(0))
            server.close()
            await server.wait_closed()

        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(main())
        loop.close()
        """,
        CEDE_QUIET="1",  # it would be told that this loop is not cede's
    )


def test_programs_keep_working() -> None:
    got = script(
        """
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
        for error in (asyncio.QueueEmpty("x"), asyncio.CancelledError("x"), asyncio.TimeoutError("x"),
                      asyncio.LimitOverrunError("x", 3), asyncio.InvalidStateError("x"),
                      asyncio.IncompleteReadError(b"ab", 3), asyncio.BrokenBarrierError("x")):
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
        """,
        before="",
        call="",
        CEDE_QUIET="1",
    )
    assert got == ["done"]


def test_only_loops() -> None:
    script(
        """
        assert (asyncio.Future, asyncio.Task, asyncio.Queue, asyncio.Lock, asyncio.TaskGroup) == (F, T, Q, L, G)
        async def main():
            assert type(asyncio.get_running_loop()) is cede.EventLoop
        asyncio.run(main())
        """,
        call="cede.accelerate(names=False)\n",
    )


def test_run_alone_leaves_asyncio_as_it_is() -> None:
    script(
        """
        async def main():
            assert (asyncio.Future, asyncio.Task, asyncio.Queue, asyncio.Lock, asyncio.TaskGroup) == (F, T, Q, L, G)
        cede.run(main())
        loop = asyncio.new_event_loop()
        assert not isinstance(loop, cede.EventLoop)
        loop.close()
        """,
        call="",
    )


@pytest.mark.parametrize(("options", "ours"), [((), True), (("--stock",), False)])
def test_the_command(options: tuple[str, ...], ours: bool, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from asyncio import Queue, get_running_loop, run, sleep\nimport cede\n"
        "async def main():\n    await sleep(0)\n"
        "    print(type(get_running_loop()) is cede.EventLoop, Queue is cede.Queue, sleep is cede.sleep)\n"
        "run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "cede", "run", *options, str(program)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["True", str(ours), str(ours)]


def test_what_neither_has_is_missing_from_each_module() -> None:
    script("""
        import asyncio.subprocess, cede.offload
        for module in (asyncio, asyncio.subprocess, cede, cede.subprocess, cede.offload):
            for name in ("logger_of_nobody", "_private", "__path_of_nobody__"):
                assert not hasattr(module, name), (module, name)
        assert cede.subprocess.PIPE is asyncio.subprocess.PIPE and asyncio.subprocess.STDOUT == -2
    """)
