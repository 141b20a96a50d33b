"""A web server on one loop: prints ``{"port": N}``, then answers each line on standard input with its clocks.

For the column `cede run` that command has started it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

from benchmarks.clocks import raise_descriptor_limit
from benchmarks.loops import OWN, loop_of, new_loop
from benchmarks.net_server import BACKLOG, answer_lines, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HELLO = "Hello, world!"
PARTS = 10
LIMIT = 5.0
"""Seconds a request may take in the row of parts; none comes near."""


def listener() -> socket.socket:
    """Where the server is to listen."""
    return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)


async def hello() -> str:
    """The least there is to answer."""
    return HELLO


async def part(number: int) -> int:
    """What one of ten others says, which is waited for once."""
    await asyncio.sleep(0)
    return number


async def gathered() -> str:
    """What a service does that asks others: ten tasks, together, under a time limit."""
    async with asyncio.timeout(LIMIT):
        numbers = await asyncio.gather(*[part(number) for number in range(PARTS)])
    return HELLO if numbers == [*range(PARTS)] else f"wrong: {numbers}"


async def start_uvicorn(loop: asyncio.AbstractEventLoop, answer: Callable[[], Coroutine[Any, Any, str]] = hello) -> int:
    """uvicorn and Starlette, without logs."""
    uvicorn: Any = importlib.import_module("uvicorn")
    applications: Any = importlib.import_module("starlette.applications")
    responses: Any = importlib.import_module("starlette.responses")
    routing: Any = importlib.import_module("starlette.routing")

    async def endpoint(request: Any) -> Any:
        return responses.PlainTextResponse(await answer())

    app = applications.Starlette(routes=[routing.Route("/", endpoint)])
    # It takes the loop that runs it.
    server = uvicorn.Server(uvicorn.Config(app, loop="none", log_level="warning", access_log=False, lifespan="off", ws="none"))
    sock = listener()
    task = loop.create_task(server.serve(sockets=[sock]))
    keep.append(task)
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the server ended before it had begun")
        await asyncio.sleep(0.01)
    port: int = sock.getsockname()[1]
    return port


async def start_gather(loop: asyncio.AbstractEventLoop) -> int:
    """The same with an endpoint that has something to do."""
    return await start_uvicorn(loop, gathered)


async def start_aiohttp(loop: asyncio.AbstractEventLoop) -> int:
    """aiohttp, without logs."""
    web: Any = importlib.import_module("aiohttp.web")

    async def endpoint(request: Any) -> Any:
        return web.Response(text=await hello())

    app = web.Application()
    app.router.add_get("/", endpoint)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = listener()
    site = web.SockSite(runner, sock, backlog=BACKLOG)
    await site.start()
    keep.append((runner, site))
    port: int = sock.getsockname()[1]
    return port


STARTS = {"uvicorn": start_uvicorn, "gather": start_gather, "aiohttp": start_aiohttp}


def main() -> None:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=sorted(STARTS))
    parser.add_argument("contestant")
    wish = parser.parse_args()
    raise_descriptor_limit()
    # `cede run` has put asyncio's loops and names on cede's, as a program under it finds them.
    loop = asyncio.new_event_loop() if wish.contestant == OWN else new_loop(loop_of(wish.contestant))
    port = loop.run_until_complete(STARTS[wish.framework](loop))
    print(json.dumps({"port": port}), flush=True)
    threading.Thread(target=answer_lines, daemon=True).start()
    loop.run_forever()


if __name__ == "__main__":
    main()
