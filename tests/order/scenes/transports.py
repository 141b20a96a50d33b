"""What becomes of a transport between a poll and its event, and transports, servers and clients that talk to each other."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tests.order.scenes.handles import meanwhile
from tests.order.stage import Stage, Told, scene


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
