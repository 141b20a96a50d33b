"""uvicorn and Starlette: as a program with `--loop cede:new_event_loop`, and within a program that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import APP, LOOPS, PATIENCE, Program, ends_gracefully, get, library
from tests.support.certificates import client_context, made

uvicorn = library("starlette", "websockets", "httptools", "uvicorn")

FACTORIES = {"asyncio": "asyncio", "cede": "cede:new_event_loop"}
# uvicorn's default for websockets still uses the `websockets` package's former API, which warns of its own end; the other one does not.
QUIET = ("-W", "error")


def serve(loop: str, *options: str) -> Program:
    return Program(*QUIET, "-m", "uvicorn", APP, "--port", "0", "--loop", FACTORIES[loop], "--ws", "websockets-sansio", *options)


def port_of(server: Program) -> int:
    return int(server.expect(r"running on https?://127.0.0.1:(\d+)")[1])


@pytest.mark.parametrize("parser", ["h11", "httptools"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_is_terminated_answers_first(loop: str, parser: str) -> None:
    with serve(loop, "--http", parser) as server:
        port = port_of(server)
        assert get(port, "/loop").decode() == loop
        ends_gracefully(server, port, status=-signal.SIGTERM)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_grace_that_is_used_up(loop: str) -> None:
    """With a request that never ends."""
    from tests.libraries.served import Held

    with serve(loop, "--timeout-graceful-shutdown", "1") as server:
        held = Held(port_of(server))
        server.terminate()
        server.expect("Cancel 1 running task")
        assert server.end() == -signal.SIGTERM
        assert held.release()[0] == 500  # said by uvicorn, whose application was cancelled


@pytest.mark.parametrize("loop", LOOPS)
def test_workers(loop: str) -> None:
    with serve(loop, "--workers", "2") as server:
        port = port_of(server)
        for _ in range(2):
            server.expect("Application startup complete")
        for _ in range(20):
            assert get(port, "/loop").decode() == loop
        server.terminate()
        server.end()
        assert server.output.count("application stopped") == 2
        assert "Traceback" not in server.text()


@pytest.mark.parametrize("loop", LOOPS)
def test_tls(loop: str) -> None:
    certificate = str(made("localhost"))
    with serve(loop, "--ssl-keyfile", certificate, "--ssl-certfile", certificate) as server:
        client = http.client.HTTPSConnection("localhost", port_of(server), context=client_context(), timeout=PATIENCE)
        for _ in range(3):
            client.request("POST", "/echo", body=b"x" * 300_000)
            assert client.getresponse().read() == b"x" * 300_000
        client.close()


def test_run_in_a_program() -> None:
    with Program(*QUIET, "-c", f"import uvicorn; uvicorn.run({APP!r}, port=0, ws='none', loop='cede:new_event_loop')") as server:
        port = port_of(server)
        assert get(port, "/loop") == b"cede"
        ends_gracefully(server, port, status=-signal.SIGTERM)


@contextlib.asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[int]:
    """uvicorn within the running loop: its port."""
    from tests.libraries.app import app

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="websockets-sansio", **options))
    task = asyncio.create_task(server._serve())  # `serve` would take the signals of the test's process
    while not server.started:
        await asyncio.sleep(0)
        assert not task.done()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_bodies_both_ways_on_a_kept_connection(run: Any, parser: str) -> None:
    async def main() -> None:
        async with serving(http=parser) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for size in (0, 1, 70_000, 5_000_000):
                body = bytes(range(256)) * (size // 256) + bytes(size % 256)
                writer.write(b"POST /digest HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % size + body)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                assert await reader.readexactly(64) == hashlib.sha256(body).hexdigest().encode()
            writer.write(b"GET /stream?count=300&size=10000 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert b"transfer-encoding: chunked" in (await reader.readuntil(b"\r\n\r\n")).lower()
            found = b""
            while length := int(await reader.readline(), 16):
                found += (await reader.readexactly(length + 2))[:-2]
            assert found == b"".join(bytes([number % 256]) * 10_000 for number in range(300))
            writer.close()
            await writer.wait_closed()

    run(main)


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_requests_sent_ahead_are_answered_in_order(run: Any, parser: str) -> None:
    async def main() -> None:
        async with serving(http=parser) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in range(100):
                writer.write(b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n%05d" % number)
            for number in range(100):
                await reader.readuntil(b"\r\n\r\n")
                assert int(await reader.readexactly(5)) == number
            writer.close()
            await writer.wait_closed()

    run(main)


def test_a_kept_connection_is_closed_when_idle(run: Any) -> None:
    async def main() -> None:
        async with serving(timeout_keep_alive=1) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /loop HTTP/1.1\r\nHost: here\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")  # to its end, which comes by itself
            writer.close()
            await writer.wait_closed()

    run(main)


def test_the_application_hears_that_its_client_went(run: Any) -> None:
    async def main() -> None:
        told: asyncio.Queue[bytes] = asyncio.Queue()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                told.put_nowait(line)
            writer.close()
            await writer.wait_closed()

        async with serving() as port, await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            there = listener.sockets[0].getsockname()[1]
            writer.write(b"GET /until-gone?port=%d HTTP/1.1\r\nHost: here\r\n\r\n" % there)
            assert await told.get() == b"here\n"
            writer.close()
            await writer.wait_closed()
            assert await told.get() == b"gone\n"

    run(main)


def test_websockets(run: Any) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async def main() -> None:
        async with serving() as port:

            async def talk(number: int) -> None:
                async with connect(f"ws://127.0.0.1:{port}/conversation", subprotocols=["talk"]) as websocket:
                    assert websocket.subprotocol == "talk"
                    for turn in range(20):
                        await websocket.send(f"{number} {turn}")
                        assert await websocket.recv() == f"{number} {turn}"
                    await websocket.send(bytes(500_000))
                    assert await websocket.recv() == bytes(500_000)
                    await websocket.send("close")
                    with pytest.raises(ConnectionClosed):
                        await websocket.recv()
                    assert (websocket.close_code, websocket.close_reason) == (4001, "as told")

            await asyncio.gather(*map(talk, range(30)))

    run(main)


def test_a_unix_socket(run: Any, tmp_path: Any) -> None:
    async def main() -> None:
        from tests.libraries.app import app

        path = str(tmp_path / "socket")
        server = uvicorn.Server(uvicorn.Config(app, uds=path, log_level="warning", ws="none"))
        task = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /loop HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        server.should_exit = True
        await task

    run(main)


def test_a_socket_of_the_users(run: Any) -> None:
    async def main() -> None:
        from tests.libraries.app import app

        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
            task = asyncio.create_task(server._serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET /loop HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
            server.should_exit = True
            await task

    run(main)
