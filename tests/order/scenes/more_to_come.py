"""Nothing else is ready, and a descriptor has more than was told of it: the next look tells that, behind the next turn's ready work."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from typing import Any

from tests.order.stage import Stage, Told, scene


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
