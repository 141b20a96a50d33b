"""The other end goes."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from tests.order.stage import Stage, Told, scene


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
