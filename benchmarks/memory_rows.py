"""The memory rows: what an idle connection and a waiting task add to a process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.children import Child, MeasureError, read_object, run_json
from benchmarks.clocks import raise_descriptor_limit

if TYPE_CHECKING:
    from benchmarks.native import Native

SIZE = 1024
FIRST = 64
"""Connections opened before the counting starts, so that one-time allocations are not counted."""


def connections_allowed(wanted: int) -> int:
    """As many of the wanted connections as the limit of open files leaves room for."""
    return max(min(wanted, raise_descriptor_limit() - 256), FIRST)


def connection(native: Native, mode: str, contestant: str, count: int) -> dict[str, float]:
    """Bytes that each of `count` idle connections adds to the server process. Raises `MeasureError`."""
    with Child([sys.executable, "-m", "benchmarks.net_server", mode, contestant]) as server:
        port = read_object(server.line(20))["port"]
        with Child([native.path("hold"), str(port), str(FIRST), str(SIZE)]) as few:
            few.line(20)
            before = server.ask()["rss"]
            with Child([native.path("hold"), str(port), str(count), str(SIZE)]) as many:
                many.line(60)
                after = server.ask()["rss"]
    return {"bytes": (after - before) / count, "count": count}


def tls_connection(contestant: str, count: int) -> dict[str, float]:
    """As `connection`, each with TLS. Raises `MeasureError`."""
    hold = [sys.executable, "-m", "benchmarks.tls_hold"]
    with Child([sys.executable, "-m", "benchmarks.net_server", "tls", contestant]) as server:
        port = read_object(server.line(20))["port"]
        with Child([*hold, str(port), str(FIRST), str(SIZE)]) as few:
            few.line(20)
            before = server.ask()["rss"]
            with Child([*hold, str(port), str(count), str(SIZE)]) as many:
                many.line(60)
                after = server.ask()["rss"]
    return {"bytes": (after - before) / count, "count": count}


def waiting_task(contestant: str, count: int) -> dict[str, float]:
    """Bytes that each of `count` waiting tasks adds to a process. Raises `MeasureError`."""
    figures = run_json("benchmarks.memory_worker", [contestant, str(count)], 60)
    if not isinstance(figures.get("bytes"), float):
        raise MeasureError("the worker gave no figure")
    return figures
