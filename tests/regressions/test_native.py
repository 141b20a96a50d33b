"""What brought native event loops down: objects that go in the wrong moment, and calls nobody thought of. Each outcome is asyncio's."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede.loop.config import driver_names
from tests.support.loops import is_cede
from tests.support.scripts import run_script

Run = Callable[..., Any]


@pytest.mark.parametrize("driver", driver_names())
def test_loops_closed_and_dropped_with_everything_still_open(driver: str) -> None:
    """uvloop 706: what is told of the end of a transport runs after the transport, or its loop, has gone; the collector runs meanwhile."""
    script = """
    import asyncio, gc, os, socket, warnings
    import cede
    warnings.simplefilter("ignore")
    told = []
    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport  # a cycle
        def connection_lost(self, error):
            gc.collect()
            told.append("lost")
    async def fill(loop):
        server = await loop.create_server(Protocol, "127.0.0.1", 0)
        kept = [server]
        for _ in range(20):
            kept.append(await loop.create_connection(Protocol, *server.sockets[0].getsockname()))
            kept.append(await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)))
        ear, mouth = os.pipe()
        kept.append(await loop.connect_read_pipe(Protocol, open(ear, "rb", 0)))
        kept.append(await loop.connect_write_pipe(asyncio.BaseProtocol, open(mouth, "wb", 0)))
        return kept
    for attempt in range(12):
        loop = cede.new_event_loop()
        kept = loop.run_until_complete(fill(loop))
        if attempt % 3 == 0:
            for item in kept[1:]:
                item[0].close()  # pending when the loop is closed
        elif attempt % 3 == 1:
            for item in kept[1:]:
                item[0].close()
            loop.call_soon(loop.stop)
            loop.call_soon(gc.collect)
            loop.run_forever()
        if attempt % 2:
            loop.close()
            del kept, loop
        else:
            del kept
            gc.collect()
            loop.close()
            del loop
        gc.collect()
    print("whole", len(told) >= 60)
    """
    assert run_script(script, CEDE_DRIVER=driver)[:2] == (0, "whole True\n")


def test_what_arrives_for_a_protocol_that_has_gone(run: Run) -> None:
    """uvloop 538: the transport alone keeps its protocol; dropped by everybody else, it still gets what comes, and the end."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[Any] = []

        class Protocol(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                told.append(data)
                gc.collect()

            def connection_lost(self, error: BaseException | None) -> None:
                told.append("lost")
                ended.set_result(None)

        for _ in range(5):
            ended = loop.create_future()
            one, other = socket.socketpair()
            transport, protocol = await loop.connect_accepted_socket(Protocol, one)
            gone = weakref.ref(protocol)
            del protocol
            gc.collect()
            other.send(b"x")
            await asyncio.sleep(0.001)
            transport.set_protocol(Protocol())  # now the first one goes, with an event on its way
            other.send(b"y")
            gc.collect()
            assert gone() is None
            other.close()
            await ended
            del transport

        assert told == [b"x", b"y", "lost"] * 5

    run(main)


def test_timers_that_fire_and_are_cancelled_in_their_own_callback(run: Run) -> None:
    """uvloop 76, uvloop 83: the arguments live until the callback has returned, whatever it does to its timer."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ran: list[Any] = []

        class Argument:
            pass

        def fire(index: int, argument: Argument) -> None:
            timers[index].cancel()
            timers[index].cancel()
            timers[index] = loop.call_later(1000, fire, index, argument)  # type: ignore[call-overload]
            gc.collect()
            ran.append(type(argument))
            timers[index].cancel()
            timers[index] = None

        timers: list[Any] = [None] * 50
        for index in range(50):
            timers[index] = loop.call_later(0, fire, index, Argument())
        gone = weakref.ref(timers[0]._args[1])
        while len(ran) < 50:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert ran == [Argument] * 50
        assert timers == [None] * 50
        gc.collect()
        assert gone() is None

    run(main)


def test_connections_terminated_from_two_threads() -> None:
    """roboco 340: many connections that die at once on two loops, while a third thread drops, collects and aborts."""
    script = """
    import asyncio, gc, socket, threading
    import cede
    COUNT = 150
    errors = []
    def serve(name):
        async def main():
            loop = asyncio.get_running_loop()
            lost = []
            class Protocol(asyncio.Protocol):
                def connection_made(self, transport):
                    self.transport = transport
                    transport.write(bytes(100_000))
                def connection_lost(self, error):
                    lost.append(self)
            server = await loop.create_server(Protocol, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            for _ in range(4):
                made = await asyncio.gather(*[loop.create_connection(Protocol, *address) for _ in range(COUNT)])
                def terminate():
                    # As a pool does: each is told from a thread that is not its loop's.
                    for transport, _ in made:
                        loop.call_soon_threadsafe(transport.abort)
                    gc.collect()
                threads = [threading.Thread(target=terminate) for _ in range(2)]
                for thread in threads:
                    thread.start()
                while any(thread.is_alive() for thread in threads) or len(lost) < 2 * COUNT:
                    await asyncio.sleep(0)
                for thread in threads:
                    thread.join()
                assert len(lost) == 2 * COUNT, len(lost)
                lost.clear()
                made.clear()
            server.close()
            await server.wait_closed()
        try:
            cede.run(main())
        except BaseException as error:
            errors.append(error)
            raise
    threads = [threading.Thread(target=serve, args=(name,)) for name in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("whole", errors)
    """
    assert run_script(script) == (0, "whole []\n", "")


# -- futures and tasks


def test_an_awaited_future_driven_by_hand(run: Run) -> None:
    """cpython 146065: next, throw, send and close in every order, on a future that is pending, done, failed, cancelled."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio's own iterator ends the process there")

        def make(state: str) -> asyncio.Future[int]:
            future = loop.create_future()
            if state == "done":
                future.set_result(1)
            elif state == "failed":
                future.set_exception(KeyError("failed"))
                future.exception()
            elif state == "cancelled":
                future.cancel()
            return future

        def drive(state: str, calls: str) -> list[Any]:
            future = make(state)
            iterator: Any = future.__await__()
            heard: list[Any] = []
            for call in calls:
                try:
                    if call == "n":
                        heard.append(next(iterator) is future)
                    elif call == "s":
                        heard.append(iterator.send(None) is future)
                    elif call == "v":
                        heard.append(iterator.send("value") is future)
                    elif call == "t":
                        heard.append(iterator.throw(ZeroDivisionError("thrown")))
                    else:
                        heard.append(iterator.close())
                except BaseException as error:
                    heard.append((type(error).__name__, getattr(error, "value", None)))
            return heard

        expected: dict[tuple[str, str], list[Any]] = {
            ("pending", "nts"): [True, ("ZeroDivisionError", None), ("StopIteration", None)],
            ("pending", "ntt"): [True, ("ZeroDivisionError", None), ("ZeroDivisionError", None)],
            ("pending", "nn"): [True, ("RuntimeError", None)],
            ("pending", "ncn"): [True, None, ("StopIteration", None)],
            ("pending", "ss"): [True, ("RuntimeError", None)],
            ("done", "n"): [("StopIteration", 1)],
            ("done", "s"): [("StopIteration", 1)],
            ("done", "nn"): [("StopIteration", 1), ("StopIteration", None)],
            ("done", "tn"): [("ZeroDivisionError", None), ("StopIteration", None)],
            ("failed", "nn"): [("KeyError", None), ("StopIteration", None)],
            ("cancelled", "nn"): [("CancelledError", None), ("StopIteration", None)],
        }
        for (state, calls), wanted in expected.items():
            assert drive(state, calls) == wanted, (state, calls)
        for calls in ("nsvtc", "vtsn", "ctn", "tttt", "cccc", "ntctn"):
            for state in ("pending", "done", "failed", "cancelled"):
                assert len(drive(state, calls)) == len(calls)
        gc.collect()

    run(main)


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_a_dying_task_that_its_report_brings_back(loop: asyncio.AbstractEventLoop, state: str) -> None:
    """cpython 142556: the exception handler keeps, and registers again, the task whose destruction it is told of."""
    kept: list[Any] = []

    def handler(_: Any, context: dict[str, Any]) -> None:
        task = context.get("task") or context["future"]
        kept.append(task)
        asyncio._register_task(task)

    async def waits() -> None:
        await loop.create_future()

    async def fails() -> None:
        raise ZeroDivisionError

    loop.set_exception_handler(handler)
    task = loop.create_task(waits() if state == "pending" else fails())
    loop.call_soon(loop.stop)
    loop.run_forever()
    if state == "pending":
        loop.close()  # until then cede's loop keeps it
    del task
    gc.collect()
    (brought_back,) = kept
    assert state in repr(brought_back) or brought_back.done()
    assert brought_back.done() is (state == "failed")
    gone = weakref.ref(brought_back)
    asyncio._unregister_task(brought_back)
    del brought_back
    kept.clear()
    gc.collect()
    assert gone() is None
    assert len(kept) == 0  # told once


def test_callbacks_that_come_and_go_while_others_run(run: Run) -> None:
    """cpython 82966, cpython 75244: a comparison, or a callback, that changes the very list that is being walked."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: Any = loop.create_future()
        ran: list[str] = []
        asked: list[None] = []

        def plain(_: Any) -> None:
            ran.append("plain")

        class Treacherous:
            """Equal to nothing, and takes the list apart when it is asked."""

            def __call__(self, _: Any) -> None:
                ran.append("treacherous")
                future.remove_done_callback(plain)
                future.add_done_callback(plain)

            def __eq__(self, other: object) -> bool:
                if len(asked) < 20:  # it is asked again by what it does
                    asked.append(None)
                    future.remove_done_callback(plain)
                gc.collect()
                return False

            __hash__ = None  # type: ignore[assignment]

        first = Treacherous()
        for callback in (first, plain, plain, Treacherous(), plain):
            future.add_done_callback(callback)
        assert future.remove_done_callback(object()) in (0, 1, 2, 3)
        future.remove_done_callback(first)
        future.set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "treacherous" in ran

        # The same from a thread's future, whose end comes at any moment.
        for _ in range(200):
            job = loop.run_in_executor(None, int)
            job.add_done_callback(plain)
            job.remove_done_callback(plain)
            waiter = asyncio.ensure_future(job)
            assert await waiter == 0

    run(main)


def test_foreign_objects_in_the_place_of_the_current_task(run: Run) -> None:
    """cpython 105987: what is no task and no loop of ours is entered, left and swapped as if it were; nothing breaks."""

    class Stranger:
        """Neither a task nor a loop."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        me = asyncio.current_task()
        stranger: Any = Stranger()
        foreign_loop: Any = Stranger()
        if sys.version_info < (3, 14):
            asyncio.tasks._enter_task(foreign_loop, stranger)
            assert asyncio.current_task() is me
            asyncio.tasks._leave_task(foreign_loop, stranger)
        else:  # since then a thread has one current task, of the loop that runs in it
            with pytest.raises(RuntimeError):
                asyncio.tasks._enter_task(foreign_loop, stranger)
            with pytest.raises(RuntimeError):
                asyncio.tasks._leave_task(foreign_loop, stranger)
        with pytest.raises(RuntimeError):
            asyncio.tasks._enter_task(loop, stranger)
        with pytest.raises(RuntimeError):
            asyncio.tasks._leave_task(loop, stranger)
        if sys.version_info >= (3, 12):
            before = asyncio.tasks._swap_current_task(loop, stranger)
            assert before is me
            assert asyncio.current_task() is stranger
            assert asyncio.tasks._swap_current_task(loop, me) is stranger
        assert asyncio.current_task() is me
        await asyncio.sleep(0)
        assert asyncio.current_task() is me

    run(main)


@pytest.mark.parametrize("ending", ["exit", "return", "error", "os-thread"])
def test_tasks_alive_when_the_interpreter_ends(ending: str) -> None:
    """cpython 130221: pending tasks, timers, transports and a running loop in a thread, and the program simply ends."""
    script = f"""
    import asyncio, socket, sys, threading, warnings
    import cede
    warnings.simplefilter("ignore")
    ENDING = {ending!r}
    class Holder:
        def __del__(self):
            # At the very end, when modules are taken apart.
            try:
                self.loop.call_soon(print)
            except Exception:
                pass
    async def waits(holder):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            holder.loop
    loop = cede.new_event_loop()
    asyncio.set_event_loop(loop)
    holders = []
    for _ in range(10):
        holder = Holder()
        holder.loop = loop
        holder.task = loop.create_task(waits(holder))
        holder.timer = loop.call_later(1000, print, holder)
        holders.append(holder)
    async def connect():
        one, other = socket.socketpair()
        one.setblocking(False)
        keep.append(other)
        keep.append(await loop.create_connection(asyncio.Protocol, sock=one))
    keep = []
    loop.run_until_complete(connect())
    if ENDING == "os-thread":
        threading.Thread(target=loop.run_forever, daemon=True).start()
    sys.stdout.write("ends\\n")
    sys.stdout.flush()
    if ENDING == "exit":
        sys.exit(3)
    if ENDING == "error":
        raise ZeroDivisionError
    """
    status, out, err = run_script(script)
    assert (status, out) == ({"exit": 3, "error": 1}.get(ending, 0), "ends\n"), err
    assert "Fatal Python error" not in err


CYTHON_MODULE = """
import asyncio

async def wait_for(future):
    return await future

async def through(coroutine_function, argument):
    value = await coroutine_function(argument)
    await asyncio.sleep(0)
    return ("cython", value)

def generator_of(count):
    for number in range(count):
        yield None
    return count

async def numbers(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield number
"""


@pytest.mark.slow
@pytest.mark.compiled
def test_coroutines_that_cython_made(tmp_path: Any) -> None:
    """cython 1685: its coroutines await ours and we await theirs, on each kind of task."""
    pytest.importorskip("Cython")
    if cede.core.scheduler.kernel.__file__.endswith(".py"):
        pytest.skip("without a compiler there is none to try it with")
    (tmp_path / "made_by_cython.pyx").write_text(CYTHON_MODULE)
    built = subprocess.run(
        [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-3", "-q", "made_by_cython.pyx"],
        cwd=tmp_path,
        env=os.environ | {"CFLAGS": "-O0 -w"},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert built.returncode == 0, built.stderr
    script = """
    import asyncio, made_by_cython
    import cede
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        waiting = [asyncio.create_task(made_by_cython.wait_for(future)) for _ in range(3)]
        await asyncio.sleep(0)
        future.set_result("ours")
        print(await asyncio.gather(*waiting))
        async def python(argument):
            return await made_by_cython.wait_for(loop.run_in_executor(None, int, argument))
        print(await made_by_cython.through(python, "5"))
        print(await asyncio.wait_for(made_by_cython.through(python, "6"), 10))
        print([number async for number in made_by_cython.numbers(3)])
        task = asyncio.create_task(made_by_cython.wait_for(loop.create_future()))
        await asyncio.sleep(0)
        task.cancel()
        print([type(error).__name__ for error in await asyncio.gather(task, return_exceptions=True)])
        failing = loop.create_future()
        failing.set_exception(KeyError("k"))
        try:
            await made_by_cython.wait_for(failing)
        except KeyError as error:
            print(repr(error))
        await asyncio.sleep(0)
    for tasks in ("cede", "asyncio"):
        with cede.Runner(loop_factory=lambda: cede.new_event_loop(tasks=tasks)) as runner:
            runner.run(main())
    """
    done = run_script(script, PYTHONPATH=str(tmp_path))
    once = "['ours', 'ours', 'ours']\n('cython', 5)\n('cython', 6)\n[0, 1, 2]\n['CancelledError']\nKeyError('k')\n"
    assert done == (0, once * 2, "")


def test_several_loops_taken_in_turns(loop_factory: Callable[[], Any]) -> None:
    """pytest-asyncio 950: loops of different scopes in one thread; what belongs to one is never run, nor known, by another."""
    loops = [loop_factory() for _ in range(3)]
    queues: list[Any] = []
    tasks: list[Any] = []

    async def work(number: int, queue: Any) -> None:
        assert asyncio.get_running_loop() is loops[number]
        while True:
            queue.append(number)
            await asyncio.sleep(0)

    async def begin(number: int) -> None:
        queues.append([])
        tasks.append(asyncio.create_task(work(number, queues[number])))
        await asyncio.sleep(0)

    for number, loop in enumerate(loops):
        loop.run_until_complete(begin(number))
    for _ in range(10):
        for loop in loops:
            loop.run_until_complete(asyncio.sleep(0))
    for number, loop in enumerate(loops):
        assert set(queues[number]) == {number}
        assert len(queues[number]) >= 10
        assert asyncio.all_tasks(loop) == {tasks[number]}
        tasks[number].cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(tasks[number])
        loop.close()
    assert threading.active_count() >= 1
