"""aiohttp: server, client, websockets and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import LOOPS, Program, get, library, refused
from tests.support.certificates import client_context, server_context

aiohttp = library("aiohttp")
web = library("aiohttp.web")


@contextlib.asynccontextmanager
async def serving(*routes: Any, tls: bool = False, **options: Any) -> AsyncIterator[tuple[Any, str]]:
    """(A client session, the URL of a server with these routes.)"""
    application = web.Application(client_max_size=1 << 26)
    application.add_routes(routes)
    runner = web.AppRunner(application, **options)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context() if tls else None)
        await site.start()
        port = runner.addresses[0][1]
        connector = aiohttp.TCPConnector(ssl=client_context()) if tls else aiohttp.TCPConnector()
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session, f"{'https://localhost' if tls else 'http://127.0.0.1'}:{port}"
    finally:
        await runner.cleanup()


def test_requests_on_a_kept_connection(run: Any) -> None:
    peers = set()

    async def hello(request: Any) -> Any:
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response({"name": request.match_info["name"], "query": dict(request.query)})

    async def main() -> None:
        async with serving(web.get("/hello/{name}", hello)) as (session, url):
            for number in range(50):
                async with session.get(f"{url}/hello/n{number}", params={"x": "1"}) as response:
                    assert await response.json() == {"name": f"n{number}", "query": {"x": "1"}}

    run(main)
    assert len(peers) == 1


def test_each_of_many_gets_its_own_answer(run: Any) -> None:
    async def echo(request: Any) -> Any:
        await asyncio.sleep(0)
        return web.Response(body=await request.read())

    async def main() -> None:
        async with serving(web.post("/echo", echo)) as (session, url):

            async def ask(number: int) -> None:
                body = f"{number}".encode() * (number % 40 * 100 + 1)
                async with session.post(f"{url}/echo", data=body) as response:
                    assert await response.read() == body

            await asyncio.gather(*map(ask, range(400)))

    run(main)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_body_streamed_up_and_back_down(run: Any, tls: bool) -> None:
    blocks = [bytes([number]) * 50_000 for number in range(200)]

    async def send_back(request: Any) -> Any:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        async for block in request.content.iter_any():
            await response.write(block)
        await response.write_eof()
        return response

    async def upload() -> AsyncIterator[bytes]:
        for block in blocks:
            yield block

    async def main() -> None:
        async with serving(web.post("/back", send_back), tls=tls) as (session, url):
            found = hashlib.sha256()
            async with session.post(f"{url}/back", data=upload()) as response:
                assert response.headers["Transfer-Encoding"] == "chunked"
                async for block in response.content.iter_chunked(7_000):
                    found.update(block)
        assert found.digest() == hashlib.sha256(b"".join(blocks)).digest()

    run(main)


def test_a_slow_reader_pauses_the_server(run: Any) -> None:
    written = 0

    async def endless(request: Any) -> Any:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(100_000))
                written += 100_000
        return response

    async def main() -> None:
        async with serving(web.get("/endless", endless)) as (session, url):
            async with session.get(f"{url}/endless") as response:
                await response.content.readexactly(10)
                before = -1
                while before != written:  # until the server, kept from writing, has not moved for a while
                    before = written
                    await asyncio.sleep(0.2)
                assert 0 < written < 100_000_000
                await response.content.readexactly(written)
                while before == written:
                    await asyncio.sleep(0.01)
                response.close()

    run(main)


def test_a_file_by_sendfile(run: Any, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 20_000)

    async def main() -> None:
        async with serving(web.static("/files", tmp_path)) as (session, url):
            async with session.get(f"{url}/files/file") as response:
                assert await response.read() == path.read_bytes()
            async with session.get(f"{url}/files/file", headers={"Range": "bytes=1000000-1000999"}) as response:
                assert response.status == 206
                assert await response.read() == path.read_bytes()[1_000_000:1_001_000]

    run(main)


def test_tls_is_verified_and_told_of(run: Any) -> None:
    async def told(request: Any) -> Any:
        return web.json_response([request.secure, request.transport.get_extra_info("cipher")[1]])

    async def main() -> None:
        async with serving(web.get("/", told), tls=True) as (session, url):
            async with session.get(url) as response:
                assert await response.json() == [True, "TLSv1.3"]
            async with aiohttp.ClientSession() as stranger:  # which does not know the certificate
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await stranger.get(url)

    run(main)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("compress", [0, 15], ids=["", "deflate"])
def test_a_websocket(run: Any, tls: bool, compress: int) -> None:
    closed: list[Any] = []

    async def talk(request: Any) -> Any:
        websocket = web.WebSocketResponse(protocols=("talk",))
        await websocket.prepare(request)
        async for message in websocket:
            if message.type == aiohttp.WSMsgType.TEXT:
                await websocket.send_str(message.data[::-1])
            else:
                await websocket.send_bytes(message.data)
        closed.append(websocket.close_code)
        return websocket

    async def main() -> None:
        async with serving(web.get("/", talk), tls=tls) as (session, url):
            async with session.ws_connect(url, protocols=("talk",), compress=compress) as websocket:
                assert websocket.protocol == "talk"
                assert websocket.compress == compress
                await websocket.send_str("hello")
                assert await websocket.receive_str() == "olleh"
                big = bytes(range(256)) * 2_000
                await websocket.send_bytes(big)
                assert await websocket.receive_bytes() == big
                await websocket.ping()
                for number in range(100):
                    await websocket.send_str(f"{number}")
                assert [await websocket.receive_str() for _ in range(100)] == [f"{number}"[::-1] for number in range(100)]
                await websocket.close(code=4000)

    run(main)
    assert closed == [4000]


def test_a_websocket_whose_heartbeat_is_not_answered_is_closed(run: Any) -> None:
    async def silent(request: Any) -> Any:
        websocket = web.WebSocketResponse(heartbeat=0.1, autoping=False)
        await websocket.prepare(request)
        ended.set_result([message.type async for message in websocket])
        return websocket

    async def main() -> None:
        nonlocal ended
        ended = asyncio.get_running_loop().create_future()
        async with serving(web.get("/", silent)) as (session, url):
            async with session.ws_connect(url, autoping=False) as websocket:
                while not ended.done():
                    await websocket.receive()
                assert aiohttp.WSMsgType.PING not in await ended

    ended: Any = None
    run(main)


def test_the_handler_of_a_client_that_goes_is_cancelled(run: Any) -> None:
    async def wait(request: Any) -> Any:
        here.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            gone.set()
            raise

    async def main() -> None:
        nonlocal here, gone
        here, gone = asyncio.Event(), asyncio.Event()
        async with serving(web.get("/", wait), handler_cancellation=True) as (session, url):
            request = asyncio.create_task(session.get(url))
            await here.wait()
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            await gone.wait()

    here = gone = asyncio.Event()
    run(main)


def test_timeouts_of_the_client(run: Any) -> None:
    async def wait(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"some")
        await asyncio.Event().wait()

    async def main() -> None:
        async with serving(web.get("/", wait), handler_cancellation=True) as (session, url):
            for timeout in (aiohttp.ClientTimeout(total=0.2), aiohttp.ClientTimeout(sock_read=0.2)):
                with pytest.raises(asyncio.TimeoutError):
                    async with session.get(url, timeout=timeout) as response:
                        await response.read()

    run(main)


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(run: Any) -> None:
    async def hello(request: Any) -> Any:
        return web.Response(text="hello")

    async def main() -> None:
        async with serving(web.get("/", hello), keepalive_timeout=0.1) as (session, url):
            for _ in range(3):
                async with session.get(url) as response:
                    assert await response.text() == "hello"
                while not session.connector.closed and any(
                    protocol.is_connected() for kept in session.connector._conns.values() for protocol, *_ in kept
                ):
                    await asyncio.sleep(0.02)

    run(main)


def test_a_unix_socket(run: Any, tmp_path: Any) -> None:
    async def hello(request: Any) -> Any:
        return web.Response(text="hello")

    async def main() -> None:
        application = web.Application()
        application.add_routes([web.get("/", hello)])
        runner = web.AppRunner(application)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "socket")).start()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "socket"))) as session:
            async with session.get("http://host/") as response:
                assert await response.text() == "hello"
        await runner.cleanup()

    run(main)


PROGRAM = """
import asyncio, socket, sys
from aiohttp import web
async def which_loop(request):
    return web.Response(text=type(asyncio.get_running_loop()).__module__.partition(".")[0])
async def hold(request):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(request.query["port"]))
    await reader.read()
    writer.close()
    return web.Response(text="held")
async def stopped(app):
    print("application stopped", flush=True)
app = web.Application()
app.add_routes([web.get("/loop", which_loop), web.get("/hold", hold)])
app.on_cleanup.append(stopped)
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", LOOPS)
def test_run_app_stops_gracefully(loop: str, number: int) -> None:
    from tests.libraries.served import Held

    made = "import cede; loop = cede.new_event_loop()" if loop == "cede" else "loop = asyncio.SelectorEventLoop()"
    with Program("-W", "error", "-c", f"{PROGRAM}{made}\nweb.run_app(app, sock=listener, loop=loop, print=None)") as server:
        port = int(server.expect(r"port (\d+)")[1])
        assert get(port, "/loop").decode() == loop
        held = Held(port)
        server.process.send_signal(number)
        refused(port)
        assert held.release() == (200, b"held")
        assert server.end() == 0
        assert server.output[1:] == ["application stopped"]


def test_a_websocket_that_two_tasks_close(run: Any) -> None:
    """The server's task closes the client's end while a message to it is on its way: nothing is received after the close."""

    async def main() -> None:
        ends: list[Any] = []
        received: list[Any] = []

        async def talk(request: Any) -> Any:
            websocket = web.WebSocketResponse()
            await websocket.prepare(request)
            await websocket.receive_bytes()
            await websocket.send_str("on its way")
            await ends[0].close()
            received.append((await websocket.receive()).type)
            return websocket

        for _ in range(5):
            ends.clear()
            received.clear()
            async with serving(web.get("/talk", talk)) as (session, url):
                async with session.ws_connect(f"{url}/talk") as websocket:
                    ends.append(websocket)
                    await websocket.send_bytes(b"begin")
                    assert (await websocket.receive()).type is aiohttp.WSMsgType.CLOSING
                    closing = [asyncio.create_task(websocket.close()) for _ in range(2)]
                    await asyncio.gather(*closing)
                    assert (await websocket.receive()).type is aiohttp.WSMsgType.CLOSED
            assert received == [aiohttp.WSMsgType.CLOSE]

    run(main)


@pytest.mark.parametrize("request_first", [True, False])
def test_a_shutdown_waits_for_the_request_and_then_nobody_is_there(run: Any, request_first: bool) -> None:
    """A connection that is idle is closed at once; one whose request is being answered once it was; and none is left when the runner has
    cleaned up."""

    async def main() -> None:
        held, begun = asyncio.Event(), asyncio.Event()

        async def answer(request: Any) -> Any:
            begun.set()
            await held.wait()
            return web.Response(text="answered")

        async def hello(_: Any) -> Any:
            return web.Response(text="hello")

        application = web.Application()
        application.add_routes([web.get("/answer", answer), web.get("/hello", hello)])
        runner = web.AppRunner(application, shutdown_timeout=30)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            asked = asyncio.create_task(session.get(f"{url}/answer")) if request_first else None
            async with session.get(f"{url}/hello") as response:
                assert await response.text() == "hello"
            if asked is None:
                asked = asyncio.create_task(session.get(f"{url}/answer"))
            await begun.wait()
            cleaning = asyncio.create_task(runner.cleanup())
            while True:
                try:
                    _, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
                except ConnectionRefusedError:
                    break
                except ConnectionResetError:
                    continue  # the listener was closed while this stood in its queue
                writer.close()
                await writer.wait_closed()
            assert not cleaning.done()
            held.set()
            async with await asked as response:
                assert await response.text() == "answered"
            await cleaning
            assert runner.server is None or not runner.server.connections

    run(main)
