"""A web server that says hello, on one loop: prints ``{"port": N}``, then answers each line on standard input with its clocks."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import socket
import threading
from typing import Any

from benchmarks.clocks import raise_descriptor_limit
from benchmarks.loops import OWN, loop_of, new_loop
from benchmarks.net_server import BACKLOG, answer_lines, keep

HELLO = "Hello, world!"


def listener() -> socket.socket:
    """Where the server is to listen."""
    return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)


async def start_uvicorn(loop: asyncio.AbstractEventLoop) -> int:
    """uvicorn and Starlette, without logs."""
    uvicorn: Any = importlib.import_module("uvicorn")
    applications: Any = importlib.import_module("starlette.applications")
    responses: Any = importlib.import_module("starlette.responses")
    routing: Any = importlib.import_module("starlette.routing")

    async def hello(request: Any) -> Any:
        return responses.PlainTextResponse(HELLO)

    app = applications.Starlette(routes=[routing.Route("/", hello)])
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


async def start_aiohttp(loop: asyncio.AbstractEventLoop) -> int:
    """aiohttp, without logs."""
    web: Any = importlib.import_module("aiohttp.web")

    async def hello(request: Any) -> Any:
        return web.Response(text=HELLO)

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = listener()
    site = web.SockSite(runner, sock, backlog=BACKLOG)
    await site.start()
    keep.append((runner, site))
    port: int = sock.getsockname()[1]
    return port


STARTS = {"uvicorn": start_uvicorn, "aiohttp": start_aiohttp}


def main() -> None:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=sorted(STARTS))
    parser.add_argument("contestant")
    wish = parser.parse_args()
    raise_descriptor_limit()
    if wish.contestant == OWN:
        importlib.import_module("cede").accelerate()  # before the framework is imported, as `cede run` does
    loop = new_loop(loop_of(wish.contestant))
    port = loop.run_until_complete(STARTS[wish.framework](loop))
    print(json.dumps({"port": port}), flush=True)
    threading.Thread(target=answer_lines, daemon=True).start()
    loop.run_forever()


if __name__ == "__main__":
    main()
