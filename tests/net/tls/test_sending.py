"""What a TLS transport sends: files, and more than one step of a program is let send at once. asyncio is the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.certificates import client_context, server_context
from tests.support.tls_peer import Peer
from tests.support.tls_talk import Talk, pair, serving

pytest.importorskip("ssl")

Run = Callable[..., Any]

DATA = os.urandom(1 << 10) * 3000 + b"end of it"


def ours() -> bool:
    return type(asyncio.get_running_loop()).__module__.startswith("cede")


# -- files


@pytest.mark.parametrize("kind", ["file", "memory"])
@pytest.mark.parametrize(("offset", "count"), [(0, None), (1000, 200_000), (len(DATA) - 5, 100), (len(DATA) + 10, None)])
def test_a_file(run: Run, kind: str, offset: int, count: int | None) -> None:
    """It is read and encrypted; what was written before and after it stays in its place."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wanted = DATA[offset:] if count is None else DATA[offset : offset + count]
        async with pair(Talk) as (client, server):
            with contextlib.closing(io.BytesIO() if kind == "memory" else tempfile.TemporaryFile()) as file:
                file.write(DATA)
                file.seek(0)  # where asyncio begins for an offset of 0
                client.transport.write(b"before" * 50_000)
                assert await loop.sendfile(client.transport, file, offset, count) == len(wanted)
                assert file.tell() == offset + len(wanted)
                client.transport.write(b"after")
            whole = b"before" * 50_000 + wanted + b"after"
            assert await server.has(len(whole)) == whole

    run(main)


def test_a_file_is_not_sent_by_the_system_alone(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with pair(Talk) as (client, _):
            with tempfile.TemporaryFile() as file:
                file.write(DATA)
                with pytest.raises(RuntimeError, match="fallback is disabled"):
                    await loop.sendfile(client.transport, file, fallback=False)

    run(main)


def test_a_file_waits_for_a_slow_reader(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with pair(Talk) as (client, server):
            server.transport.pause_reading()
            with tempfile.TemporaryFile() as file:
                file.truncate(20_000_000)
                sending = loop.create_task(loop.sendfile(client.transport, file))
                for _ in range(200):
                    await asyncio.sleep(0)
                assert not sending.done()
                assert client.transport.get_write_buffer_size() < 2_000_000
                server.transport.resume_reading()
                assert await sending == 20_000_000
            assert await server.has(20_000_000) == bytes(20_000_000)

    run(main)


def test_a_peer_that_leaves_during_a_file(run: Run) -> None:
    async def main() -> None:
        if not ours():
            pytest.skip("asyncio may say that all was sent")
        loop = asyncio.get_running_loop()
        accepted: list[Any] = []
        async with serving(lambda: accepted.append(Talk()) or accepted[-1], ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            await peer.write(b"x")
            while not accepted:
                await asyncio.sleep(0)
            await accepted[0].has(1)
            with tempfile.TemporaryFile() as file:
                file.truncate(50_000_000)
                sending = loop.create_task(loop.sendfile(accepted[0].transport, file))
                await peer.read()
                peer.close()
                with pytest.raises(ConnectionError):
                    await sending
            await accepted[0].lost

    run(main)


# -- much at once


def test_a_step_that_writes_much_leaves_the_others_their_turn(run: Run) -> None:
    """It sends some of it at once, the ring the rest; a second connection is served in between."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio sends until the system takes no more")
        async with pair(Talk) as (client, server), pair(Talk) as (other, friend):
            client.transport.set_write_buffer_limits(high=1 << 24)
            for _ in range(16):
                client.transport.write(bytes(65536))
            assert client.transport.get_write_buffer_size() == 15 * 65536
            assert client.told == ["made"]
            other.transport.write(b"short")
            while not friend.data:
                await asyncio.sleep(0)
            assert friend.data == b"short"
            assert 0 < len(server.data) < 16 * 65536
            assert await server.has(16 * 65536) == bytes(16 * 65536)
            assert client.transport.get_write_buffer_size() == 0

    run(main)


@pytest.mark.parametrize(
    "sizes",
    [(1, 65536, 70_000, 3), (16384,) * 9, (100,) * 2000, (300_000,), (65535, 2, 16383, 1, 1, 200_000)],
    ids=["mixed", "records", "small", "one large", "odd"],
)
def test_order_holds_across_turns(run: Run, sizes: tuple[int, ...]) -> None:
    async def main() -> None:
        async with pair(Talk) as (client, server):
            expected = b""
            for round_ in range(3):
                for number, size in enumerate(sizes):
                    data = bytes([(number + round_) % 256]) * size
                    expected += data
                    client.transport.write(data if number % 2 else bytearray(data))
                await asyncio.sleep(0)
            assert await server.has(len(expected)) == expected

    run(main)


@pytest.mark.parametrize("paused", [False, True], ids=["", "paused"])
def test_the_rest_is_sent_before_the_end(run: Run, paused: bool) -> None:
    async def main() -> None:
        async with pair(Talk) as (client, server):
            if paused:
                client.transport.pause_reading()
            client.transport.write(b"y" * 500_000)
            client.transport.write(b"z" * 70_000)
            client.transport.close()
            assert await server.lost is None
            assert server.data == b"y" * 500_000 + b"z" * 70_000
            assert await client.lost is None

    run(main)


def test_an_abort_drops_the_rest(run: Run) -> None:
    async def main() -> None:
        async with pair(Talk) as (client, server):
            client.transport.write(b"y" * 500_000)
            client.transport.abort()
            assert not ours() or client.transport.get_write_buffer_size() == 0
            assert await client.lost is None
            await server.lost
            assert len(server.data) < 500_000 or not ours()

    run(main)


def test_a_slow_loop_sends_more_a_turn(run: Run) -> None:
    """What is sent a turn follows the time that turns take: a busy program does not starve a fast network."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        if not ours():
            pytest.skip("asyncio sends until the system takes no more")
        async with pair(Talk) as (client, server):
            server.transport.pause_reading()
            client.transport.set_write_buffer_limits(high=1 << 24)
            moment = [loop.time()]
            loop.time = lambda: moment[0]
            try:
                client.transport.write(bytes(4 << 20))
                before = client.transport.get_write_buffer_size()
                moment[0] += 0.0005
                await asyncio.sleep(0)
                assert client.transport.get_write_buffer_size() <= before - 450_000
            finally:
                del loop.time
            server.transport.resume_reading()
            assert await server.has(4 << 20) == bytes(4 << 20)

    run(main)
