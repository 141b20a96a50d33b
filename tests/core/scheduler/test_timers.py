"""Timers: never early, in order, and gone when cancelled. A clock that the test moves by hand tells the exact cases."""

from __future__ import annotations

import asyncio
import gc
import random
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cede
from cede.core.scheduler import timers
from cede.core.scheduler.ports import DriverPort

COMPILED = not (timers.__file__ or "").endswith(".py")


class Asleep(DriverPort):
    """A world in which nothing happens but the passing of time: it moves the clock by what the loop wants to sleep."""

    idle = True

    def __init__(self) -> None:
        self.idle = True
        self.now = 0.0
        self.slept: list[float] = []
        self.current: list[Any] = []  # the task that asyncio took for the running one, at each sleep
        self.loop: Any = None

    def attach(self, loop: Any) -> None:
        self.loop = loop

    def wakeup_fd(self) -> int:
        return -1

    def wait(self, timeout: float) -> int:
        assert timeout >= 0, "the loop would sleep for ever"
        if timeout:
            self.slept.append(timeout)
            self.current.append(asyncio.current_task(self.loop))
        self.now += timeout
        return 0

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass


class SteppedLoop(cede.EventLoop):
    def time(self) -> float:
        return self.driver.now  # type: ignore[no-any-return]


@pytest.fixture
def stepped() -> Any:
    loop = SteppedLoop(Asleep())
    yield loop
    loop.close()


def test_never_early_by_the_clock_of_the_system(loop: asyncio.AbstractEventLoop, rng: random.Random) -> None:
    early: list[float] = []
    left = 200

    def due(when: float) -> None:
        nonlocal left
        if time.monotonic() < when:
            early.append(when - time.monotonic())
        left -= 1
        if not left:
            loop.stop()

    # asyncio takes a timer for due that is its clock's resolution away, a nanosecond.
    grace = 0.0 if isinstance(loop, cede.EventLoop) else 2e-9
    for _ in range(left):
        when = time.monotonic() + rng.random() * 0.05
        loop.call_at(when, due, when - grace)
    loop.run_forever()
    assert early == []


def test_the_sleep_is_exactly_as_long_as_the_next_timer_wants(stepped: SteppedLoop) -> None:
    ran: list[float] = []
    for when in (0.5, 0.25, 1e-6, 3.0):
        stepped.call_at(when, lambda: ran.append(stepped.time()))
    stepped.call_at(4.0, stepped.stop)
    stepped.run_forever()
    assert ran == [1e-6, 0.25, 0.5, 3.0]
    assert sum(stepped.driver.slept) == 4.0


def test_a_timer_at_this_very_moment_is_due(stepped: SteppedLoop) -> None:
    stepped.driver.now = 5.0
    stepped.call_at(5.0, stepped.stop)
    stepped.run_forever()
    assert stepped.driver.now == 5.0


def test_order_is_by_time_then_by_age(stepped: SteppedLoop, rng: random.Random) -> None:
    expected = [(rng.randrange(50), number) for number in range(2000)]
    ran: list[tuple[int, int]] = []
    for when, number in expected:
        stepped.call_at(float(when), ran.append, (when, number))
    stepped.call_at(100.0, stepped.stop)
    stepped.run_forever()
    assert ran == sorted(expected)


def test_random_cancellations_keep_the_order(stepped: SteppedLoop, rng: random.Random) -> None:
    ran: list[float] = []
    expected: list[float] = []
    handles = []
    for _ in range(3000):
        when = rng.random() * 100
        handles.append((when, stepped.call_at(when, ran.append, when)))
        if rng.random() < 0.4:
            handles.pop(rng.randrange(len(handles)))[1].cancel()
    expected = sorted(when for when, _ in handles)
    stepped.call_at(200.0, stepped.stop)
    stepped.run_forever()
    assert ran == expected


def test_a_timer_set_by_a_timer_waits_for_a_later_turn(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []

    def first() -> None:
        loop.call_later(0, second)
        loop.call_soon(seen.append, "soon")
        seen.append("first")

    def second() -> None:
        seen.append("second")
        loop.stop()

    loop.call_later(0, first)
    loop.run_forever()
    assert seen[0] == "first"
    assert sorted(seen[1:]) == ["second", "soon"]


@pytest.mark.parametrize("delay", [0, -1, -1e300, 0.0])
def test_a_delay_of_nothing_is_still_a_timer(loop: asyncio.AbstractEventLoop, delay: float) -> None:
    handle = loop.call_later(delay, loop.stop)
    assert isinstance(handle, asyncio.TimerHandle)
    assert handle.when() <= loop.time()
    loop.run_forever()


def test_a_cancelled_timer_lets_go_at_once(loop: asyncio.AbstractEventLoop) -> None:
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    handle = loop.call_later(3600, print, thing)
    del thing
    assert gone() is not None
    handle.cancel()
    assert gone() is None
    assert handle.cancelled()
    handle.cancel()


def test_a_cancelled_timer_is_freed_while_others_wait() -> None:
    loop = cede.new_event_loop()
    keep = [loop.call_later(3600 + number, print) for number in range(10)]
    dead = weakref.ref(loop.call_later(1800, print))
    gone = dead()
    assert gone is not None
    gone.cancel()
    del gone
    assert dead() is None
    for handle in keep:
        handle.cancel()
    loop.close()


def test_a_timer_cancelled_while_it_is_due(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    now = loop.time()
    loop.call_at(now, lambda: second.cancel())
    second = loop.call_at(now, seen.append, "no")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert seen == []


@pytest.mark.slow
def test_many_pending_timers(stepped: SteppedLoop, rng: random.Random) -> None:
    """uvloop 37: timers and timeouts leak."""
    count = 200_000 if COMPILED else 50_000
    left = count

    def due() -> None:
        nonlocal left
        left -= 1

    handles = [stepped.call_at(rng.random(), due) for _ in range(count)]
    cancelled = count // 2
    for handle in handles[:cancelled]:
        handle.cancel()
    del handles
    stepped.call_at(2.0, stepped.stop)
    stepped.run_forever()
    assert left == cancelled


def test_cancelling_most_timers_gives_the_memory_back() -> None:
    """aiohttp 8608: heartbeats set anew let the heap grow."""
    loop = cede.new_event_loop()
    count = 20_000
    gc.collect()
    kept = loop.call_later(7200, print)
    handles = [loop.call_later(3600, print) for _ in range(count)]
    watched = [weakref.ref(handle) for handle in handles]
    for handle in handles:
        handle.cancel()
    del handle, handles
    assert sum(ref() is not None for ref in watched) == 0
    kept.cancel()
    loop.close()


def test_comparing_timers(loop: asyncio.AbstractEventLoop) -> None:
    early, late = loop.call_at(10.0, print), loop.call_at(20.0, print)
    assert early < late
    assert late > early
    assert early <= late
    assert late >= early
    assert early != late
    assert early.__eq__(3) is NotImplemented
    assert len({early, late}) == 2
    assert early.when() == 10.0
    early.cancel()
    late.cancel()


def test_bad_times_are_refused(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(TypeError):
        loop.call_later(None, print)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        loop.call_at(None, print)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        loop.call_later("1", print)  # type: ignore[arg-type]


@pytest.mark.parametrize("junk", ["1", b"", [], 1j, object(), 10**400], ids=lambda junk: type(junk).__name__)
def test_a_time_of_a_wrong_type_leaves_the_others_alone(stepped: SteppedLoop, junk: Any) -> None:
    # asyncio takes it, and fails when the heap is sorted next
    seen: list[str] = []
    stepped.call_at(1.0, seen.append, "good")
    with pytest.raises((TypeError, OverflowError)):
        stepped.call_at(junk, print)
    stepped.call_at(2.0, stepped.stop)
    stepped.run_forever()
    assert seen == ["good"]


def test_a_time_that_is_no_number_is_refused_by_cede(stepped: SteppedLoop) -> None:
    # asyncio takes it, and its heap is out of order from then on
    for method in (stepped.call_at, stepped.call_later):
        with pytest.raises(ValueError, match="NaN"):
            method(float("nan"), print)


def test_a_timer_for_the_end_of_the_world(stepped: SteppedLoop) -> None:
    handle = stepped.call_later(float("inf"), print)
    stepped.call_at(1.0, stepped.stop)
    stepped.run_forever()
    assert stepped.driver.now == 1.0
    handle.cancel()


def test_a_sleeping_loop_runs_no_task(stepped: SteppedLoop) -> None:
    """Another thread may ask at any time, and a stall watch does."""

    async def main() -> None:
        assert asyncio.current_task() is not None
        await asyncio.sleep(1)
        assert asyncio.current_task() is not None
        await asyncio.sleep(1)

    stepped.run_until_complete(main())
    assert stepped.driver.current == [None, None]


def test_sleeping_in_order(run: Callable[..., Any]) -> None:
    step = 0.004

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        while True:
            seen: list[int] = []

            async def nap(number: int, seen: list[int] = seen) -> None:
                await asyncio.sleep(number * step)
                seen.append(number)

            begun = loop.time()
            naps = [asyncio.create_task(nap(number)) for number in (5, 1, 4, 2, 3)]
            await asyncio.sleep(0)
            all_asleep = loop.time()
            await asyncio.gather(*naps)
            if all_asleep - begun < step:  # otherwise one that began later may well have slept longer
                return seen

    assert run(main) == [1, 2, 3, 4, 5]
