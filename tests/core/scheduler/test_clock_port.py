"""The clock port: an object of the program's says what time it is."""

from __future__ import annotations

import asyncio
import selectors
import socket
from typing import Any

import pytest

import cede
from cede.drivers.selector.driver import SelectorDriver
from cede.loop.event_loop import EventLoop


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


class Ticking(Clock):
    """Each reading is a hundredth of a second later: a program that waits gets there without waiting."""

    def time(self) -> float:
        self.now += 0.01
        return self.now


def test_loop_time_is_the_clocks() -> None:
    clock = Clock(12.5)
    loop = EventLoop(clock=clock)
    try:
        assert loop.time() == 12.5
        clock.now = 13
        assert loop.time() == 13.0
    finally:
        loop.close()


def test_timers_are_due_by_it() -> None:
    clock = Clock()
    loop = EventLoop(clock=clock)
    ran: list[Any] = []
    try:
        loop.call_later(3600, ran.append, "an hour")
        loop.call_at(7200, ran.append, "two hours")

        def forward() -> None:
            clock.now += 3600
            loop.call_soon(loop.call_soon, loop.stop)

        for _ in range(2):
            loop.call_soon(forward)
            loop.run_forever()
            ran.append(loop.time())
    finally:
        loop.close()
    assert ran == ["an hour", 3600.0, "two hours", 7200.0]


def test_sleeps_and_time_limits_use_it() -> None:
    """Compiled and not, nothing of them reads another clock: thousands of virtual seconds, told by the clock alone."""
    clock = Ticking(1e6)

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(0.05)
        await cede.sleep(0.05)
        told: list[Any] = [loop.time() - began > 0.1]
        async with cede.timeout(0.05) as limit:
            await cede.sleep(0.02)
        told.append(limit.expired())
        with pytest.raises(TimeoutError):
            await cede.wait_for(cede.sleep(1.0), 0.05)
        with cede.move_on_after(0.05) as scope:
            await cede.sleep(1.0)
        told.append(scope.cancelled_caught)
        assert loop.time() > 1e6
        return told

    with asyncio.Runner(loop_factory=lambda: EventLoop(clock=clock)) as runner:
        assert runner.run(main()) == [True, False, True]


@pytest.mark.parametrize("told", ["now", None, [], float("nan")])
def test_what_is_no_time_is_an_error_that_names_the_clock(told: Any) -> None:
    clock = Clock()
    loop = EventLoop(clock=clock)
    try:
        ran: list[int] = []
        loop.call_later(1.0, ran.append, 1)
        clock.now = told
        with pytest.raises((TypeError, ValueError), match=r"clock\.time\(\) must return a number of seconds"):
            loop.time()
        with pytest.raises((TypeError, ValueError), match=r"clock\.time\(\) must return a number of seconds"):
            loop.run_forever()
        clock.now = 2.0  # nothing is lost
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()
        assert ran == [1]
    finally:
        loop.close()


@pytest.mark.parametrize("wrong", [1.0, "now", object()])
def test_what_is_no_clock_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"clock must be None or an object with a method time\(\)"):
        EventLoop(clock=wrong)


def test_a_method_put_in_the_place_of_time_comes_first_and_goes_again() -> None:
    loop = EventLoop(clock=Clock(5.0))
    try:
        loop.time = lambda: 7.0  # type: ignore[method-assign]
        ran: list[int] = []
        loop.call_at(6.0, ran.append, 1)
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()
        assert (loop.time(), ran) == (7.0, [1])
        del loop.time  # type: ignore[method-assign]
        assert loop.time() == 5.0
        loop.call_at(6.0, ran.append, 2)
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()
        assert ran == [1]  # not due by the clock that was given
    finally:
        loop.close()


class Counting(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    polls = 0

    def select(self, timeout: float | None = None) -> Any:
        self.polls += 1
        return super().select(timeout)


def test_no_poll_is_left_out_by_the_real_clock() -> None:
    """A busy loop leaves polls out for some microseconds, which no clock of the program's can tell: with one it leaves out none."""
    turns = 500
    selector = Counting()
    loop = EventLoop(SelectorDriver(selector), clock=Clock())
    ours, theirs = socket.socketpair()
    left = turns

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(again)
        else:
            loop.stop()

    try:
        loop.add_reader(ours, print)  # something to look at
        loop.call_soon(again)
        loop.run_forever()
        assert selector.polls == turns
    finally:
        loop.close()
        ours.close()
        theirs.close()
