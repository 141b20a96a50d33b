"""What asyncio cannot be asked: interrupts in the middle of a turn, and turns within turns. Nothing is lost, and the order stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.order.stage import Stage
from tests.support.driver_worlds import OURS, World

each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_of_ours
def test_an_interrupt_in_the_middle_of_a_batch_loses_nothing(world: World) -> None:
    stage = Stage(world.new_loop())
    pairs = [stage.pair() for _ in range(4)]

    def event(place: int) -> None:
        stage.read(pairs[place][0], f"event {place}")
        if place == 1:
            raise KeyboardInterrupt

    for busy in (False, True):
        for place, (near, far) in enumerate(pairs):
            stage.loop.add_reader(near, event, place)
            far.send(b"x")
        if busy:
            stage.loop.call_soon(stage.note, "ready")
        with pytest.raises(KeyboardInterrupt):
            stage.loop.run_forever()
        stage.note("interrupted")
        for near, far in pairs[2:]:
            near.recv(100)  # no later poll will tell of it
            far.send(b"y")
        stage.loop.call_soon(stage.note, "scheduled since")
        stage.loop.call_soon(stage.loop.stop)
        stage.loop.run_forever()
    log = stage.close()
    told = [("event 0", b"x"), ("event 1", b"x"), "interrupted", ("event 2", b"y"), ("event 3", b"y"), "scheduled since"]
    assert log == [*told, "ready", *told]


@each_of_ours
def test_an_operation_hears_of_an_event_that_an_interrupt_left(world: World) -> None:
    loop = world.new_loop()
    stage = Stage(loop)
    (first, first_far), (second, second_far) = stage.pair(), stage.pair()

    async def receive() -> None:
        stage.note(await loop.sock_recv(second, 100))

    def interrupt() -> None:
        loop.remove_reader(first)
        raise KeyboardInterrupt

    task = loop.create_task(receive())
    stage.run(turns=2)
    loop.add_reader(first, interrupt)
    first_far.send(b"x")
    second_far.send(b"y")
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.run_until_complete(asyncio.wait_for(task, 10))
    assert stage.close()[-1] == (3, b"y")


@each_of_ours
@pytest.mark.parametrize("busy", [False, True], ids=["at once", "from the ring"])
def test_a_nested_turn_runs_what_the_outer_one_has_left(world: World, busy: bool) -> None:
    stage = Stage(world.new_loop())
    loop = stage.loop
    pairs = [stage.pair() for _ in range(3)]

    def event(place: int) -> None:
        stage.read(pairs[place][0], f"event {place}")
        loop.call_soon(stage.note, f"woken by {place}")
        if len(stage.log) == 1 + busy:
            pairs[0][1].send(b"again")  # a new event, which must not overtake those of this poll
            loop._run_once()
            stage.note("left")

    def prepare() -> None:
        for place, (near, far) in enumerate(pairs):
            loop.add_reader(near, event, place)
            far.send(b"%d" % place)

    loop.call_soon(prepare)
    loop._run_once()
    if busy:
        loop.call_soon(stage.note, "ready")
        loop.call_soon(loop.call_soon, stage.note, "woken by what was ready")
    loop._run_once()
    expected: list[Any] = ["ready"] if busy else []
    expected += [("event 0", b"0"), ("event 1", b"1"), ("event 2", b"2")]
    expected += ["woken by what was ready"] if busy else []
    assert stage.log == [*expected, "woken by 0", "left"]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert stage.log[len(expected) + 2 :] == ["woken by 1", "woken by 2", ("event 0", b"again")]
    for near, _ in pairs:
        loop.remove_reader(near)
    stage.close()


@each_of_ours
def test_the_outer_turn_ends_where_its_share_ends(world: World) -> None:
    """What a nested turn makes ready is not run by the turn that it was run in."""
    stage = Stage(world.new_loop())
    loop = stage.loop

    def nest() -> None:
        loop.call_soon(loop.call_soon, stage.note, "of the nested turn's work")
        loop._run_once()
        stage.note("left")

    loop.call_soon(nest)
    for place in range(3):
        loop.call_soon(stage.note, place)
    loop._run_once()
    assert stage.log == [0, 1, 2, "left"]
    loop._run_once()
    assert stage.log[4:] == ["of the nested turn's work"]
    stage.close()


@each_of_ours
def test_an_interrupt_in_a_nested_turn_loses_nothing(world: World) -> None:
    """The program catches it, and goes on with the events of the outer turn."""
    stage = Stage(world.new_loop())
    loop = stage.loop
    pairs = [stage.pair() for _ in range(4)]

    def event(place: int) -> None:
        stage.read(pairs[place][0], f"event {place}")
        if place == 0:
            with pytest.raises(KeyboardInterrupt):
                loop._run_once()
        if place == 1:
            raise KeyboardInterrupt

    def prepare() -> None:
        for place, (near, far) in enumerate(pairs):
            loop.add_reader(near, event, place)
            far.send(b"%d" % place)

    loop.call_soon(prepare)
    loop._run_once()
    loop._run_once()
    assert sorted(stage.log) == [(f"event {place}", b"%d" % place) for place in range(4)]
    pairs[3][1].send(b"later")
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    assert stage.log[4:] == [("event 3", b"later")]
    for near, _ in pairs:
        loop.remove_reader(near)
    stage.close()
