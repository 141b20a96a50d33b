"""In which order a loop runs things: what was ready, what the poll brought, timers, and a turn later what these woke. asyncio says how."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, World

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

ORACLE = WORLDS[-1]


class Stage:
    """A loop, a log, and sockets that are closed at the end."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.log: list[Any] = []
        self.socks: list[socket.socket] = []
        self.turn = 0

    def pair(self) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.setblocking(False)
            self.socks.append(sock)
        return near, far

    def note(self, what: Any) -> None:
        """With the turn, where turns are counted."""
        self.log.append((self.turn, what) if self.turn else what)

    def count_turns(self, count: int) -> None:
        """Number the turns from now on, `count` of them, and then stop the loop."""
        self.turn += 1
        if count:
            self.loop.call_soon(self.count_turns, count - 1)
        else:
            self.loop.stop()

    def read(self, sock: socket.socket, name: str) -> None:
        """A reader that takes one message."""
        try:
            self.note((name, sock.recv(100)))
        except BlockingIOError:
            self.note((name, "for nothing"))

    def woken(self, name: str) -> asyncio.Future[None]:
        """A future, and a task that waits for it and then says so."""
        future: asyncio.Future[None] = self.loop.create_future()

        async def wait() -> None:
            await future
            self.note(name)

        task = self.loop.create_task(wait())
        self.log.append(task)
        return future

    def chain(self, name: str, links: int = 4, last: Callable[[], Any] | None = None) -> None:
        """So many callbacks, one a turn, each of which has the next one called."""

        def link(number: int) -> None:
            self.note(f"{name}, {number}")
            if number < links:
                self.loop.call_soon(link, number + 1)
            elif last is not None:
                last()

        self.loop.call_soon(link, 1)

    def run(self, turns: int = 0) -> None:
        if turns:
            self.loop.call_soon(self.count_turns, turns)
        self.loop.run_forever()

    def close(self) -> list[Any]:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        for sock in self.socks:
            sock.close()
        return [entry for entry in self.log if not isinstance(entry, asyncio.Task)]


SCENES: dict[str, Callable[[Stage], None]] = {}


def scene(function: Callable[[Stage], None]) -> Callable[[Stage], None]:
    SCENES[function.__name__] = function
    return function


def play(world: World, function: Callable[[Stage], None]) -> list[Any]:
    stage = Stage(world.new_loop())
    reports: list[Any] = []
    stage.loop.set_exception_handler(lambda _, context: reports.append(context))
    try:
        function(stage)
    finally:
        log = stage.close()
    assert not reports, reports
    return log


# -- what was ready comes first


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


# -- handles are those that stood there at the poll


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


class Told(asyncio.Protocol):
    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.stage.note((self.name, "made"))

    def data_received(self, data: bytes) -> None:
        self.stage.note((self.name, data))
        self.stage.loop.call_soon(self.stage.note, (self.name, "woken"))

    def eof_received(self) -> None:
        self.stage.note((self.name, "eof"))

    def connection_lost(self, error: Exception | None) -> None:
        self.stage.note((self.name, "lost", error))


def connected(stage: Stage, name: str) -> tuple[Any, socket.socket]:
    near, far = stage.pair()
    stage.socks.remove(near)
    transport, _ = stage.loop.run_until_complete(stage.loop.connect_accepted_socket(lambda: Told(stage, name), near))
    return transport, far


@scene
def a_transport_that_is_paused_and_resumed(stage: Stage) -> None:
    transport, far = connected(stage, "transport")
    stage.loop.call_soon(far.send, b"x")

    def act() -> None:
        transport.pause_reading()
        transport.resume_reading()

    meanwhile(stage, act)
    transport.close()
    stage.run(turns=2)


@scene
def a_transport_that_is_paused(stage: Stage) -> None:
    transport, far = connected(stage, "transport")
    stage.loop.call_soon(far.send, b"x")
    meanwhile(stage, transport.pause_reading)
    transport.resume_reading()
    stage.run(turns=3)
    transport.close()
    stage.run(turns=2)


@scene
def a_transport_that_is_closed(stage: Stage) -> None:
    transport, far = connected(stage, "transport")
    stage.loop.call_soon(far.send, b"x")
    meanwhile(stage, transport.close)


@scene
def a_transport_that_is_closed_and_has_something_left_to_send(stage: Stage) -> None:
    """It is over when the last of it is sent, not a turn later: so its peer sees the last and the end in one poll."""
    transport, far = connected(stage, "transport")
    length = 0

    def read() -> None:
        nonlocal length
        length += len(far.recv(1 << 20))
        stage.note(length)
        if length == 500_000:
            stage.loop.remove_reader(far)
            stage.loop.call_soon(at_its_end)

    def at_its_end() -> None:
        try:
            stage.note(far.recv(1))
        except BlockingIOError:
            stage.note("the end has not come")

    transport.write(bytes(500_000))
    transport.close()
    stage.loop.add_reader(far, read)
    stage.run(turns=10)


@scene
def a_transport_whose_peer_writes_to_it_as_it_ends(stage: Stage) -> None:
    """The two are of one loop: what is written in `connection_lost` leaves before the descriptor is closed, and does no harm."""
    near, far = stage.pair()
    stage.socks.clear()
    ends: list[Any] = []

    class End(Told):
        def connection_lost(self, error: Exception | None) -> None:
            stage.note((self.name, "lost", type(error).__name__))
            if self.name == "near":
                self.write_in_pieces()

        def data_received(self, data: bytes) -> None:
            stage.note((self.name, len(data)))
            self.write_in_pieces()

        def write_in_pieces(self) -> None:
            ends[1].writelines([b"a", b"b"])
            ends[1].write(b"c")

    for sock, name in ((near, "near"), (far, "far")):
        made = stage.loop.connect_accepted_socket(lambda name=name: End(stage, name), sock)
        ends.append(stage.loop.run_until_complete(made)[0])
    stage.loop.call_soon(ends[0].write, bytes(500_000))
    stage.loop.call_soon(ends[0].close)
    stage.run(turns=12)


@scene
def transports_that_talk_to_each_other(stage: Stage) -> None:
    near, far = stage.pair()
    stage.socks.clear()
    ends = []
    for sock, name in ((near, "near"), (far, "far")):
        made = stage.loop.connect_accepted_socket(lambda name=name: Told(stage, name), sock)
        ends.append(stage.loop.run_until_complete(made)[0])

    def talk(count: int) -> None:
        ends[count % 2].write(b"%d" % count)
        stage.note(f"wrote {count}")
        if count:
            stage.loop.call_soon(talk, count - 1)

    stage.loop.call_soon(talk, 4)
    stage.run(turns=10)
    ends[0].close()
    stage.run(turns=6)
    ends[1].close()
    stage.run(turns=3)


@scene
def a_server_and_a_client(stage: Stage) -> None:
    async def main() -> None:
        server = await stage.loop.create_server(lambda: Told(stage, "server"), "127.0.0.1", 0)
        stage.note("listening")
        address = server.sockets[0].getsockname()
        transport, _ = await stage.loop.create_connection(lambda: Told(stage, "client"), *address)
        stage.note("connected")
        transport.write(b"question")
        for _ in range(6):
            await asyncio.sleep(0)
            stage.note("turn")
        transport.close()
        for _ in range(6):
            await asyncio.sleep(0)
            stage.note("turn")
        server.close()

    stage.loop.run_until_complete(main())


# -- nothing else is ready, and a descriptor has more than was told of it: the next look tells that, behind the next turn's ready work


class Waking(Told):
    """Whatever it is told of has something to run in each of the next turns. Behind so much data, and behind its end, the loop stops."""

    stops_behind = -1

    def data_received(self, data: bytes) -> None:
        self.stage.note((self.name, len(data)))
        self.stage.chain(f"woken by {len(data)}", last=self.stage.loop.stop if len(data) == self.stops_behind else None)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.stage.chain("woken by the end", last=self.stage.loop.stop)


def waking(stage: Stage, kind: type[Waking] = Waking) -> socket.socket:
    """The other end of a transport that has such a protocol."""
    near, far = stage.pair()
    stage.socks.remove(near)
    stage.loop.run_until_complete(stage.loop.connect_accepted_socket(lambda: kind(stage, "transport"), near))
    return far


def waking_pipe(stage: Stage, kind: type[Waking] = Waking) -> int:
    there, here = os.pipe()
    pipe = open(there, "rb", 0)  # noqa: SIM115
    stage.loop.run_until_complete(stage.loop.connect_read_pipe(lambda: kind(stage, "pipe"), pipe))
    return here


@scene
def the_end_that_came_with_the_last_data(stage: Stage) -> None:
    far = waking(stage)

    def send() -> None:
        far.send(b"x")
        far.shutdown(socket.SHUT_WR)

    stage.loop.call_soon(send)
    stage.run()


@scene
def the_close_that_came_with_the_last_data(stage: Stage) -> None:
    far = waking(stage)

    def send() -> None:
        far.send(b"x")
        far.close()

    stage.loop.call_soon(send)
    stage.run()


@scene
def the_end_of_a_pipe_that_came_with_the_last_data(stage: Stage) -> None:
    here = waking_pipe(stage)

    def send() -> None:
        os.write(here, b"x")
        os.close(here)

    stage.loop.call_soon(send)
    stage.run()


@scene
def more_than_a_buffer_holds(stage: Stage) -> None:
    class Buffered(Waking, asyncio.BufferedProtocol):
        stops_behind = 3

        def get_buffer(self, hint: int) -> bytearray:
            self.buffer = bytearray(4)
            return self.buffer

        def buffer_updated(self, count: int) -> None:
            self.data_received(bytes(self.buffer[:count]))

    far = waking(stage, Buffered)
    stage.loop.call_soon(far.send, b"12345678abc")
    stage.run()
    stage.loop.call_soon(far.close)
    stage.run()


@scene
def more_than_a_read_of_a_pipe_takes(stage: Stage) -> None:
    class Large(Waking):
        stops_behind = 700_000 - 2 * 256 * 1024

    here = waking_pipe(stage, Large)
    fcntl.fcntl(here, fcntl.F_SETPIPE_SZ, 1 << 20)
    stage.loop.call_soon(os.write, here, bytes(700_000))
    stage.run()
    stage.loop.call_soon(os.close, here)
    stage.run()


@scene
def more_than_one_datagram(stage: Stage) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    stage.socks.append(far)

    class Endpoint(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            stage.note(data)
            stage.chain(f"woken by {data!r}", last=stage.loop.stop if data == b"b" else None)

    transport, _ = stage.loop.run_until_complete(stage.loop.create_datagram_endpoint(Endpoint, sock=near))

    def send() -> None:
        for data in (b"a", b"b"):
            far.send(data)

    stage.loop.call_soon(send)
    stage.run()
    transport.close()


@scene
def a_pipe_whose_reader_goes_as_its_end_comes(stage: Stage) -> None:
    """One pipe's end was there with the last data, whose reader closes another pipe: what the two tell comes in one turn."""
    there, here = os.pipe()
    files = open(there, "rb", 0), open(here, "wb", 0)  # noqa: SIM115
    other_reader, _ = stage.loop.run_until_complete(stage.loop.connect_read_pipe(lambda: Told(stage, "other reader"), files[0]))
    stage.loop.run_until_complete(stage.loop.connect_write_pipe(lambda: Told(stage, "other writer"), files[1]))

    class Closing(Waking):
        def data_received(self, data: bytes) -> None:
            self.stage.note((self.name, len(data)))
            other_reader.close()

        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            self.stage.loop.stop()

    here = waking_pipe(stage, Closing)

    def send() -> None:
        os.write(here, b"x")
        os.close(here)

    stage.loop.call_soon(send)
    stage.run()
    stage.note("stopped")
    stage.run()


# -- the other end goes


class Going(Told):
    def pause_writing(self) -> None:
        self.stage.note((self.name, "full"))

    def resume_writing(self) -> None:
        self.stage.note((self.name, "has room"))

    def connection_lost(self, error: Exception | None) -> None:
        # By its kind: for a reset the system has more than one number.
        self.stage.note((self.name, "lost", isinstance(error, ConnectionError), error is None))
        self.stage.loop.call_soon(self.stage.note, (self.name, "woken by the end"))


def write_pipe(stage: Stage) -> tuple[Any, int]:
    """A transport that writes to a pipe, and the number of its other end."""
    there, here = os.pipe()
    os.set_blocking(there, False)
    pipe = open(here, "wb", 0)  # noqa: SIM115
    transport, _ = stage.loop.run_until_complete(stage.loop.connect_write_pipe(lambda: Going(stage, "pipe"), pipe))
    return transport, there


def each_of(stage: Stage, *acts: Callable[[], Any]) -> None:
    """One after the other, with turns in between in which what they do is told."""
    for at, act in enumerate(acts):
        stage.note(f"act {at}")
        stage.loop.call_soon(act)
        stage.loop.call_soon(stage.chain, "beside it")
        stage.run(turns=7)
        stage.turn = 0


@scene
def the_reader_of_a_pipe_goes(stage: Stage) -> None:
    transport, there = write_pipe(stage)
    each_of(stage, lambda: transport.write(b"x"), lambda: os.close(there), lambda: transport.write(b"y"))


@scene
def the_reader_of_a_pipe_goes_that_is_full(stage: Stage) -> None:
    transport, there = write_pipe(stage)
    each_of(stage, lambda: transport.write(bytes(300_000)), lambda: os.read(there, 100_000), lambda: os.close(there))


@scene
def the_reader_of_a_pipe_goes_that_is_closed_and_full(stage: Stage) -> None:
    transport, there = write_pipe(stage)
    each_of(stage, lambda: transport.write(bytes(300_000)), transport.close, lambda: os.read(there, 100_000), lambda: os.close(there))


@scene
def the_reader_of_a_pipe_goes_and_something_is_written(stage: Stage) -> None:
    transport, there = write_pipe(stage)

    def act() -> None:
        os.close(there)
        transport.write(b"x")

    each_of(stage, act)


@scene
def the_writer_of_a_pipe_goes_that_is_paused(stage: Stage) -> None:
    there, here = os.pipe()
    pipe = open(there, "rb", 0)  # noqa: SIM115
    transport, _ = stage.loop.run_until_complete(stage.loop.connect_read_pipe(lambda: Going(stage, "pipe"), pipe))
    each_of(stage, transport.pause_reading, lambda: os.write(here, b"x"), lambda: os.close(here), transport.resume_reading)


def stream(stage: Stage, keeps_open: bool = False) -> tuple[Any, socket.socket]:
    """A transport over TCP, and its peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    near.setblocking(False)
    stage.socks.append(far)
    far.setblocking(False)

    class Keeping(Going):
        def eof_received(self) -> bool:  # type: ignore[override]
            super().eof_received()
            return keeps_open

    return stage.loop.run_until_complete(stage.loop.connect_accepted_socket(lambda: Keeping(stage, "transport"), near))[0], far


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@scene
def a_peer_resets(stage: Stage) -> None:
    _, far = stream(stage)
    each_of(stage, lambda: reset(far))


@scene
def a_peer_resets_behind_data(stage: Stage) -> None:
    _, far = stream(stage)

    def act() -> None:
        far.send(b"x")
        reset(far)

    each_of(stage, act)


@scene
def a_peer_resets_a_transport_that_is_paused(stage: Stage) -> None:
    transport, far = stream(stage)
    each_of(stage, transport.pause_reading, lambda: reset(far), transport.resume_reading)


@scene
def a_peer_resets_a_transport_that_is_full(stage: Stage) -> None:
    transport, far = stream(stage)
    each_of(stage, transport.pause_reading, lambda: transport.write(bytes(20_000_000)), lambda: reset(far))


@scene
def a_peer_goes_and_something_is_written(stage: Stage) -> None:
    transport, far = stream(stage, keeps_open=True)
    each_of(stage, far.close, lambda: transport.write(b"x"), lambda: transport.write(b"y"), transport.close)


@scene
def a_peer_ends_and_the_transport_stays_open(stage: Stage) -> None:
    transport, far = stream(stage, keeps_open=True)
    each_of(stage, lambda: far.shutdown(socket.SHUT_WR), lambda: transport.write(b"x"))
    each_of(stage, lambda: stage.read(far, "peer"), transport.write_eof)
    transport.close()
    stage.run(turns=3)


# -- looks that are left out


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


# -- posts and signals


@scene
def what_a_thread_posted_before_the_poll(stage: Stage) -> None:
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")

    def act() -> None:
        far.send(b"x")
        stage.loop.call_soon(stage.note, "ready")
        thread = threading.Thread(target=stage.loop.call_soon_threadsafe, args=(stage.note, "posted"))
        thread.start()
        thread.join()
        stage.loop.call_later(0, stage.note, "timer")

    stage.loop.call_soon(act)
    stage.run(turns=5)


@scene
def what_the_loop_posts_to_itself(stage: Stage) -> None:
    future = stage.woken("woken")
    near, far = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")

    def act() -> None:
        far.send(b"x")
        stage.loop.call_soon_threadsafe(stage.note, "posted first")
        future.set_result(None)
        stage.loop.call_soon_threadsafe(stage.note, "posted second")
        stage.loop.call_soon(stage.note, "called")

    stage.loop.call_soon(stage.loop.call_soon, act)
    stage.run(turns=6)


@scene
def a_signal_that_the_program_sends_itself(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "signal")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.call_soon(stage.note, "ready")
        stage.loop.call_soon(stage.loop.call_soon, stage.note, "woken")

    stage.loop.call_soon(act)
    stage.run(turns=6)
    stage.loop.remove_signal_handler(signal.SIGUSR1)


@scene
def a_signal_that_was_sent_before_its_handler_was_removed_and_another_added(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "first")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.call_soon(stage.loop.remove_signal_handler, signal.SIGUSR1)
        stage.loop.call_soon(stage.loop.call_soon, act_again)

    def act_again() -> None:
        stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "second")
        stage.loop.add_signal_handler(signal.SIGUSR2, stage.note, "another")
        os.kill(os.getpid(), signal.SIGUSR2)

    stage.loop.call_soon(act)
    stage.run(turns=8)
    stage.loop.remove_signal_handler(signal.SIGUSR1)
    stage.loop.remove_signal_handler(signal.SIGUSR2)


@scene
def a_signal_whose_handler_is_replaced_before_it_is_told(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "first")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.remove_signal_handler(signal.SIGUSR1)
        stage.loop.call_soon(stage.loop.add_signal_handler, signal.SIGUSR1, stage.note, "second")

    stage.loop.call_soon(act)
    stage.run(turns=6)
    stage.loop.remove_signal_handler(signal.SIGUSR1)


@scene
def a_signal_that_comes_between_a_look_and_what_that_brought(stage: Stage) -> None:
    """The look did not see it: the next one does."""
    near, far = stage.pair()
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "signal")
    stage.loop.add_reader(near, stage.read, near, "event")

    def act() -> None:
        far.send(b"x")
        stage.loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)

    stage.loop.call_soon(act)
    stage.run(turns=6)
    stage.loop.remove_signal_handler(signal.SIGUSR1)


@scene
def a_pipe_that_ends(stage: Stage) -> None:
    """The end, and the loss, come in the turn after the one in which the pipe was read."""
    there, here = os.pipe()
    stage.loop.run_until_complete(stage.loop.connect_read_pipe(lambda: Told(stage, "pipe"), open(there, "rb", 0)))  # noqa: SIM115
    (near, far) = stage.pair()
    stage.loop.add_reader(near, stage.read, near, "event")

    def act() -> None:
        os.close(here)
        far.send(b"x")

    stage.loop.call_soon(act)
    stage.run(turns=6)


@scene
def a_signal_whose_handler_is_removed_at_once(stage: Stage) -> None:
    stage.loop.add_signal_handler(signal.SIGUSR1, stage.note, "signal")

    def act() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        stage.loop.remove_signal_handler(signal.SIGUSR1)

    stage.loop.call_soon(act)
    stage.run(turns=4)


# -- the scenes


@each_of_ours
@pytest.mark.parametrize("name", SCENES)
def test_the_order_is_asyncios(world: World, name: str) -> None:
    assert play(world, SCENES[name]) == play(ORACLE, SCENES[name])


@each_of_ours
@pytest.mark.parametrize("name", SCENES)
def test_the_order_is_the_same_in_debug_mode(world: World, name: str) -> None:
    def debugged(stage: Stage) -> None:
        stage.loop.set_debug(True)
        stage.loop.slow_callback_duration = 3600.0
        SCENES[name](stage)

    assert play(world, debugged) == play(ORACLE, SCENES[name])


# -- what asyncio cannot be asked


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
