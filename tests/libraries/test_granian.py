"""Granian: its server is native, its application runs on the loop. Both of its kinds of tasks, as a program and embedded."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from tests.libraries.served import APP, LOOPS, Program, ends_gracefully, free_port, get, library, listening

library("starlette", "granian")

ON = {"asyncio": ["-m", "granian"], "cede": ["-m", "cede", "run", "-m", "granian"]}


def serve(loop: str, port: int, *options: str) -> Program:
    return Program("-W", "error", *ON[loop], "--interface", "asgi", "--loop", "asyncio", "--port", str(port), *options, APP)


@pytest.mark.parametrize("tasks", ["asyncio", "rust"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_is_terminated_answers_first(loop: str, tasks: str) -> None:
    port = free_port()
    with serve(loop, port, "--task-impl", tasks) as server:
        server.expect("application started")
        listening(port)
        assert get(port, "/loop").decode() == loop
        assert len(get(port, "/stream?count=100&size=10000")) == 1_000_000
        ends_gracefully(server, port)


def test_embedded(run: Any) -> None:
    """Within a loop that runs already, with websockets."""
    library("websockets", "httpx")
    import httpx
    from granian.constants import Interfaces
    from granian.server.embed import Server
    from websockets.asyncio.client import connect

    from tests.libraries.app import app

    async def main() -> None:
        port = free_port()
        server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
        task = asyncio.create_task(server.serve())
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            assert not task.done()
            await asyncio.sleep(0.01)

        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def ask(number: int) -> None:
                assert (await client.post("/echo", content=f"{number}")).text == f"{number}"

            await asyncio.gather(*map(ask, range(100)))
            stream = await client.get("/stream", params={"count": 50, "size": 10_000})
            assert len(stream.content) == 500_000
        async with connect(f"ws://127.0.0.1:{port}/conversation") as websocket:
            for number in range(50):
                await websocket.send(f"{number}")
                assert await websocket.recv() == f"{number}"
        server.stop()
        await task

    run(main, left_open=3)  # its listener, and a pair of the whole process: Granian's own, on any loop
