"""Hypercorn's asyncio worker: as a program under `cede run`, and within a program that runs already (see also `test_httpx`)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import APP, LOOPS, Program, ends_gracefully, free_port, get, library

library("starlette", "websockets", "hypercorn")
from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

ON = {"asyncio": ["-m", "hypercorn"], "cede": ["-m", "cede", "run", "-m", "hypercorn"]}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_program_that_is_terminated_answers_first(loop: str) -> None:
    options = ["--workers", "0", "--graceful-timeout", "20", "--bind", "127.0.0.1:0", APP]
    with Program("-W", "error", *ON[loop], *options) as server:
        port = int(server.expect(r"Running on http://127.0.0.1:(\d+)")[1])
        assert get(port, "/loop").decode() == loop
        ends_gracefully(server, port)


@contextlib.asynccontextmanager
async def serving(graceful_timeout: float = 0.2) -> AsyncIterator[tuple[Any, Any, Any]]:
    """(A websocket to a server in the running loop, what stops the server, its task.)"""
    from tests.libraries.app import app

    config, stop = Config(), asyncio.Event()
    config.bind = [f"127.0.0.1:{free_port()}"]
    config.errorlog = None
    config.graceful_timeout = graceful_timeout
    server = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            websocket = await connect(f"ws://{config.bind[0]}/conversation")
            break
        assert not server.done()
        await asyncio.sleep(0.01)
    yield websocket, stop, server
    stop.set()
    await server


def test_a_websocket(run: Any) -> None:
    async def main() -> None:
        async with serving() as (websocket, _, _):
            for number in range(20):
                await websocket.send(f"{number}" * 1000)
                assert await websocket.recv() == f"{number}" * 1000
            await websocket.send("close")
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert websocket.close_code == 4001

    run(main)


def test_a_websocket_that_is_open_holds_its_end_up(run: Any, request: pytest.FixtureRequest) -> None:
    """It waits for the server to be closed, which it is when the last connection is, before it looks at its timeout. (Where a server that
    is closed waits for nobody, as was so before Python 3.12, the timeout is all there is.)
    """
    waits = sys.version_info >= ((3, 12, 1) if "asyncio" in request.node.name else (3, 12))

    async def main() -> None:
        async with serving(graceful_timeout=0.2 if waits else 60) as (websocket, stop, server):
            stop.set()
            await asyncio.wait([server], timeout=0.5)
            assert not server.done()
            await websocket.send("still here")
            assert await websocket.recv() == "still here"
            await websocket.close()

    run(main)
