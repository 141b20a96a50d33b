"""websockets: server and client, pings, the closing handshake, compression and TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import library
from tests.support.certificates import client_context, server_context

websockets = library("websockets", "websockets.asyncio.server")
from websockets.asyncio.client import connect  # noqa: E402
from websockets.asyncio.server import serve  # noqa: E402
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK  # noqa: E402


@contextlib.asynccontextmanager
async def serving(handler: Any, **options: Any) -> AsyncIterator[int]:
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def echo(websocket: Any) -> None:
    async for message in websocket:
        await websocket.send(message)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_conversation(run: Any, tls: bool, compression: Any) -> None:
    async def main() -> None:
        async with serving(echo, compression=compression, ssl=server_context() if tls else None, max_size=None) as port:
            url = f"wss://localhost:{port}" if tls else f"ws://127.0.0.1:{port}"
            options = {"ssl": client_context()} if tls else {}
            async with connect(url, compression=compression, max_size=None, **options) as websocket:
                for message in ("short", b"bytes", "long" * 300_000, bytes(3_000_000)):
                    await websocket.send(message)
                    assert await websocket.recv() == message
                await websocket.send(["in ", "frag", "ments"])
                assert await websocket.recv() == "in fragments"
            assert websocket.close_code == 1000

    run(main)


def test_pings_are_answered_and_timed(run: Any) -> None:
    async def main() -> None:
        async with serving(echo, ping_interval=None) as port, connect(f"ws://127.0.0.1:{port}", ping_interval=0.05) as websocket:
            assert await (await websocket.ping()) > 0
            while not websocket.latency:
                await asyncio.sleep(0.01)

    run(main)


def test_a_peer_that_answers_no_ping_is_left(run: Any) -> None:
    async def main() -> None:
        ended = asyncio.get_running_loop().create_future()

        async def wait(websocket: Any) -> None:
            try:
                await websocket.recv()
            except ConnectionClosed as error:
                ended.set_result(error)

        async with serving(wait, ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            error = await ended
            assert isinstance(error, ConnectionClosedError)
            assert error.sent.code == 1011
            writer.close()
            await writer.wait_closed()

    run(main)


def test_the_closing_handshake_from_both_sides(run: Any) -> None:
    async def main() -> None:
        codes: list[Any] = []

        async def handler(websocket: Any) -> None:
            if await websocket.recv() == "you":
                await websocket.close(4002, "me")
            else:
                with pytest.raises(ConnectionClosed):
                    await websocket.recv()
            codes.append((websocket.close_code, websocket.close_reason))

        async with serving(handler) as port:
            async with connect(f"ws://127.0.0.1:{port}") as websocket:
                await websocket.send("you")
                with pytest.raises(ConnectionClosedError) as found:
                    await websocket.recv()
                assert found.value.rcvd.code == 4002
            async with connect(f"ws://127.0.0.1:{port}") as websocket:
                await websocket.send("I")
                await websocket.close(4003, "you")
            await websocket.wait_closed()
        assert codes == [(4002, "me"), (4003, "you")]

    run(main)


def test_a_connection_cut_off_is_an_error(run: Any) -> None:
    async def main() -> None:
        async def cut(websocket: Any) -> None:
            await websocket.recv()
            websocket.transport.abort()

        async with serving(cut) as port, connect(f"ws://127.0.0.1:{port}") as websocket:
            await websocket.send("x")
            with pytest.raises(ConnectionClosedError):
                await websocket.recv()

    run(main)


def test_a_server_that_closes_says_goodbye(run: Any) -> None:
    async def main() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as websocket:
                await websocket.send("x")
                assert await websocket.recv() == "x"
                server.close()
                with pytest.raises(ConnectionClosed) as found:
                    await websocket.recv()
                assert found.value.rcvd.code == 1001
                await server.wait_closed()

    run(main)


def test_a_slow_reader_holds_the_sender_up(run: Any) -> None:
    async def main() -> None:
        sent = 0
        done = asyncio.Event()

        async def flood(websocket: Any) -> None:
            nonlocal sent
            for _ in range(400):
                await websocket.send(bytes(100_000))
                sent += 1
            done.set()

        async with serving(flood, compression=None) as port:
            async with connect(f"ws://127.0.0.1:{port}", max_queue=4, compression=None) as websocket:
                before = -1
                while before != sent:
                    before = sent
                    await asyncio.sleep(0.2)
                assert 0 < sent < 400
                for _ in range(400):
                    assert len(await websocket.recv()) == 100_000
                await done.wait()
                with pytest.raises(ConnectionClosedOK):
                    await websocket.recv()

    run(main)


def test_many_at_once(run: Any) -> None:
    async def main() -> None:
        async with serving(echo) as port:

            async def talk(number: int) -> None:
                async with connect(f"ws://127.0.0.1:{port}") as websocket:
                    for turn in range(10):
                        await websocket.send(f"{number} {turn}")
                        assert await websocket.recv() == f"{number} {turn}"

            await asyncio.gather(*map(talk, range(50)))

    run(main)
