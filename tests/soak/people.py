"""Those who behave. Each checks what it gets: the answer to its own question, whole; what was acknowledged has reached everybody.

What goes wrong is a `Fault` of the server's, unless the way to it was through bad weather; then only wrong answers count, not missing ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
from collections import Counter
from typing import Any

import cede

from .web import body_of

PATIENCE = 30.0  # seconds after which an answer counts as lost


class Fault(AssertionError):
    """The server did something wrong."""


class Town:
    """What everybody shares: addresses, the numbers of the day, and whether it is over."""

    def __init__(self, ports: dict[str, int], seed: int) -> None:
        self.ports = ports
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.over = asyncio.Event()
        self.said: dict[str, dict[int, tuple[str, str]]] = {}  # room: number: name and id of what was acknowledged
        self.tls: Any = None
        self.questions = 0

    def rng(self, name: str) -> random.Random:
        return random.Random(f"{self.seed} {name}")

    def fault(self, what: str) -> None:
        if len(self.faults) < 50:
            self.faults.append(what)

    def next_id(self) -> str:
        self.questions += 1
        return f"q{self.questions}"

    async def open(self, port: int, *, tls: bool = False) -> tuple[Any, Any]:
        secure = {"ssl": self.tls, "server_hostname": "localhost", "ssl_shutdown_timeout": 1} if tls else {}
        async with asyncio.timeout(PATIENCE):
            return await cede.open_connection("127.0.0.1", port, **secure)


async def read_answer(reader: Any) -> tuple[int, str, bytes]:
    """Status, id and body."""
    status, request, size = 0, "", 0
    while (line := await reader.readline()) != b"\r\n":
        if not line.endswith(b"\n"):
            raise asyncio.IncompleteReadError(line, None)
        if not status:
            status = int(line.split()[1])
        name, _, value = line.decode().strip().partition(":")
        if name == "X-Request":
            request = value.strip()
        elif name == "Content-Length":
            size = int(value)
    return status, request, await reader.readexactly(size)


def question(rng: random.Random, request: str, heavy: bool) -> tuple[bytes, bytes | None]:
    """A request, and the body that must come back; None: the id itself."""
    what = rng.choices(["body", "sum", "wait", "thread", "spawn"], [12, 6, 3, 2, 1 if heavy else 0])[0]
    count, upload = 0, b""
    expected: bytes | None = None
    if what in ("body", "thread"):
        count = rng.choice([0, 1, 100, 5000, 70_000, 300_000]) if what == "body" else 1000
        expected = body_of(request, count)
    elif what == "sum":
        upload = rng.randbytes(rng.choice([0, 10, 4000, 100_000]))
        expected = hashlib.sha256(upload).hexdigest().encode()
    elif what == "wait":
        count = rng.randrange(20)
    head = f"GET /{what}/{request}/{count} HTTP/1.1\r\nHost: soak\r\nContent-Length: {len(upload)}\r\n\r\n"
    return head.encode() + upload, expected


async def browse(town: Town, name: str, port: int, *, tls: bool = False, rough: bool = False, pause: float = 0.0) -> None:
    """Asks, several questions at once at times, over connections that live for a while."""
    rng = town.rng(name)
    while not town.over.is_set():
        writer = None
        try:
            reader, writer = await town.open(port, tls=tls)
            for _ in range(rng.randrange(1, 30)):
                asked = []
                for _ in range(rng.choice([1, 1, 1, 4])):
                    request = town.next_id()
                    data, expected = question(rng, request, not rough)
                    asked.append((request, expected))
                    writer.write(data)
                async with asyncio.timeout(PATIENCE):
                    await writer.drain()
                    for request, expected in asked:
                        status, answered, body = await read_answer(reader)
                        if answered != request:
                            town.fault(f"{name}: asked {request}, got the answer to {answered!r}")
                        elif status == 503 and expected is None:
                            town.counts["answers without descriptors"] += 1
                        elif status != 200 or body != (request.encode() if expected is None else expected):
                            town.fault(f"{name}: a wrong answer to {request}: {status}, {len(body)} bytes, {body[:60]!r}")
                        town.counts["answers" + (" through bad weather" if rough else "")] += 1
                if pause:
                    await asyncio.sleep(rng.random() * pause)
                if town.over.is_set():
                    break
        except (OSError, EOFError, TimeoutError) as error:
            if rough:
                town.counts["broken by the weather"] += 1
            else:
                town.fault(f"{name}: {error!r}")
        finally:
            if writer is not None:
                writer.close()
                try:
                    await writer.wait_closed()
                except OSError:
                    pass


async def listen(town: Town, name: str, port: int, room: str, *, tls: bool = False, end: Any) -> None:
    """Sits in a room, and must be told everything, in order, until the number that `end` will give."""
    try:
        reader, writer = await town.open(port, tls=tls)
        try:
            writer.write(f"JOIN {room} {name}\n".encode())
            number = int((await reader.readline()).split()[1])
            seen: dict[int, tuple[str, str]] = {}
            first, final = number, None
            while final is None or number < final:
                reading = asyncio.ensure_future(reader.readline())
                waiting = {reading} if end.done() else {reading, end}
                done, _ = await asyncio.wait(waiting, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                if end.done():
                    final = end.result()[room]
                if reading not in done:
                    if done and number < final:
                        done, _ = await asyncio.wait({reading}, timeout=PATIENCE)
                    if reading not in done:
                        reading.cancel()
                        await asyncio.wait({reading})
                        if final is not None and number < final:
                            raise Fault(f"message {number + 1} of {final} never came")
                        continue
                words = (await reading).decode().split(" ", 4)
                if words[0] != "MSG" or int(words[1]) != number + 1:
                    raise Fault(f"after message {number} came {words[:3]}")
                number += 1
                seen[number] = (words[2], words[3])
                town.counts["messages delivered"] += 1
            for said, what in town.said.get(room, {}).items():
                if said > first and seen.get(said) != what:
                    raise Fault(f"message {said} was acknowledged as {what}, and delivered as {seen.get(said)}")
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass
    except (OSError, EOFError, ValueError, IndexError, Fault) as error:
        town.fault(f"{name} in {room}: {error!r}")


async def speak(town: Town, name: str, port: int, room: str, *, tls: bool = False, rough: bool = False) -> None:
    """Says things, and remembers which were acknowledged."""
    rng = town.rng(name)
    said = town.said.setdefault(room, {})
    while not town.over.is_set():
        writer = None
        try:
            reader, writer = await town.open(port, tls=tls)
            writer.write(f"JOIN {room} {name}\n".encode())
            for _ in range(rng.randrange(5, 60)):
                request = town.next_id()
                writer.write(f"SAY {request} {'x' * rng.randrange(1, 400)}\n".encode())
                async with asyncio.timeout(PATIENCE):
                    while not (line := await reader.readline()).startswith(b"OK"):
                        if not line.endswith(b"\n"):
                            raise asyncio.IncompleteReadError(line, None)
                _, answered, number = line.decode().split()
                if answered != request:
                    town.fault(f"{name}: said {request}, and {answered} was acknowledged")
                said[int(number)] = (name, request)
                town.counts["messages acknowledged"] += 1
                await asyncio.sleep(rng.random() * 0.02)
                if town.over.is_set():
                    break
        except (OSError, EOFError, TimeoutError) as error:
            if rough:
                town.counts["broken by the weather"] += 1
            else:
                town.fault(f"{name} in {room}: {error!r}")
        finally:
            if writer is not None:
                writer.close()
                try:
                    await writer.wait_closed()
                except OSError:
                    pass


async def call_out(town: Town, name: str, port: int) -> None:
    """Sends datagrams, and looks at what comes back: its own, whole, or nothing."""
    loop, rng = asyncio.get_running_loop(), town.rng(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))
        while not town.over.is_set():
            sent = {f"{town.next_id()} {name} {'y' * rng.randrange(1000)}".encode() for _ in range(rng.randrange(1, 20))}
            for data in sent:
                await loop.sock_sendall(sock, data)
            try:
                async with asyncio.timeout(2):
                    while sent:
                        data = await loop.sock_recv(sock, 2048)
                        if data not in sent:
                            town.fault(f"{name}: a datagram of somebody else's, {data[:40]!r}")
                        sent.discard(data)
                        town.counts["datagrams"] += 1
            except TimeoutError:
                town.counts["datagrams lost on the way"] += len(sent)
            await asyncio.sleep(0.01)
