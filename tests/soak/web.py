"""An HTTP/1.1 server on the level of protocols, as small as it can be: keep-alive, pipelining, limits, flow control."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

LARGEST_HEAD = 8192
LARGEST_BODY = 1 << 20
KEEP_READING = 1 << 16


class Refused(Exception):
    """The peer does not speak HTTP, or says too much."""


def body_of(request: str, size: int) -> bytes:
    """What only the request of that id is answered with."""
    piece = f"{request};".encode()
    return (piece * (size // len(piece) + 1))[:size]


class Web:
    """Makes the protocols of one server, and counts."""

    def __init__(self) -> None:
        self.answers = 0

    def __call__(self) -> Connection:
        return Connection(self)


class Connection(asyncio.Protocol):
    """Serves one request after the other, in order."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.transport: Any = None
        self.received = bytearray()
        self.task: asyncio.Task[None] | None = None
        self.full = self.ended = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.task is not None or self.full:
            if len(self.received) > KEEP_READING:
                self.transport.pause_reading()
            return
        self.go_on()

    def eof_received(self) -> bool:
        self.ended = True
        return self.task is not None or self.full  # what was asked is answered, also to one who has said all

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.go_on()

    def connection_lost(self, error: BaseException | None) -> None:
        if self.task is not None:
            self.task.cancel()
        self.transport = None

    def go_on(self) -> None:
        try:
            while self.transport is not None and self.task is None and not self.full:
                request = self.next_request()
                if request is None:
                    if self.ended:
                        self.transport.close()
                    else:
                        self.transport.resume_reading()
                    return
                self.serve(*request)
        except Refused as error:
            self.transport.write(f"HTTP/1.1 400 {error}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
            self.transport.close()

    def next_request(self) -> tuple[str, bytes] | None:
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            if len(self.received) > LARGEST_HEAD:
                raise Refused("head too large")
            return None
        try:
            first, *lines = self.received[:end].decode("ascii").split("\r\n")
            _, path, _ = first.split(" ")
            headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
            size = int(headers.get("content-length", "0"))
        except ValueError:
            raise Refused("no such language") from None
        if not 0 <= size <= LARGEST_BODY:
            raise Refused("body too large")
        start = end + 4
        if len(self.received) < start + size:
            return None
        body = bytes(self.received[start : start + size])
        del self.received[: start + size]
        return path, body

    def serve(self, path: str, body: bytes) -> None:
        """``/WHAT/ID/NUMBER``."""
        try:
            _, what, request, number = path.split("/")
            count = int(number)
        except ValueError:
            raise Refused("no such path") from None
        if what == "body":
            self.answer(request, body_of(request, min(count, 4 * LARGEST_BODY)))
        elif what == "sum":
            self.answer(request, hashlib.sha256(body).hexdigest().encode())
        elif what in ("wait", "thread", "spawn"):
            self.task = asyncio.get_running_loop().create_task(self.later(what, request, count))
        else:
            raise Refused("no such path")

    async def later(self, what: str, request: str, count: int) -> None:
        status, body = "200 OK", request.encode()
        if what == "wait":
            await asyncio.sleep(count / 1000)
        elif what == "thread":
            body = await asyncio.to_thread(body_of, request, count)
        else:
            try:
                child = await asyncio.create_subprocess_exec("echo", "-n", request, stdout=asyncio.subprocess.PIPE)
                body = (await child.communicate())[0]
            except OSError as error:  # no descriptors left
                status, body = "503 later", str(error.errno).encode()
        self.task = None
        if self.transport is not None:
            self.answer(request, body, status)
            self.go_on()

    def answer(self, request: str, body: bytes, status: str = "200 OK") -> None:
        self.web.answers += 1
        head = f"HTTP/1.1 {status}\r\nX-Request: {request}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.writelines([head.encode(), body])
