"""The order port: an object of the program's says in which order the work of a turn runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from cede.loop.event_loop import EventLoop


class Order:
    """Writes down what it is asked, and answers by a function."""

    def __init__(self, answer: Callable[[list[Any]], Any]) -> None:
        self.answer = answer
        self.asked: list[int] = []

    def arrange(self, batch: list[Any]) -> Any:
        self.asked.append(len(batch))
        return self.answer(batch)


def backwards(batch: list[Any]) -> Iterable[Any]:
    return reversed(batch)


def turns_of(loop: EventLoop, *calls: Any, turns: int = 1) -> None:
    for call in calls:
        loop.call_soon(call)
    for _ in range(turns):
        loop.call_soon(loop.stop)
        loop.run_forever()


@pytest.fixture
def ran() -> list[Any]:
    return []


def with_loop(order: Any, body: Callable[[EventLoop, list[Any]], None], **options: Any) -> list[Any]:
    """Run `body` on a loop with that order; what the exception handler was told."""
    loop = EventLoop(order=order, **options)
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    try:
        body(loop, reports)
    finally:
        loop.close()
    return reports


def test_the_whole_batch_of_a_turn_is_arranged(ran: list[Any]) -> None:
    order = Order(backwards)

    def body(loop: EventLoop, reports: list[Any]) -> None:
        for number in range(5):
            loop.call_soon(ran.append, number)
        turns_of(loop)

    assert with_loop(order, body) == []
    assert ran == [4, 3, 2, 1, 0]
    assert order.asked == [6]  # `stop` too


def test_what_becomes_ready_meanwhile_runs_in_the_next_turn(ran: list[Any]) -> None:
    loop: Any = None

    def answer(batch: list[Any]) -> Any:
        ran.append(len(batch))
        if len(ran) == 1:
            loop.call_soon(ran.append, "made while it was asked")
        return batch

    loop = EventLoop(order=Order(answer))
    try:
        loop.call_soon(ran.append, "first")
        turns_of(loop, turns=2)
    finally:
        loop.close()
    assert ran == [2, "first", 2, "made while it was asked"]


@pytest.mark.parametrize("debug", [False, True])
def test_tasks_timers_and_callbacks(debug: bool) -> None:
    """Whatever the order is, a program does all of its work."""
    rng = random.Random(3)

    def shuffled(batch: list[Any]) -> list[Any]:
        rng.shuffle(batch)
        return batch

    async def main() -> list[int]:
        async def child(number: int) -> int:
            for _ in range(number % 7):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001 * (number % 3))
            return number

        return await asyncio.gather(*(child(number) for number in range(200)))

    with asyncio.Runner(loop_factory=lambda: EventLoop(order=Order(shuffled)), debug=debug) as runner:
        assert runner.run(main()) == list(range(200))


class Broken(Exception):
    pass


def breaks(batch: list[Any]) -> Any:
    raise Broken


class Slippery:
    """Cannot be asked for its items."""

    def __iter__(self) -> Any:
        raise Broken


@pytest.mark.parametrize(
    "answer",
    [
        lambda batch: None,
        lambda batch: batch[1:],
        lambda batch: [*batch, batch[0]],
        lambda batch: [batch[0]] * len(batch),
        lambda batch: [None] * len(batch),
        lambda batch: list(range(len(batch))),
        lambda batch: batch.clear(),
        lambda batch: Slippery(),
        lambda batch: [*batch[1:], asyncio.Handle(print, (), asyncio.get_running_loop())],
        breaks,
    ],
    ids=["None", "one less", "one more", "one alone", "Nones", "numbers", "cleared", "slippery", "a stranger", "raises"],
)
def test_a_wrong_answer_is_reported_and_loses_nothing(answer: Any, ran: list[Any]) -> None:
    order = Order(answer)

    def body(loop: EventLoop, reports: list[Any]) -> None:
        for number in range(4):
            loop.call_soon(ran.append, number)
        turns_of(loop)

    (report,) = with_loop(order, body)
    assert ran == [0, 1, 2, 3]
    assert "order.arrange(batch)" in report["message"]
    assert isinstance(report["exception"], (Broken, ValueError, TypeError))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_order_leaves_the_work_for_the_next_run(kind: type[BaseException], ran: list[Any]) -> None:
    def once(batch: list[Any]) -> Any:
        if order.asked == [3]:
            raise kind
        return batch

    order = Order(once)
    loop = EventLoop(order=order)
    try:
        loop.call_soon(ran.append, 0)
        loop.call_soon(ran.append, 1)
        with pytest.raises(kind):
            turns_of(loop)
        assert ran == []
        loop.run_forever()  # `stop` is there yet
    finally:
        loop.close()
    assert ran == [0, 1]


def test_a_turn_run_by_hand_in_the_order(ran: list[Any]) -> None:
    """It runs what was to be arranged; the outer turn finds nothing of that, and loses nothing."""
    loop: Any = None

    def nested(batch: list[Any]) -> Any:
        if order.asked == [4]:
            loop._run_once()
        return list(reversed(batch))

    order = Order(nested)
    loop = EventLoop(order=order)
    try:
        for number in range(3):
            loop.call_soon(ran.append, number)
        turns_of(loop)
    finally:
        loop.close()
    assert sorted(ran) == [0, 1, 2]
    assert order.asked == [4, 4]


def test_what_was_given_to_the_order_is_its_own() -> None:
    """The list that it was given, changed later, changes nothing."""
    kept: list[Any] = []

    def keeping(batch: list[Any]) -> Any:
        kept.append(batch)
        return batch

    ran: list[int] = []
    loop = EventLoop(order=Order(keeping))
    try:
        loop.call_soon(lambda: kept[0].clear())
        loop.call_soon(ran.append, 1)
        turns_of(loop)
    finally:
        loop.close()
    assert ran == [1]


def test_set_and_taken_back_while_the_loop_runs(ran: list[Any]) -> None:
    order = Order(backwards)
    loop = EventLoop()
    try:
        assert loop.order is None
        loop.order = order
        assert loop.order is order
        for number in range(3):
            loop.call_soon(ran.append, number)
        turns_of(loop)
        loop.order = None
        for number in range(3):
            loop.call_soon(ran.append, number)
        turns_of(loop)
    finally:
        loop.close()
    assert ran == [2, 1, 0, 0, 1, 2]
    assert order.asked == [4]


@pytest.mark.parametrize("wrong", [1, "fifo", object(), [], type("Nothing", (), {"arrange": None})()])
def test_what_is_no_order_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"order must be None or an object with a method arrange"):
        EventLoop(order=wrong)
    loop = EventLoop()
    try:
        with pytest.raises(TypeError, match=r"order must be None or an object with a method arrange"):
            loop.order = wrong
        assert loop.order is None
    finally:
        loop.close()


def test_current_task_is_none_in_the_order() -> None:
    seen: list[Any] = []

    def looking(batch: list[Any]) -> Any:
        seen.append(asyncio.current_task())
        return batch

    async def main() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: EventLoop(order=Order(looking))) as runner:
        runner.run(main())
    assert set(seen) == {None}


def test_a_random_order_of_many_takes_a_time_that_grows_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is looked at a fixed number of times: counted, not timed."""
    rng = random.Random(5)
    asked: list[int] = []

    def shuffled(batch: list[Any]) -> list[Any]:
        asked.append(len(batch))
        rng.shuffle(batch)
        return batch

    ran: list[int] = []
    loop = EventLoop(order=Order(shuffled))
    try:
        for number in range(50_000):
            loop.call_soon(ran.append, number)
        turns_of(loop)
    finally:
        loop.close()
    assert sorted(ran) == list(range(50_000))
    assert ran != sorted(ran)
    assert asked == [50_001]


def test_events_of_the_driver_are_one_item_of_the_batch() -> None:
    """With an order the events of a poll stand on the ring, and come where the order puts them."""
    import socket

    told: list[str] = []
    batches: list[int] = []

    def last_first(batch: list[Any]) -> Any:
        batches.append(len(batch))
        return list(reversed(batch))

    loop = EventLoop(order=Order(last_first))
    ours, theirs = socket.socketpair()
    try:
        theirs.send(b"x")
        loop.add_reader(ours, lambda: (told.append("event"), loop.remove_reader(ours), loop.stop()))
        loop.call_soon(told.append, "ready before the poll")
        loop.run_forever()
    finally:
        loop.close()
        ours.close()
        theirs.close()
    assert told == ["event", "ready before the poll"]
    assert batches == [2]
