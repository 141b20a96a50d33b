"""The ASGI application that the tests let servers serve."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


async def which_loop(request: Request) -> Response:
    return PlainTextResponse(type(asyncio.get_running_loop()).__module__.partition(".")[0])


async def whose_names(request: Request) -> Response:
    return PlainTextResponse(asyncio.Queue.__module__.partition(".")[0])


async def echo(request: Request) -> Response:
    return Response(await request.body())


async def digest(request: Request) -> Response:
    """What arrived, taken block by block."""
    found = hashlib.sha256()
    async for block in request.stream():
        found.update(block)
    return PlainTextResponse(found.hexdigest())


async def stream(request: Request) -> Response:
    count, size = int(request.query_params["count"]), int(request.query_params["size"])

    async def blocks() -> AsyncIterator[bytes]:
        for number in range(count):
            yield bytes([number % 256]) * size

    return StreamingResponse(blocks())


async def hold(request: Request) -> Response:
    """Answers when the listener at `port` has taken a connection and closed it: the test decides how long a request takes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(request.query_params["port"]))
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return PlainTextResponse("held")


async def until_gone(request: Request) -> Response:
    """Tells the listener at `port` that the request is here and, later, that its client has gone."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(request.query_params["port"]))
    writer.write(b"here\n")
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    writer.write(b"gone\n")
    writer.close()
    await writer.wait_closed()
    return PlainTextResponse("nobody reads this")


async def conversation(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="talk" if "talk" in websocket.scope["subprotocols"] else None)
    try:
        while True:
            message: Any = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") == "close":
                await websocket.close(code=4001, reason="as told")
                return
            await websocket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect:
        pass


def say(line: str) -> None:
    """Print in one piece, since other processes of the same server write to the same pipe."""
    os.write(1, f"{line}\n".encode())


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    say("application started")
    yield
    say("application stopped")


app = Starlette(
    routes=[
        Route("/loop", which_loop),
        Route("/names", whose_names),
        Route("/echo", echo, methods=["POST"]),
        Route("/digest", digest, methods=["POST"]),
        Route("/stream", stream),
        Route("/hold", hold),
        Route("/until-gone", until_gone),
        WebSocketRoute("/conversation", conversation),
    ],
    lifespan=lifespan,
)
