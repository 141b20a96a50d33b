"""Programs over the driver in memory, for strace to look at: ``python -m tests.support.memory_programs NAME``."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

from cede.loop.event_loop import EventLoop
from tests.support.memory_driver import Clock, MemoryDriver


def mark() -> None:
    """A system call that strace shows, and that does nothing: from here on it counts."""
    try:
        socket.socket(fileno=987_654).close()
    except OSError:
        pass


async def protocols() -> None:
    class Echo(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    server = await asyncio.get_running_loop().create_server(Echo, "server.test", 80)
    reader, writer = await asyncio.open_connection("server.test", 80)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    await asyncio.sleep(3600)
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def aiohttp() -> None:
    import aiohttp
    from aiohttp import web

    async def hello(request: web.Request) -> web.Response:
        return web.json_response({"said": (await request.text()).upper()})

    application = web.Application()
    application.router.add_post("/", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "10.0.0.1", 80).start()
    driver: Any = asyncio.get_running_loop().driver  # type: ignore[attr-defined]

    def make(info: Any) -> Any:
        return driver.make_socket(*info[:3])  # aiohttp makes its sockets itself, unless it is told who does

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=make)) as session:
        answers = await asyncio.gather(*(session.post("http://10.0.0.1/", data=f"client {number}") for number in range(10)))
        assert [await answer.json() for answer in answers] == [{"said": f"CLIENT {number}"} for number in range(10)]
        async with session.post("http://10.0.0.1/", data=b"x" * 300_000) as answer:
            assert len((await answer.json())["said"]) == 300_000
    await runner.cleanup()


def main(name: str) -> None:
    if name == "aiohttp":
        __import__("aiohttp.web")
    clock = Clock()
    mark()
    with asyncio.Runner(loop_factory=lambda: EventLoop(MemoryDriver(clock), clock=clock)) as runner:
        runner.run(globals()[name]())
    print(name, "ok")


if __name__ == "__main__":
    main(sys.argv[1])
