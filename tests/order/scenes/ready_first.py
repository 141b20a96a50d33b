"""What was ready comes first, then events, then timers; what these wake runs in the next turn. Looks that are left out do not show."""

from __future__ import annotations

import asyncio

from tests.order.stage import Stage, scene


@scene
def events_come_behind_what_was_ready(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")
    far.send(b"x")
    for name in "ab":
        stage.loop.call_soon(stage.note, name)
        stage.loop.call_soon(stage.loop.call_soon, stage.note, f"woken by {name}")
    stage.run(turns=4)


@scene
def events_come_behind_what_was_ready_in_a_later_turn(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")
    future = stage.woken("woken")

    def act() -> None:
        far.send(b"x")
        future.set_result(None)
        stage.loop.call_soon(stage.note, "ready")

    stage.loop.call_soon(stage.loop.call_soon, act)
    stage.run(turns=6)


@scene
def timers_come_behind_events(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")
    far.send(b"x")
    stage.loop.call_at(stage.loop.time() - 1, stage.note, "timer")
    stage.loop.call_soon(stage.note, "ready")
    stage.run(turns=4)


@scene
def timers_come_behind_events_where_nothing_is_ready(stage: Stage) -> None:
    near, far = stage.pair()

    def event() -> None:
        stage.read(near, "event")
        stage.loop.call_soon(stage.note, "woken by the event")

    def timer() -> None:
        stage.note("timer")
        stage.loop.call_soon(stage.loop.stop)

    def prepare() -> None:
        stage.loop.add_reader(near, event)
        far.send(b"x")
        stage.loop.call_at(stage.loop.time() - 1, timer)

    stage.loop.call_soon(prepare)
    stage.run()


@scene
def a_timer_in_the_past_set_by_ready_work_runs_in_the_next_turn(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")

    def prepare() -> None:
        far.send(b"x")
        stage.loop.call_at(stage.loop.time() - 1, stage.note, "timer")
        stage.loop.call_later(0, stage.note, "timer of now")
        stage.loop.call_soon(stage.note, "ready")

    stage.loop.call_soon(prepare)
    stage.run(turns=5)


@scene
def what_events_wake_runs_in_the_next_turn(stage: Stage) -> None:
    pairs = [stage.pair() for _ in range(3)]
    futures = [stage.woken(f"task {place}") for place in range(3)]

    def event(place: int) -> None:
        stage.read(pairs[place][0], f"event {place}")
        futures[place].set_result(None)
        stage.loop.call_soon(stage.note, f"called by {place}")

    for place, (near, _) in enumerate(pairs):
        stage.loop.add_reader(near, event, place)
    stage.loop.call_soon(stage.loop.call_soon, lambda: [far.send(b"x") for _, far in pairs])
    stage.run(turns=6)


@scene
def what_at_once_told_events_wake_runs_with_the_next_events(stage: Stage) -> None:
    """Nothing is ready and no timer set: the events are told at once. What they do to other sockets is seen before what they woke runs."""
    (near, far), (other_near, other_far) = stage.pair(), stage.pair()

    def event() -> None:
        stage.read(near, "event")
        other_far.send(b"y")
        stage.loop.call_soon(stage.note, "woken")
        stage.loop.call_soon(stage.loop.call_soon, stage.note, "woken by the woken")

    def second() -> None:
        stage.read(other_near, "second event")
        stage.loop.call_soon(stage.loop.stop)

    def prepare() -> None:
        stage.loop.add_reader(near, event)
        stage.loop.add_reader(other_near, second)
        far.send(b"x")

    stage.loop.call_soon(prepare)
    stage.run()


@scene
def stop_in_an_event_ends_the_turn(stage: Stage) -> None:
    """Whether or not anything else was ready."""
    pairs = [stage.pair() for _ in range(2)]

    def event(place: int) -> None:
        stage.read(pairs[place][0], f"event {place}")
        stage.loop.call_soon(stage.note, "woken")
        stage.loop.stop()

    for busy in (False, True):
        for place, (near, far) in enumerate(pairs):
            stage.loop.add_reader(near, event, place)
            far.send(b"x")
        if busy:
            stage.loop.call_soon(stage.note, "ready")
        stage.run()
        stage.note("stopped")
        for near, _ in pairs:
            stage.loop.remove_reader(near)
        stage.run(turns=2)


@scene
def a_long_spin_sees_what_the_loop_itself_wrote(stage: Stage) -> None:
    """After a while a busy loop looks seldom: but always after it has done something itself."""
    (near, far), (other, other_far) = stage.pair(), stage.pair()
    stage.socks.remove(near)
    transport, _ = stage.loop.run_until_complete(stage.loop.connect_accepted_socket(asyncio.Protocol, near))
    stage.loop.add_reader(far, stage.read, far, "written")
    spins = 0

    def spin() -> None:
        nonlocal spins
        spins += 1
        if spins in (150, 303, 451):
            transport.write(b"%d" % spins)
        if spins in (200, 333):
            stage.loop.create_task(stage.loop.sock_sendall(other_far, b"y"))
        if spins == 400:
            stage.loop.add_reader(other, stage.read, other, "sent")
        if spins == 499:
            transport.close()
        stage.note(spins)
        if spins < 520:
            stage.loop.call_soon(spin)
        else:
            stage.loop.stop()

    stage.loop.call_soon(spin)
    stage.run()
