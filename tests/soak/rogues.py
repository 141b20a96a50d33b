"""Those who do not behave: each act is one connection, or a handful, misused in one way."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from .people import Town

CUT_OFF_SECONDS = 20.0  # by then a connection that its server must cut off has to be gone


def quit_with_reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def dial(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    try:
        async with asyncio.timeout(20):
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock


async def come_and_go(town: Town, rng: random.Random) -> None:
    with await dial(town.ports[rng.choice(["http", "https", "chat", "chats", "guarded"])]) as sock:
        if rng.random() < 0.5:
            quit_with_reset(sock)


async def stall(town: Town, rng: random.Random) -> None:
    with await dial(town.ports[rng.choice(["http", "https", "chat", "chats"])]):
        await asyncio.sleep(rng.random())


async def reset_halfway(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    with await dial(town.ports["http"]) as sock:
        what = rng.choice(["body", "sum", "wait", "spawn", "thread"])
        request = f"GET /{what}/gone/{rng.randrange(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * rng.randrange(1, 4)
        await loop.sock_sendall(sock, request[: rng.randrange(len(request) + 1)])
        for _ in range(rng.randrange(3)):
            try:
                async with asyncio.timeout(0.05):
                    await loop.sock_recv(sock, rng.choice([1, 100, 65536]))
            except TimeoutError:
                break
        quit_with_reset(sock)


async def talk_garbage(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    with await dial(town.ports[rng.choice(["http", "https", "chat", "chats", "guarded"])]) as sock:
        data = rng.randbytes(rng.choice([1, 5, 100, 3000, 50_000]))
        if rng.random() < 0.5:
            data = b"\x16\x03\x01" + data  # the beginning of a TLS handshake
        await loop.sock_sendall(sock, data)
        async with asyncio.timeout(1):
            while await loop.sock_recv(sock, 65536):
                pass


async def half_close(town: Town, rng: random.Random) -> None:
    """Says it all, hangs up one way, and still wants the answer."""
    loop = asyncio.get_running_loop()
    with await dial(town.ports["http"]) as sock:
        request, received = town.next_id(), b""
        await loop.sock_sendall(sock, f"GET /wait/{request}/20 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sock.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(30):
                while data := await loop.sock_recv(sock, 65536):
                    received += data
        except TimeoutError:
            pass
        if not received.endswith(request.encode()):
            town.fault(f"half closed after asking {request}: got {received[:80]!r}")


async def read_slowly(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    with await dial(town.ports["http"]) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_sendall(sock, b"GET /body/slow/2000000 HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        for _ in range(rng.randrange(50)):
            await loop.sock_recv(sock, 1024)
            await asyncio.sleep(0.01)


async def listen_without_hearing(town: Town, rng: random.Random) -> None:
    loop = asyncio.get_running_loop()
    with await dial(town.ports["chat"]) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_sendall(sock, f"JOIN room{rng.randrange(3)} deaf\n".encode())
        await asyncio.sleep(rng.random() * 2)
        if rng.random() < 0.5:
            quit_with_reset(sock)


async def trickle(town: Town, rng: random.Random) -> None:
    """A byte now and then, or none: must be cut off."""
    loop = asyncio.get_running_loop()
    silent = rng.random() < 0.3
    with await dial(town.ports["guarded"]) as sock:
        end = loop.time() + CUT_OFF_SECONDS
        try:
            while loop.time() < end:
                if not silent:
                    await loop.sock_sendall(sock, b"x")
                try:
                    async with asyncio.timeout(0.2):
                        if not await loop.sock_recv(sock, 100):
                            break
                except TimeoutError:
                    pass  # nothing said, and not cut off yet
            else:
                town.fault(f"{'a silent' if silent else 'a byte-by-byte'} client was not cut off")
                return
        except ConnectionError:
            pass
        town.counts["cut off"] += 1


async def shake_halfway(town: Town, rng: random.Random) -> None:
    """A TLS handshake that is left in the middle."""
    import ssl

    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = town.tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with await dial(town.ports[rng.choice(["https", "chats"])]) as sock:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = outgoing.read()
        await loop.sock_sendall(sock, hello[: rng.randrange(1, len(hello) + 1)])
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random())
        if rng.random() < 0.5:
            quit_with_reset(sock)


async def exhaust(town: Town, rng: random.Random) -> None:
    """More connections than the server has descriptors for."""
    socks: list[socket.socket] = []
    try:
        for _ in range(town.counts["limit"] + 50):
            sock = socket.socket()
            socks.append(sock)
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", town.ports["chat"]))
            if len(socks) % 20 == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0.5 + rng.random() / 2)
    finally:
        for sock in socks:
            if rng.random() < 0.3:
                quit_with_reset(sock)
            sock.close()


ACTS: dict[Callable[[Town, random.Random], Awaitable[Any]], int] = {
    come_and_go: 8, stall: 5, reset_halfway: 10, talk_garbage: 6, half_close: 4, read_slowly: 3, listen_without_hearing: 4,
    trickle: 4, shake_halfway: 6,
}  # fmt: skip


async def misbehave(town: Town, name: str) -> None:
    """One act after the other."""
    rng = town.rng(name)
    acts, weights = [*ACTS], [*ACTS.values()]
    while not town.over.is_set():
        await attempt(town, rng.choices(acts, weights)[0], rng)
        await asyncio.sleep(rng.random() * 0.02)


async def crowd(town: Town, name: str, every: float) -> None:
    """Exhausts the server's descriptors every so many seconds."""
    rng = town.rng(name)
    while not town.over.is_set():
        await attempt(town, exhaust, rng)
        try:
            async with asyncio.timeout(every):
                await town.over.wait()
        except TimeoutError:
            pass


async def attempt(town: Town, act: Any, rng: random.Random) -> None:
    town.counts[f"rogues: {act.__name__.replace('_', ' ')}"] += 1
    try:
        await act(town, rng)
    except (OSError, TimeoutError):
        pass  # that is what such people get
