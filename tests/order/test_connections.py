"""In which turns a server and TLS tell their protocols, counted from what caused it: as on asyncio, which is asked in the same test."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

Log = list[tuple[str, int]]


class Told(asyncio.Protocol):
    """Notes what it is told, and in which turn."""

    def __init__(self, log: Log, turn: list[int], name: str) -> None:
        self.log, self.turn, self.name = log, turn, name
        self.lost = asyncio.get_running_loop().create_future()
        self.note("is born")

    def note(self, what: str) -> None:
        self.log.append((f"{self.name} {what}", self.turn[0]))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("is made")

    def eof_received(self) -> None:
        self.note("is at its end")

    def connection_lost(self, error: Exception | None) -> None:
        self.note("is lost")
        self.lost.set_result(None)


def counting(turn: list[int]) -> None:
    """Count the turns of the running loop."""
    turn[0] += 1
    if turn[0] < 10_000:
        asyncio.get_running_loop().call_soon(counting, turn)


async def accepted(tmp_path: Any) -> Log:
    log: Log = []
    turn = [0]
    loop = asyncio.get_running_loop()
    path = str(tmp_path / f"socket of {type(loop).__module__}")
    server = await loop.create_unix_server(lambda: Told(log, turn, "server"), path)
    with socket.socket(socket.AF_UNIX) as peer:
        counting(turn)
        peer.connect(path)
        while len(log) < 2:
            await asyncio.sleep(0)
        peer.close()
        while len(log) < 4:
            await asyncio.sleep(0)
    turn[0] = 10_000
    server.close()
    await server.wait_closed()
    return log


async def ended(how: str) -> Log:
    log: Log = []
    turn = [0]
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    serving = loop.create_task(loop.connect_accepted_socket(lambda: Told(log, turn, "server"), there, ssl=server_context()))
    make: Callable[[], Told] = lambda: Told(log, turn, "client")  # noqa: E731
    transport, client = await loop.create_unix_connection(make, sock=here, ssl=client_context(), server_hostname="localhost")
    _, server = await serving
    for _ in range(10):
        await asyncio.sleep(0)
    log.clear()
    counting(turn)
    getattr(transport, how)()
    await asyncio.gather(client.lost, server.lost)
    turn[0] = 10_000
    return log


def on(factory: Callable[[], asyncio.AbstractEventLoop], main: Any) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def test_a_server_tells_in_the_turns_of_asyncio(tmp_path: Any) -> None:
    expected = on(asyncio.SelectorEventLoop, accepted(tmp_path))
    assert on(cede.new_event_loop, accepted(tmp_path)) == expected


@pytest.mark.parametrize("how", ["close", "abort"])
def test_tls_tells_of_the_end_in_the_turns_of_asyncio(how: str) -> None:
    expected = on(asyncio.SelectorEventLoop, ended(how))
    assert [what for what, _ in expected].count("server is at its end") == 1
    assert on(cede.new_event_loop, ended(how)) == expected


async def some_at_once(tmp_path: Any) -> list[int]:
    """In which turns the connections are born that came together."""
    log: Log = []
    turn = [0]
    loop = asyncio.get_running_loop()
    path = str(tmp_path / f"sockets of {type(loop).__module__}")
    server = await loop.create_unix_server(lambda: Told(log, turn, "server"), path)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as third:
        counting(turn)
        for peer in (one, other, third):
            peer.connect(path)
        while len(log) < 6:
            await asyncio.sleep(0)
    while len(log) < 12:
        await asyncio.sleep(0)
    turn[0] = 10_000
    server.close()
    await server.wait_closed()
    return [at for what, at in log if what == "server is born"]


def test_connections_that_come_together_are_told_in_one_turn(tmp_path: Any) -> None:
    expected = on(asyncio.SelectorEventLoop, some_at_once(tmp_path))
    assert len(set(expected)) == 1
    assert on(cede.new_event_loop, some_at_once(tmp_path)) == expected


async def aborted_behind_the_first_words() -> list[str]:
    """A client that writes as soon as it can, and aborts: the server reads that, and finds that nobody listens."""
    log: Log = []
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()

    class Short(Told):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.write(b"words")
            transport.abort()

    class Waking(Told):
        def data_received(self, data: bytes) -> None:
            self.note(f"receives {len(data)}")
            self.chain(1)

        def chain(self, number: int) -> None:
            self.note(f"woken, {number}")
            if number < 4:
                loop.call_soon(self.chain, number + 1)

    protocols = [Waking(log, [0], "server"), Short(log, [0], "client")]
    serving = loop.create_task(loop.connect_accepted_socket(lambda: protocols[0], there, ssl=server_context()))
    await loop.create_unix_connection(lambda: protocols[1], sock=here, ssl=client_context(), server_hostname="localhost")
    await asyncio.gather(serving, *(protocol.lost for protocol in protocols))
    while "server woken, 4" not in [what for what, _ in log]:
        await asyncio.sleep(0)
    return [what for what, _ in log]


def test_the_first_words_are_read_before_tls_sends_what_it_has_to_say() -> None:
    expected = on(asyncio.SelectorEventLoop, aborted_behind_the_first_words())
    assert expected.count("server receives 5") == 1
    assert on(cede.new_event_loop, aborted_behind_the_first_words()) == expected


async def failed() -> list[bool]:
    """Whether a transport of TLS closes, before and after a write that nobody is there to take."""
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    serving = loop.create_task(loop.connect_accepted_socket(asyncio.Protocol, there, ssl=server_context()))
    transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=here, ssl=client_context(), server_hostname="localhost")
    other, _ = await serving
    here.shutdown(socket.SHUT_RDWR)
    said = [other.is_closing()]
    other.write(b"to nobody")
    other.get_write_buffer_size()  # nothing is held any more
    said.append(other.is_closing())
    for each in (transport, other):
        each.abort()
    return said


@pytest.mark.parametrize("loop", [cede.new_event_loop, *([asyncio.SelectorEventLoop] if sys.version_info >= (3, 14) else [])])
def test_tls_says_that_it_closes_when_a_write_has_failed(loop: Any) -> None:
    assert on(loop, failed()) == [False, True]
