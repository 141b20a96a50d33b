"""Datagram endpoints for tests, and a protocol that writes down what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.driver_worlds import turns


class Datagrams(asyncio.DatagramProtocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.received: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def note(self, word: str) -> None:
        if not self.told or self.told[-1] != word:
            self.told.append(word)

    def connection_made(self, transport: Any) -> None:
        self.note("made")
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        assert type(data) is bytes
        self.note("data")
        self.received.put_nowait((data, address))

    def error_received(self, error: Exception) -> None:
        self.note("error")
        self.errors.put_nowait(error)

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.note("lost")
        self.lost.set_result(error)


async def endpoint(protocol: Any = Datagrams, **options: Any) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().create_datagram_endpoint(protocol, **options)


async def finish(*transports: Any) -> None:
    for transport in transports:
        transport.close()
    await turns(3)
