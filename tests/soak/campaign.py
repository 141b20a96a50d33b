"""What happens when: a server in a process of its own, a warm-up, two equal rounds, and a look at what it holds before and after.

After each round everybody goes home, and the server must hold what it held at first: tasks, descriptors, threads. Its memory after the
second round is compared with that after the first, when all caches were full.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.certificates import client_context, made

from .people import Town, browse, call_out, listen, speak
from .rogues import crowd, misbehave
from .weather import Proxy

DESCRIPTORS = 160
ROOMS = ("room0", "room1", "room2")
QUIET_SECONDS = 20.0
ROOT = Path(__file__).resolve().parents[2]
# What may be held more after the second round than after the first, by a program that leaks nothing: caches of the interpreter, and the
# gaps that the allocators leave. A leak of one small object a connection is more than this in a minute.
MORE_HEAP = 400_000
MORE_BLOCKS = 1500
MORE_OBJECTS = 400
MORE_RESIDENT = 3 << 20

Show = Callable[[str, float, Town], None]


class Server:
    """The process under test."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.errors = asyncio.ensure_future(process.stderr.read())

    @classmethod
    async def start(cls) -> tuple[Server, dict[str, int]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "dev" if "--dev" in sys.argv else "faulthandler", "-m", "tests.soak.server", str(made("localhost")),
            str(DESCRIPTORS), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=1 << 22,
        )  # fmt: skip
        server = cls(process)
        return server, await server.answer()

    async def answer(self) -> Any:
        async with asyncio.timeout(60):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server is gone: {(await self.errors).decode()[-3000:]}")
        return json.loads(line)

    async def measure(self) -> dict[str, Any]:
        self.process.stdin.write(b"measure\n")
        return await self.answer()  # type: ignore[no-any-return]

    async def quiet(self) -> dict[str, Any]:
        """What it holds once all connections are gone; or after a while, if they do not go."""
        end = time.monotonic() + QUIET_SECONDS
        held = await self.measure()
        while (held["connections"] or held["tasks"] > 1) and time.monotonic() < end:
            await asyncio.sleep(0.1)
            held = await self.measure()
        return held

    async def stop(self) -> list[str]:
        """End it; what was wrong about that."""
        self.process.stdin.write(b"stop\n")
        try:
            async with asyncio.timeout(30):
                status = await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return ["the server did not end"]
        errors = (await self.errors).decode(errors="replace")
        return [f"the server ended with {status}"] * bool(status) + [f"the server said: {errors[-2000:]}"] * bool(errors)


async def round_of(town: Town, server: Server, name: str, seconds: float, proxies: dict[str, int], show: Show, scale: float) -> None:
    """So many seconds of everybody at once."""
    town.over.clear()
    town.said.clear()
    ports, end = town.ports, asyncio.get_running_loop().create_future()
    members = [
        asyncio.ensure_future(listen(town, f"{name}-member{i}", ports["chats" if i == 5 else "chat"], ROOMS[i % 3], tls=i == 5, end=end))
        for i in range(6)
    ]
    people = [
        *[browse(town, f"{name}-browser{i}", ports["http"]) for i in range(4)],
        *[browse(town, f"{name}-secure{i}", ports["https"], tls=True) for i in range(2)],
        *[browse(town, f"{name}-guarded{i}", ports["guarded"], rough=True) for i in range(1)],  # may be held back, or idle for too long
        *[browse(town, f"{name}-rough{i}", proxies["http"], rough=True) for i in range(3)],
        *[browse(town, f"{name}-roughsecure{i}", proxies["https"], rough=True, tls=True) for i in range(2)],
        *[speak(town, f"{name}-speaker{i}", ports["chat"], ROOMS[i % 3]) for i in range(3)],
        speak(town, f"{name}-securespeaker", ports["chats"], ROOMS[0], tls=True),
        *[speak(town, f"{name}-roughspeaker{i}", proxies["chat"], ROOMS[i % 3], rough=True) for i in range(2)],
        *[call_out(town, f"{name}-caller{i}", ports["udp"]) for i in range(2)],
        *[misbehave(town, f"{name}-rogue{i}") for i in range(round(10 * scale))],
        crowd(town, f"{name}-crowd", max(3.0, seconds / 8)),
    ]
    tasks = [asyncio.ensure_future(person) for person in people]
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        show(name, left, town)
        await asyncio.wait(tasks, timeout=min(1.0, left), return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done() and task.exception() is not None:
                raise RuntimeError("the soak itself has a fault") from task.exception()
        if server.process.returncode is not None:
            town.fault("the server died")
            break
    town.over.set()
    show(f"{name}: going home", 0.0, town)
    await asyncio.gather(*tasks)
    if server.process.returncode is None:
        end.set_result((await server.measure())["rooms"])
    else:
        end.set_result(dict.fromkeys(ROOMS, 0))
    await asyncio.gather(*members)


def grown(before: dict[str, Any], after: dict[str, Any], limits: dict[str, int]) -> list[str]:
    return [
        f"{name}: {before[name]:,} before, {after[name]:,} after" for name, limit in limits.items() if after[name] - before[name] > limit
    ]


async def campaign(seconds: float, seed: int, show: Show) -> tuple[list[str], list[dict[str, Any]], Town]:
    """All of it: the faults, what the server held (base, after the warm-up, after each round), and the numbers."""
    server, ports = await Server.start()
    town = Town(ports, seed)
    town.counts["limit"] = DESCRIPTORS
    town.tls = client_context()
    town.tls.minimum_version = ssl.TLSVersion.TLSv1_2
    proxies = {name: Proxy(ports[name], town.rng(f"weather {name}")) for name in ("http", "https", "chat")}
    try:
        held = [await server.measure()]
        gates = {name: await proxy.open() for name, proxy in proxies.items()}
        for name, share in (("warm-up", 0.2), ("round-1", 0.4), ("round-2", 0.4)):
            await round_of(town, server, name, seconds * share, gates, show, min(1.0, 0.5 + seconds / 60))
            held.append(await server.quiet())
        for name, after in zip(("the warm-up", "round 1", "round 2"), held[1:], strict=True):
            town.faults += [
                f"after {name}, {fault}" for fault in grown(held[0], after, {"tasks": 0, "descriptors": 0, "threads": 0, "connections": 0})
            ]
        limits = {"heap": MORE_HEAP, "blocks": MORE_BLOCKS, "objects": MORE_OBJECTS, "resident": MORE_RESIDENT}
        town.faults += [f"round 2 as against round 1, {fault}" for fault in grown(held[2], held[3], limits)]
        town.faults += [f"reported: {report}" for report in held[-1]["reports"][:20]]
    finally:
        for proxy in proxies.values():
            await proxy.close()
        town.faults += await server.stop()
    for proxy in proxies.values():
        for what, count in proxy.counts.items():
            town.counts[f"weather: {what}"] += count
    return town.faults, held, town
