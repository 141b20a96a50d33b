"""A TLS peer that is driven by hand: each byte on the wire is under the test's control."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any


class Peer:
    """TLS by ``ssl.SSLObject`` over a socket, sent and received with the loop's own socket operations."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool = False) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        name = None if server_side else "localhost"
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=name)

    @classmethod
    async def connected(cls, address: Any, context: ssl.SSLContext) -> Peer:
        """Connected to the server at `address`, handshake done."""
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        peer = cls(sock, context)
        await peer.handshake()
        return peer

    async def _do(self, operation: Any, *args: Any) -> Any:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return operation(*args)
            except ssl.SSLWantReadError:
                await self.push()
                data = await loop.sock_recv(self.sock, 65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    async def push(self) -> None:
        """Send what OpenSSL has to say."""
        if self.outgoing.pending:
            await asyncio.get_running_loop().sock_sendall(self.sock, self.outgoing.read())

    async def handshake(self) -> None:
        await self._do(self.tls.do_handshake)
        await self.push()

    async def read(self, count: int = 65536) -> bytes:
        """Some data; b"" after close_notify. Raises ssl.SSLEOFError where the stream ends without."""
        try:
            return await self._do(self.tls.read, count)
        except ssl.SSLZeroReturnError:
            return b""

    async def read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await self.read(count - len(data))
            if not more:
                break
            data += more
        return data

    def sealed(self, data: bytes) -> bytes:
        """`data` as it goes over the wire, not sent."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        """close_notify as it goes over the wire, not sent."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    async def send(self, wire: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, wire)

    async def write(self, data: bytes) -> None:
        await self.send(self.sealed(data))

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close so that the other side gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()
