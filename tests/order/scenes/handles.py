"""Handles are those that stood there at the poll."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.order.stage import Stage, scene


def meanwhile(stage: Stage, act: Callable[[], Any], turns: int = 5) -> None:
    """Run `act` between a poll and its events: in the turn after the one in which data was sent."""
    stage.loop.call_soon(stage.loop.call_soon, act)
    stage.run(turns=turns)


@scene
def a_reader_that_is_replaced(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "old")
    stage.loop.call_soon(far.send, b"x")
    meanwhile(stage, lambda: stage.loop.add_reader(near, stage.read, near, "new"))


@scene
def a_reader_that_is_removed(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "old")
    stage.loop.call_soon(far.send, b"x")
    meanwhile(stage, lambda: stage.note(stage.loop.remove_reader(near)))


@scene
def a_reader_that_is_removed_and_added(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "old")
    stage.loop.call_soon(far.send, b"x")

    def act() -> None:
        stage.loop.remove_reader(near)
        stage.loop.add_reader(near, stage.read, near, "new")

    meanwhile(stage, act)


@scene
def a_reader_that_is_added_beside_a_writer(stage: Stage) -> None:
    near, far = stage.pair()
    far.send(b"x")
    stage.loop.add_writer(near, stage.note, "writer")

    def act() -> None:
        stage.note("act")
        stage.loop.add_reader(near, stage.read, near, "reader")

    meanwhile(stage, act)
    stage.loop.remove_writer(near)


@scene
def a_writer_that_the_reader_removes(stage: Stage) -> None:
    near, far = stage.pair()
    far.send(b"x")

    def read() -> None:
        stage.read(near, "reader")
        stage.loop.remove_writer(near)

    stage.loop.add_reader(near, read)
    stage.loop.add_writer(near, stage.note, "writer")
    stage.run(turns=3)


@scene
def a_writer_that_the_reader_replaces(stage: Stage) -> None:
    near, far = stage.pair()
    far.send(b"x")

    def read() -> None:
        stage.read(near, "reader")
        stage.loop.add_writer(near, write, "new writer")

    def write(name: str) -> None:
        stage.note(name)
        stage.loop.remove_writer(near)

    stage.loop.add_reader(near, read)
    stage.loop.add_writer(near, write, "old writer")
    stage.run(turns=4)


@scene
def a_reader_that_another_event_replaces(stage: Stage) -> None:
    (first, first_far), (second, second_far) = stage.pair(), stage.pair()

    def event() -> None:
        stage.read(first, "first")
        stage.loop.add_reader(second, stage.read, second, "new")

    stage.loop.add_reader(first, event)
    stage.loop.add_reader(second, stage.read, second, "old")
    first_far.send(b"x")
    second_far.send(b"y")
    stage.run(turns=4)


@scene
def a_descriptor_that_is_closed_and_its_number_used_again(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "old")
    stage.loop.call_soon(far.send, b"x")

    def act() -> None:
        number = near.fileno()
        stage.loop.remove_reader(near)
        near.close()
        again, again_far = stage.pair()
        assert again.fileno() == number
        again_far.send(b"y")
        stage.loop.add_reader(again, stage.read, again, "new")

    meanwhile(stage, act)


@scene
def an_operation_that_is_given_up_and_begun_again(stage: Stage) -> None:
    """The poll told of data; then somebody else took it, and an operation began to wait. It is not told of what is gone."""
    near, far = stage.pair()

    async def receive(name: str) -> None:
        try:
            stage.note((name, await stage.loop.sock_recv(near, 100)))
        except asyncio.CancelledError:
            stage.note((name, "cancelled"))

    first = stage.loop.create_task(receive("first"))
    stage.loop.call_soon(far.send, b"x")

    def act() -> None:
        first.cancel()
        stage.note(near.recv(100))
        stage.loop.create_task(receive("second"))
        stage.loop.call_later(0, far.send, b"y")

    meanwhile(stage, act, turns=8)
