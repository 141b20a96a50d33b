"""What the rows of datagrams, files and many buffers do. Each body performs `n` operations and returns the seconds they took."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.clocks import active
from benchmarks.work import Work, closed, drain

if TYPE_CHECKING:
    from benchmarks.task_rows import Bench, Body

DATAGRAM = 64
IN_FLIGHT = 64
FILE = 8 * 1024 * 1024
PIECES, PIECE = 100, 100


class DatagramEcho(asyncio.DatagramProtocol):
    """Each datagram goes back where it came from."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


class Pinger(asyncio.DatagramProtocol):
    """Sends the next datagram for each that comes back, until `left` have."""

    transport: asyncio.DatagramTransport
    done: asyncio.Future[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.message = b"x" * DATAGRAM
        self.left = self.to_send = 0

    def begin(self, count: int, window: int, done: asyncio.Future[float]) -> None:
        """Have `count` datagrams make their round, `window` at a time."""
        self.left, self.done = count, done
        self.to_send = count - min(window, count)
        for _ in range(min(window, count)):
            self.transport.sendto(self.message)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.left -= 1
        if self.to_send:
            self.to_send -= 1
            self.transport.sendto(data)
        elif not self.left:
            self.done.set_result(active())


def datagrams(window: int) -> Body:
    """Echo of datagrams, both ends on one loop, `window` of them under way."""

    async def body(b: Bench, n: int) -> float:
        server, _ = await b.loop.create_datagram_endpoint(DatagramEcho, local_addr=("127.0.0.1", 0))
        client, pinger = await b.loop.create_datagram_endpoint(Pinger, remote_addr=server.get_extra_info("sockname"))
        done: asyncio.Future[float] = b.loop.create_future()
        start = active()
        pinger.begin(n, window, done)
        took = await done - start
        await closed(client)
        await closed(server)
        return took

    return body


async def sendfile(b: Bench, n: int) -> float:
    """A file of 8 MiB goes through a TCP connection to another process, by ``loop.sendfile``."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(FILE))
        file.flush()
        async with drain() as port:
            transport, _ = await b.loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
            start = active()
            for _ in range(n):
                if await b.loop.sendfile(transport, file, 0, FILE) != FILE:
                    raise RuntimeError("the file was sent in part only")
            took = active() - start
            await closed(transport)
    return took


async def writelines(b: Bench, n: int) -> float:
    """100 buffers of 100 bytes a call, ``drain`` after each, to another process."""
    pieces = [bytes([i]) * PIECE for i in range(PIECES)]
    async with drain() as port:
        _, writer = await b.streams.open_connection("127.0.0.1", port)
        start = active()
        for _ in range(n):
            writer.writelines(pieces)
            await writer.drain()
        took = active() - start
        writer.close()
        await writer.wait_closed()
    return took


WORK: dict[str, Work] = {
    "move.udp-1": Work(datagrams(1), least=100),
    "move.udp-64": Work(datagrams(IN_FLIGHT), least=500),
    "move.sendfile": Work(sendfile, least=2, size=FILE),
    "move.writelines": Work(writelines, least=100, size=PIECES * PIECE),
}
