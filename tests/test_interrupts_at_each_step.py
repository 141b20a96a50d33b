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

from cede.loop.choice import driver_names, make_driver
from cede.loop.event_loop import EventLoop

FURTHEST = 20_000


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

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        if event not in ("call", "c_return") or frame.f_code.co_filename == __file__:
            return
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
