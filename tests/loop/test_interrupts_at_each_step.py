"""An interrupt at each moment at which Python may deliver one: loop and thread can be used again, or closed.

A signal's handler runs where a Python function begins and where a call ends (and where a loop goes round, which is between two of these). A
profile function is called at the same places, so one that raises KeyboardInterrupt at the n-th of them is an interrupt that arrived there;
n goes from 1 until a program ends without one. Places inside of the program's own functions are left out: there it is the program's to say
what becomes of its work.
"""

from __future__ import annotations

import asyncio
import functools
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cede.core.scheduler.kernel import COMPILED
from cede.loop.config import driver_names, make_driver
from cede.loop.event_loop import EventLoop
from cede.loop.threads.executor import LoopThreads

FURTHEST = 20_000

STARTING = (threading.Thread.__init__.__code__, threading.Thread.start.__code__)

# What begins a thread.
START = getattr(threading, "_start_joinable_thread", None) or threading._start_new_thread  # type: ignore[attr-defined]


@pytest.fixture(params=driver_names())
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def quiet_finalizers(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt inside of a finalizer is the interpreter's to print."""
    monkeypatch.setattr(sys, "unraisablehook", lambda what: None)


class Interrupter:
    """Raises KeyboardInterrupt at the n-th moment, once."""

    def __init__(self, number: int) -> None:
        self.number = self.left = number
        self.raised = False
        self.threads: set[Any] = set()  # that the system has begun

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        if event not in ("call", "c_return") or frame.f_code.co_filename == __file__:
            return
        if frame.f_code.co_filename == threading.__file__:
            # Its conditions lose their locks where they are interrupted, and nobody can start a thread without: that is Python's to mend.
            if frame.f_code not in STARTING:
                return
            # Nor does the lock come back that is taken there: from Python 3.14 on a `with` calls `__enter__`, and what is raised when that
            # call ends comes before the block. Until then no call was seen there.
            if getattr(argument, "__name__", None) == "__enter__":
                return
            if argument is START:
                self.threads.add(frame.f_locals["self"])
        self.left -= 1
        if self.left == 0:
            self.raised = True
            raise KeyboardInterrupt

    def during(self, what: Callable[[], Any]) -> Any:
        """Call `what`. The interpreter forgets a profile function that raised."""
        sys.setprofile(self)
        try:
            return what()
        finally:
            sys.setprofile(None)


def each_moment(step: int = 1) -> Iterator[Interrupter]:
    number = 1
    while True:
        interrupter = Interrupter(number)
        yield interrupter
        if not interrupter.raised:
            assert number > 1
            return
        number += step
        assert number < FURTHEST


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_a_run_that_is_interrupted_leaves_loop_and_thread_as_they_were(driver: str) -> None:
    """For each moment of a run, from its first to its last."""
    before = (sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth(), signal_descriptor())
    for debug in (False, True):
        loop = EventLoop(make_driver(driver), fair=True)
        loop.set_debug(debug)
        for interrupter in each_moment():
            coroutine = answer()
            try:
                assert interrupter.during(functools.partial(loop.run_until_complete, coroutine)) == 42
            except KeyboardInterrupt:
                pass
            finally:
                close_unborn(coroutine, loop)
            assert not loop.is_running()
            assert asyncio._get_running_loop() is None
            assert (sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth(), signal_descriptor()) == before
            assert loop.run_until_complete(answer()) == 42
        loop.close()


def close_unborn(coroutine: Any, loop: Any) -> None:
    """An interrupt may have come before there was a task: then nobody will ever await it."""
    if all(task.get_coro() is not coroutine for task in asyncio.all_tasks(loop)):
        coroutine.close()


def signal_descriptor() -> int:
    found = signal.set_wakeup_fd(-1)
    if found != -1:
        signal.set_wakeup_fd(found)
    return found


def test_a_close_that_is_interrupted_is_made_complete_by_the_next(driver: str) -> None:
    for interrupter in each_moment():
        loop = EventLoop(make_driver(driver))
        one, other = socket.socketpair()
        with one, other:
            loop.add_reader(one, print)
            loop.call_later(1000, print)
            try:
                interrupter.during(loop.close)
            except KeyboardInterrupt:
                pass
            loop.close()
            assert loop.is_closed()
            assert not loop.timer_count()
            with pytest.raises(RuntimeError, match="closed"):
                loop.run_until_complete(asyncio.sleep(0))


class Work:
    """A program whose pieces are counted: each is to run once, however often the runs are interrupted."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.ran: dict[str, int] = {}
        self.given: set[str] = set()
        self.one, self.other = socket.socketpair()
        for sock in (self.one, self.other):
            sock.setblocking(False)
        self.tasks: list[Any] = []

    def note(self, name: str) -> None:
        self.ran[name] = self.ran.get(name, 0) + 1

    def begin(self) -> None:
        """Hand the work in. Not interrupted: who was interrupted here knows what it has handed in."""
        loop = self.loop
        for number in range(3):
            self.given |= {f"soon {number}", f"timer {number}", f"due {number}", f"post {number}", f"done {number}", f"task {number}"}
            loop.call_soon(self.note, f"soon {number}")
            loop.call_later(0.0005 * number, self.note, f"timer {number}")
            loop.call_at(0.0, self.note, f"due {number}")
            future = loop.create_future()
            future.add_done_callback(lambda _, number=number: self.note(f"done {number}"))
            future.set_result(None)
            self.tasks.append(loop.create_task(self.steps(number)))
        thread = threading.Thread(target=self.post)
        thread.start()
        thread.join()
        self.given.add("event")
        loop.add_reader(self.one, self.readable)
        self.other.send(b"x")

    def post(self) -> None:
        for number in range(3):
            self.loop.call_soon_threadsafe(self.note, f"post {number}")

    def readable(self) -> None:
        self.note("event")
        self.one.recv(1)
        self.loop.remove_reader(self.one)

    async def steps(self, number: int) -> None:
        for _ in range(3):
            await Turn()
        self.note(f"task {number}")

    def left(self) -> list[str]:
        return sorted(name for name in self.given if not self.ran.get(name))

    def end(self) -> None:
        self.one.close()
        self.other.close()


class Turn:
    """A turn of the loop, awaited in this file's code alone."""

    def __await__(self) -> Any:
        yield


def test_no_interrupt_loses_a_piece_of_work(driver: str) -> None:
    reports: list[Any] = []
    for interrupter in each_moment():
        loop = EventLoop(make_driver(driver))
        loop.set_exception_handler(lambda loop, context: reports.append(context))
        work = Work(loop)
        work.begin()
        try:
            loop.call_later(0.002, loop.stop)
            interrupter.during(loop.run_forever)
        except KeyboardInterrupt:
            pass
        deadline = loop.time() + 10
        while (left := work.left()) and loop.time() < deadline and not broken(work):
            loop.call_later(0.001, loop.stop)
            loop.run_forever()
        # A task that the interrupt ended has it as its exception: that is its report.
        left = [name for name in left if not (name.startswith("task") and was_told(work.tasks[int(name[-1])]))]
        loop.close()
        work.end()
        assert not left, f"lost by an interrupt at moment {interrupter.number}"
        assert all(count == 1 for name, count in work.ran.items()), work.ran
    assert not reports


def was_told(task: Any) -> bool:
    return task.done() and not task.cancelled() and isinstance(task.exception(), KeyboardInterrupt)


def broken(work: Work) -> bool:
    """Whether what is left will not come: an interrupt ended it, and said so."""
    return all(name.startswith("task") and was_told(work.tasks[int(name[-1])]) for name in work.left())


@pytest.mark.parametrize("buffered", [False, True], ids=["", "buffered"])
@pytest.mark.parametrize("limit", [None, 1], ids=["", "one at a time"])
def test_no_interrupt_loses_a_connection(driver: str, limit: int | None, buffered: bool) -> None:
    """From the moment at which it waits to be accepted to the one at which its protocol has the first data: each client is served."""
    reports: list[Any] = []
    for interrupter in each_moment():
        loop = EventLoop(make_driver(driver))
        loop.set_exception_handler(lambda loop, context: reports.append(context))
        heard: list[Heard] = []

        def make(heard: list[Heard] = heard) -> Heard:
            heard.append(HeardInPlace() if buffered else Heard())
            return heard[-1]

        def stop_when_idle(loop: Any = loop, heard: list[Heard] = heard) -> None:
            """Compiled, what is to be interrupted ends with the connections; else where those that may be open have been heard."""
            if COMPILED:
                over = len(heard) == 2 and all(one.told[-1:] == ["lost"] for one in heard)
            else:
                over = len(heard) >= (limit or 2) and all(len(one.told) >= 2 for one in heard)
            if not over:
                loop.call_soon(stop_when_idle)
            else:
                loop.stop()

        limits: dict[str, Any] = {} if limit is None else {"max_connections": limit}
        server = loop.run_until_complete(loop.create_server(make, "127.0.0.1", 0, **limits))
        clients = [socket.create_connection(server.sockets[0].getsockname()) for _ in range(2)]
        for number, client in enumerate(clients):
            client.settimeout(10)
            client.sendall(b"%d" % number)
            if COMPILED:
                client.shutdown(socket.SHUT_WR)
        try:
            loop.call_soon(stop_when_idle)
            interrupter.during(loop.run_forever)
        except KeyboardInterrupt:
            pass
        for client in clients:
            if not COMPILED:
                client.shutdown(socket.SHUT_WR)
        deadline = loop.time() + 10
        while loop.time() < deadline and sum(one.told[-1:] == ["lost"] for one in heard) < 2:
            loop.call_later(0.001, loop.stop)
            loop.run_forever()
        told = sorted(one.told for one in heard)
        served = [["made", "0", "eof", "lost"], ["made", "1", "eof", "lost"]]
        assert told == served, f"{told} after an interrupt at moment {interrupter.number}"
        counts = server.statistics()
        assert (counts.accepted, counts.connections, counts.failed) == (2, 0, 0)
        for client in clients:
            assert client.recv(10) == b"bye"
            assert client.recv(10) == b""
            client.close()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()
    assert not reports


class Heard(asyncio.BaseProtocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.told.append(data.decode())

    def eof_received(self) -> None:
        self.told.append("eof")
        self.transport.write(b"bye")

    def connection_lost(self, error: BaseException | None) -> None:
        self.told.append("lost" if error is None else repr(error))


class HeardInPlace(Heard, asyncio.BufferedProtocol):
    """The same, with a buffer of its own."""

    data_received: Any = None

    def get_buffer(self, sizehint: int) -> Any:
        self.buffer = bytearray(10)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.told.append(self.buffer[:nbytes].decode())


def test_no_interrupt_holds_up_the_threads_of_a_loop(driver: str) -> None:
    """A job that was handed in runs, once, or is not there; the threads take the next one; the loop's end is not held up."""
    for interrupter in each_moment():
        loop = EventLoop(make_driver(driver))
        ran: list[int] = []
        futures: list[Any] = []

        def hand_in(loop: Any = loop, ran: list[int] = ran, futures: list[Any] = futures) -> None:
            for number in range(3):
                futures.append(loop.run_in_executor(None, ran.append, number))
                loop.call_soon(loop.stop)
                loop.run_forever()
            futures[0].cancel()
            if loop._default_executor is not None:
                loop._default_executor.pool.told()

        try:
            interrupter.during(hand_in)
        except KeyboardInterrupt:
            pass
        forget_those_not_begun(interrupter.threads)
        loop.call_soon(loop.stop)  # one may be there already
        loop.run_forever()
        answered = loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, threading.get_ident), 10))
        assert answered != threading.get_ident()
        if futures:
            _, left = loop.run_until_complete(asyncio.wait(futures, timeout=10))
            assert not left
        assert all(ran.count(number) <= 1 for number in range(3)), ran
        assert all(number in ran for number, future in enumerate(futures) if not future.cancelled())
        crew = loop._default_executor.pool
        loop.run_until_complete(asyncio.wait_for(loop.shutdown_default_executor(), 10))
        counts = crew.told()
        assert counts["busy"] == counts["queued"] == 0, counts
        assert not crew.workers
        loop.close()


def forget_those_not_begun(begun: set[Any]) -> None:
    """Python keeps a thread whose start was interrupted among those that are about to begin, for ever."""
    about_to_begin = threading._limbo  # type: ignore[attr-defined]
    for thread in list(about_to_begin):
        if thread not in begun:
            del about_to_begin[thread]


def test_threads_that_are_told_to_go_while_an_interrupt_comes_go() -> None:
    for interrupter in each_moment():
        loop = EventLoop(make_driver(driver_names()[0]))  # whichever: no driver is asked
        gate = threading.Event()
        threads = LoopThreads(loop)  # type: ignore[arg-type]
        held = [threads.submit(gate.wait, 10) for _ in range(threads._max_workers)]
        waiting = [threads.submit(int) for _ in range(3)]
        gate.set()
        assert all(future.result(10) for future in held)
        try:
            interrupter.during(functools.partial(threads.shutdown, wait=False, cancel_futures=True))
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
        for future in waiting:
            assert future.cancelled() or future.result(10) == 0
        for thread in list(threads.pool.threads):
            thread.join(10)
            assert not thread.is_alive()
        loop.close()


def test_a_first_run_without_descriptors_leaves_loop_and_thread_as_they_were(driver: str) -> None:
    """What a run needs is there when the loop is made; a thread's loop, which needs less, is not refused either."""
    loop = EventLoop(make_driver(driver))
    with no_descriptors():
        assert loop.run_until_complete(answer()) == 42
    loop.close()
    found: list[Any] = []

    def elsewhere() -> None:
        found.append(EventLoop(make_driver(driver)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    with no_descriptors():
        coroutine = answer()
        try:
            found[0].run_until_complete(coroutine)
        except OSError:
            pass  # made on another thread, it has no pipe for signals yet
    assert not found[0].is_running()
    assert asyncio._get_running_loop() is None
    assert found[0].run_until_complete(answer()) == 42
    found[0].close()


class no_descriptors:
    """A context in which no descriptor can be had."""

    def __enter__(self) -> None:
        self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, self.limits[1]))
        self.filled: list[int] = []
        try:
            while True:
                self.filled.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass

    def __exit__(self, *_: object) -> None:
        for fd in self.filled:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)
