"""httpx: HTTP/1.1 and HTTP/2 clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import library
from tests.libraries.test_uvicorn import serving
from tests.support.certificates import client_context, made

httpx = library("h2", "httpx")


@contextlib.asynccontextmanager
async def http2(tls: bool) -> AsyncIterator[str]:
    """Hypercorn within the running loop, with HTTP/2 where there is TLS: its URL."""
    library("hypercorn")
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from tests.libraries.app import app
    from tests.libraries.served import free_port

    config, stop, port = Config(), asyncio.Event(), free_port()
    config.bind = [f"localhost:{port}"]
    config.errorlog = None
    if tls:
        config.certfile = config.keyfile = str(made("localhost"))
    server = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("localhost", port)
            writer.close()
            break
        assert not server.done()
        await asyncio.sleep(0.01)
    try:
        yield f"{'https' if tls else 'http'}://localhost:{port}"
    finally:
        stop.set()
        await server


def test_each_of_many_gets_its_own_answer(run: Any) -> None:
    async def main() -> None:
        limits = httpx.Limits(max_connections=10, max_keepalive_connections=5)
        async with serving() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits) as client:

            async def ask(number: int) -> None:
                response = await client.post("/echo", content=f"{number}")
                assert response.text == f"{number}"

            await asyncio.gather(*map(ask, range(200)))

    run(main)


def test_streams_of_http2_over_tls(run: Any) -> None:
    async def main() -> None:
        async with http2(True) as url, httpx.AsyncClient(http2=True, verify=client_context(), base_url=url) as client:

            async def ask(number: int) -> None:
                response = await client.post("/echo", content=f"{number}" * 3000)
                assert response.http_version == "HTTP/2"
                assert response.text == f"{number}" * 3000

            await asyncio.gather(*map(ask, range(50)))
            async with client.stream("GET", "/stream", params={"count": 100, "size": 10_000}) as response:
                assert sum([len(block) async for block in response.aiter_bytes()]) == 1_000_000

    run(main)


def test_a_body_streamed_up(run: Any) -> None:
    import hashlib

    async def blocks() -> AsyncIterator[bytes]:
        for number in range(100):
            yield bytes([number]) * 30_000

    async def main() -> None:
        async with serving() as port, httpx.AsyncClient() as client:
            response = await client.post(f"http://127.0.0.1:{port}/digest", content=blocks())
            assert response.text == hashlib.sha256(b"".join([block async for block in blocks()])).hexdigest()

    run(main)


def test_timeouts_and_a_refusal(run: Any) -> None:
    async def main() -> None:
        silent = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
        writers: list[asyncio.StreamWriter] = []
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(url, timeout=httpx.Timeout(5, read=0.1))
            first = asyncio.create_task(client.get(url, timeout=60))
            while len(writers) < 2:
                await asyncio.sleep(0)
            with pytest.raises(httpx.PoolTimeout):
                await client.get(url, timeout=httpx.Timeout(5, pool=0.1))
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            for writer in writers:
                writer.close()
            silent.close()
            await silent.wait_closed()
            with pytest.raises(httpx.ConnectError):
                await client.get(url)

    run(main)


def test_a_cancelled_request_gives_its_connection_up(run: Any) -> None:
    """The next request on the pool's only place gets its own answer, not the one that came too late."""

    async def main() -> None:
        held = await asyncio.start_server(lambda reader, writer: holders.append(writer), "127.0.0.1", 0)
        holders: list[asyncio.StreamWriter] = []
        async with serving() as port, httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            for number in range(10):
                slow = client.get(f"http://127.0.0.1:{port}/hold", params={"port": held.sockets[0].getsockname()[1]})
                task = asyncio.create_task(slow)
                while len(holders) <= number:
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                holders[number].close()
                response = await client.post(f"http://127.0.0.1:{port}/echo", content=f"{number}")
                assert response.text == f"{number}"
        held.close()
        await held.wait_closed()

    run(main)
