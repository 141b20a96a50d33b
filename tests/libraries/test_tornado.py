"""Tornado: its HTTP server and client, and websockets. Its streams use `add_handler`, which is `add_reader` and `add_writer`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import LOOPS, Program, get, library
from tests.support.certificates import client_context, server_context

library("tornado")
from tornado import httpserver, ioloop, iostream, netutil, process, simple_httpclient, tcpclient, tcpserver, web, websocket  # noqa: E402
from tornado.httpclient import HTTPClientError, HTTPRequest  # noqa: E402


@contextlib.asynccontextmanager
async def serving(*handlers: Any, tls: bool = False) -> AsyncIterator[str]:
    """The URL of a server with these handlers."""
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    server = httpserver.HTTPServer(web.Application(handlers), ssl_options=server_context() if tls else None)
    server.add_sockets(sockets)
    try:
        yield f"{'https://localhost' if tls else 'http://127.0.0.1'}:{sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        await server.close_all_connections()


class Echo(web.RequestHandler):
    async def post(self) -> None:
        await asyncio.sleep(0)
        self.write(self.request.body)


class Stream(web.RequestHandler):
    async def get(self) -> None:
        for number in range(200):
            self.write(bytes([number]) * 10_000)
            await self.flush()


class Wait(web.RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(60)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_each_of_many_gets_its_own_answer(run: Any, tls: bool) -> None:
    async def main() -> None:
        async with serving(("/echo", Echo), tls=tls) as url:
            client = simple_httpclient.SimpleAsyncHTTPClient(force_instance=True, max_clients=20)

            async def ask(number: int) -> None:
                body = b"%d " % number * (number * 50 + 1)
                options = {"ssl_options": client_context()} if tls else {}
                response = await client.fetch(HTTPRequest(f"{url}/echo", method="POST", body=body, **options))
                assert response.body == body

            await asyncio.gather(*map(ask, range(100)))
            client.close()

    run(main)


def test_a_stream_and_a_timeout(run: Any) -> None:
    async def main() -> None:
        async with serving(("/stream", Stream), ("/wait", Wait)) as url:
            client = simple_httpclient.SimpleAsyncHTTPClient(force_instance=True)
            found = bytearray()
            await client.fetch(HTTPRequest(f"{url}/stream", streaming_callback=found.extend))
            assert found == b"".join(bytes([number]) * 10_000 for number in range(200))
            with pytest.raises(HTTPClientError, match="Timeout during request"):
                await client.fetch(HTTPRequest(f"{url}/wait", request_timeout=0.2))
            client.close()

    run(main)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_websockets(run: Any, tls: bool) -> None:
    closed: list[Any] = []

    class Talk(websocket.WebSocketHandler):
        def get_compression_options(self) -> dict[str, Any]:
            return {}

        async def on_message(self, message: Any) -> None:
            await self.write_message(message, binary=isinstance(message, bytes))

        def on_close(self) -> None:
            closed.append((self.close_code, self.close_reason))

    async def main() -> None:
        async with serving(("/", Talk), tls=tls) as url:
            options = {"ssl_options": client_context()} if tls else {}
            request = HTTPRequest(url.replace("http", "ws", 1), **options)
            talk = await websocket.websocket_connect(request, compression_options={}, max_message_size=1 << 24)
            for message in ("short", b"bytes", "long" * 100_000):
                await talk.write_message(message, binary=isinstance(message, bytes))
                assert await talk.read_message() == message
            talk.close(4000, "enough")
            assert await talk.read_message() is None
            while not closed:
                await asyncio.sleep(0)

    run(main)
    assert closed == [(4000, "enough")]


def test_streams_of_its_own(run: Any) -> None:
    class Lines(tcpserver.TCPServer):
        async def handle_stream(self, stream: Any, address: Any) -> None:
            with contextlib.suppress(iostream.StreamClosedError):
                while True:
                    await stream.write((await stream.read_until(b"\n"))[::-1])

    async def main() -> None:
        server = Lines()
        sockets = netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        stream = await tcpclient.TCPClient().connect("127.0.0.1", sockets[0].getsockname()[1])
        for number in range(100):
            await stream.write(b"%d\n" % number)
            assert await stream.read_bytes(len(b"%d\n" % number)) == (b"%d\n" % number)[::-1]
        stream.close()
        server.stop()
        while True:  # until its side has noticed
            if len(asyncio.all_tasks()) <= 2:
                break
            await asyncio.sleep(0)

    run(main)


def test_a_child_process(run: Any) -> None:
    """Its pipes are Tornado's own streams, its end is told by Tornado's own watcher."""

    async def main() -> None:
        child = process.Subprocess(["cat"], stdin=process.Subprocess.STREAM, stdout=process.Subprocess.STREAM)
        answer = asyncio.ensure_future(child.stdout.read_until_close())
        await child.stdin.write(b"x" * 300_000)
        child.stdin.close()
        assert await answer == b"x" * 300_000
        assert await child.wait_for_exit() == 0
        process.Subprocess.uninitialize()

    run(main)


def test_callbacks_and_timers(run: Any) -> None:
    async def main() -> None:
        loop = ioloop.IOLoop.current()
        assert loop.asyncio_loop is asyncio.get_running_loop()
        told: asyncio.Queue[str] = asyncio.Queue()
        loop.add_callback(told.put_nowait, "callback")
        loop.call_later(0.01, told.put_nowait, "timer")
        periodic = ioloop.PeriodicCallback(lambda: told.put_nowait("again"), 10)
        assert [await told.get() for _ in range(2)] == ["callback", "timer"]
        periodic.start()
        assert [await told.get() for _ in range(3)] == ["again"] * 3
        periodic.stop()
        assert await loop.run_in_executor(None, lambda: 42) == 42

    run(main)


PROGRAM = """
import asyncio, signal
import tornado.ioloop, tornado.web
class WhichLoop(tornado.web.RequestHandler):
    def get(self):
        self.write(type(asyncio.get_running_loop()).__module__.partition(".")[0])
async def main():
    server = tornado.web.Application([("/loop", WhichLoop)]).listen(0, "127.0.0.1")
    print("port", next(iter(server._sockets.values())).getsockname()[1], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    print("stopped", flush=True)
tornado.ioloop.IOLoop().run_sync(main)
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_makes_its_loop_by_tornado(loop: str) -> None:
    # Tornado asks for the current loop before it makes its own; from Python 3.12 on there is a warning in that.
    warnings = ["-W", "error", "-W", "ignore:There is no current event loop:DeprecationWarning"]
    with Program(*warnings, *{"asyncio": [], "cede": ["-m", "cede", "run"]}[loop], "-c", PROGRAM) as server:
        port = int(server.expect(r"port (\d+)")[1])
        assert get(port, "/loop").decode() == loop
        server.terminate()
        assert server.end() == 0, server.text()
        assert server.output[-1] == "stopped"
