"""Protocols over TLS that bring their own buffer, take over from another, or fail. asyncio is the oracle."""

from __future__ import annotations

import asyncio
import random
import select
from collections.abc import Callable
from typing import Any

import pytest

import cede

ssl = pytest.importorskip("ssl")

Run = Callable[..., Any]
from tests.support.tls_talk import Lender, Talk, pair  # noqa: E402


@pytest.mark.parametrize("sizes", [(1 << 16,), (16384,), (100_000,), (1, 5000, 16384, 17), (3000,)])
def test_a_protocol_with_its_own_buffer(run: Run, sizes: tuple[int, ...], rng: random.Random) -> None:
    async def main() -> None:
        data = rng.randbytes(300_000)
        lender = type("Sized", (Lender,), {"sizes": sizes})
        async with pair(client_factory=lender) as (client, _):
            client.transport.write(data)
            assert await client.has(len(data)) == data
            for count in range(20):
                client.transport.write(b"%02d" % count)
            assert (await client.has(len(data) + 40))[-40:] == b"".join(b"%02d" % count for count in range(20))

    run(main)


def test_an_empty_buffer_is_an_error(run: Run) -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        empty = type("Empty", (Lender,), {"sizes": (0,)})
        async with pair(client_factory=empty) as (client, _):
            if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
                return  # asyncio takes it for the end of the stream
            client.transport.write(b"x")
            assert isinstance(await client.lost, RuntimeError)
        assert "get_buffer() returned an empty buffer" in str(reports[0]["exception"])

    run(main)


def test_another_protocol_takes_over(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.transport.write(b"one")
            assert await client.has(3) == b"one"
            lender = Lender()
            lender.connection_made(client.transport)
            client.transport.set_protocol(lender)
            assert client.transport.get_protocol() is lender
            client.transport.write(b"two")
            assert await lender.has(3) == b"two"
            third = Talk()
            third.connection_made(client.transport)
            client.transport.set_protocol(third)
            client.transport.write(b"three")
            assert await third.has(5) == b"three"
            assert client.data == b"one"
            assert lender.data == b"two"
            client.transport.set_protocol(client)

    run(main)


def test_a_lender_of_no_class(run: Run) -> None:
    """A protocol that has get_buffer and no data_received can only mean one thing, whatever it derives from."""

    class Bare(asyncio.BaseProtocol):
        def __init__(self) -> None:
            self.memory = bytearray(10)
            self.told = asyncio.get_running_loop().create_future()
            self.lost = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.memory

        def buffer_updated(self, count: int) -> None:
            self.told.set_result(bytes(self.memory[:count]))

        def eof_received(self) -> None:
            pass

        def connection_lost(self, error: BaseException | None) -> None:
            self.lost.set_result(error)

    async def main() -> None:
        if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
            return  # asyncio looks for data_received
        async with pair(client_factory=Bare) as (client, server):
            server.transport.write(b"hello")
            assert await client.told == b"hello"

    run(main)


def test_what_was_scheduled_before_resuming_comes_first(run: Run) -> None:
    async def main() -> None:
        if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
            return  # asyncio trips over what waited
        async with pair() as (client, server):
            server.transport.pause_reading()
            client.transport.write(b"hello")
            while not select.select([server.transport.get_extra_info("socket").fileno()], [], [], 10)[0]:
                pass
            asyncio.get_running_loop().call_soon(server.transport.close)
            server.transport.resume_reading()
            assert await server.lost is None  # the peer's goodbye was heard, behind what waited
            assert server.data == b""

    run(main)


def test_another_protocol_takes_over_when_it_is_asked_for_a_buffer(run: Run) -> None:
    """Nothing is put into the buffer of one and told to the other."""

    async def main() -> None:
        if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
            return  # asyncio mixes them up
        heir = Lender()

        class Leaver(Lender):
            def get_buffer(self, sizehint: int) -> Any:
                self.transport.set_protocol(heir)
                return super().get_buffer(sizehint)

        async with pair(client_factory=Leaver) as (client, _):
            heir.connection_made(client.transport)
            client.transport.write(b"for the heir")
            assert await heir.has(12) == b"for the heir"
            assert client.data == b""
            client.transport.set_protocol(client)

    run(main)


def test_an_error_of_the_protocol(run: Run) -> None:
    class Broken(Talk):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        async with pair(client_factory=Broken) as (client, _):
            client.transport.write(b"x")
            assert isinstance(await client.lost, ZeroDivisionError)
        assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]

    run(main)
