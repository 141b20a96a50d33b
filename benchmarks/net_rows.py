"""The network rows: an echo server under the load of the C client, each on a CPU of its own where there are two."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.children import Child, MeasureError, read_object
from benchmarks.clocks import pace, waited
from benchmarks.loops import LIMIT
from benchmarks.usertime import UserTime

if TYPE_CHECKING:
    from benchmarks.native import Native

CONNECTIONS = 100
SIZE = 1024


@dataclass(frozen=True)
class NetSettings:
    """How long the load lasts, and on which CPUs server and client are kept (None: free)."""

    warm_ms: int
    window_ms: int
    server_cpu: int | None
    client_cpu: int | None


def two_cpus() -> tuple[int | None, int | None]:
    """A CPU for the server and another one for the client, or none at all."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) >= 2 else (None, None)


def server_command(native: Native, mode: str, contestant: str) -> list[str]:
    """How the server of a contestant is started."""
    if contestant == LIMIT:
        return [native.path("echo_server")]
    return [sys.executable, "-m", "benchmarks.net_server", mode, contestant]


def measure(native: Native, mode: str, contestant: str, settings: NetSettings) -> dict[str, float]:
    """One server under load for one window: figures per request. Raises `MeasureError`."""
    load = native.path("load")
    before = pace()
    with Child(server_command(native, mode, contestant), settings.server_cpu) as server:
        port = read_object(server.line(20))["port"]
        arguments = [str(part) for part in (port, CONNECTIONS, SIZE, settings.warm_ms, settings.window_ms)]
        with Child([load, *arguments], settings.client_cpu) as client:
            try:
                figures = window(server, client, 20 + settings.window_ms / 1000)
            except MeasureError as error:
                # What the client saw, and what the server had to say about it.
                raise MeasureError("; server: ".join(part for part in (str(error), server.last_words()) if part)) from None
    return figures | {"pace": max(before, pace())}


def window(server: Child, client: Child, patience: float) -> dict[str, float]:
    """From the client's begin to its end: what the server used meanwhile. Raises `MeasureError`."""
    client.line(patience)  # "begin"
    user_time = UserTime(server.process.pid)
    try:
        user_time.begin()
        first, lack = server.ask(), waited(server.process.pid) + waited(client.process.pid)
        word, _, text = client.line(patience).partition(" ")
        second, lacked = server.ask(), waited(server.process.pid) + waited(client.process.pid) - lack
        user_time.end()
        sampled = user_time.seconds()
    finally:
        user_time.close()
    if word != "end":
        raise MeasureError(f"the client said {word!r} where its result was due")
    seen = read_object(text)
    return per_request(first, second, seen, sampled) | {"waited": lacked / seen["seconds"]}


def per_request(first: dict[str, float], second: dict[str, float], client: dict[str, float], sampled: float | None) -> dict[str, float]:
    """Both windows as rates, since the server's begins and ends a moment apart from the client's."""
    seconds = second["at"] - first["at"]
    rps = client["requests"] / client["seconds"]
    requests = rps * seconds
    if requests < 1:
        raise MeasureError("not one request was answered in the window")
    total = second["user"] + second["system"] - first["user"] - first["system"]
    ticks = second["user"] - first["user"]
    user = ticks if sampled is None else min(sampled, total)
    return {
        "rps": rps,
        "capacity": requests / max(total, 1e-9),
        "user_us": user / requests * 1e6,
        "system_us": (total - user) / requests * 1e6,
        "p50_us": client["p50_us"],
        "p99_us": client["p99_us"],
        "server_busy": total / seconds,
        "client_busy": client["cpu"] / client["seconds"],
        "user_by_ticks_us": ticks / requests * 1e6,
        "requests": client["requests"],
        "sampled": 0.0 if sampled is None else 1.0,
    }
