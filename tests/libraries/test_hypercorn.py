"""Hypercorn's asyncio worker: as a program under `cede run`, and within a program that runs already (see also `test_httpx`)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from tests.libraries.served import APP, LOOPS, Program, ends_gracefully, free_port, get, library

library("starlette", "hypercorn")

ON = {"asyncio": ["-m", "hypercorn"], "cede": ["-m", "cede", "run", "-m", "hypercorn"]}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_is_terminated_answers_first(loop: str) -> None:
    options = ["--workers", "0", "--graceful-timeout", "20", "--bind", "127.0.0.1:0", APP]
    with Program("-W", "error", *ON[loop], *options) as server:
        port = int(server.expect(r"Running on http://127.0.0.1:(\d+)")[1])
        assert get(port, "/loop").decode() == loop
        ends_gracefully(server, port)


def test_within_a_program(run: Any) -> None:
    """With a websocket."""
    library("websockets")
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    from tests.libraries.app import app

    async def main() -> None:
        config, stop = Config(), asyncio.Event()
        config.bind = [f"127.0.0.1:{free_port()}"]
        config.errorlog = None
        config.graceful_timeout = 0.5
        server = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                websocket = await connect(f"ws://{config.bind[0]}/conversation")
                break
            assert not server.done()
            await asyncio.sleep(0.01)
        for number in range(20):
            await websocket.send(f"{number}" * 1000)
            assert await websocket.recv() == f"{number}" * 1000
        await websocket.send("close")
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 4001
        stop.set()
        await server
        await websocket.wait_closed()

    run(main)
