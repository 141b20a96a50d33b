"""sock_sendfile and sendfile, on asyncio too."""

from __future__ import annotations

import asyncio
import io
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Pair = tuple[socket.socket, socket.socket]
Run = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(300_000))
    return path


async def drain(loop: Any, sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = await loop.sock_recv(sock, 1 << 16)
        if not data:
            break
        received += data
    return bytes(received)


@pytest.mark.parametrize(("offset", "count"), [(0, None), (100, None), (0, 1000), (7, 200_000), (299_999, 5), (300_000, None)])
def test_sock_sendfile(run: Run, pair: Pair, file: Path, offset: int, count: int | None) -> None:
    one, other = pair
    wanted = file.read_bytes()[offset : None if count is None else offset + count]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with file.open("rb") as source:
            receiving = asyncio.ensure_future(drain(loop, other, len(wanted)))
            assert await loop.sock_sendfile(one, source, offset, count) == len(wanted)
            if wanted:
                assert source.tell() == offset + len(wanted)
            assert await receiving == wanted

    run(main)


@pytest.mark.parametrize(("offset", "count"), [(0, None), (100, None), (0, 1000), (7, 200_000)])
def test_sendfile_through_a_transport(run: Run, pair: Pair, file: Path, offset: int, count: int | None) -> None:
    one, other = pair
    wanted = b"before" + file.read_bytes()[offset : None if count is None else offset + count] + b"after"

    class Counting(asyncio.Protocol):
        received = b""

        def data_received(self, data: bytes) -> None:
            self.received += data

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Counting, sock=one)
        with file.open("rb") as source:
            receiving = asyncio.ensure_future(drain(loop, other, len(wanted)))
            transport.write(b"before")
            assert await loop.sendfile(transport, source, offset, count) == len(wanted) - len(b"beforeafter")
            transport.write(b"after")
            assert await receiving == wanted
            assert transport.get_protocol() is protocol
            await loop.sock_sendall(other, b"reading again")
            while not protocol.received:
                await asyncio.sleep(0)
            transport.close()
            with pytest.raises(RuntimeError, match="closing"):
                await loop.sendfile(transport, source)
        await asyncio.sleep(0)

    run(main)


def test_sendfile_bad_arguments(run: Run, pair: Pair, file: Path) -> None:
    one, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with file.open("rb") as source, file.open() as text:
            for error, arguments in (
                (ValueError, (text,)),
                (TypeError, (source, "1")),
                (ValueError, (source, -1)),
                (TypeError, (source, 0, "1")),
                (ValueError, (source, 0, 0)),
                (ValueError, (source, 0, -1)),
            ):
                with pytest.raises(error):
                    await loop.sock_sendfile(one, *arguments)
            with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
                datagrams.setblocking(False)
                with pytest.raises(ValueError, match="SOCK_STREAM"):
                    await loop.sock_sendfile(datagrams, source)

    run(main)


def test_sendfile_of_something_in_memory(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.sock_sendfile(one, io.BytesIO(b"memory")) == 6
        assert await loop.sock_recv(other, 100) == b"memory"

    run(main)
