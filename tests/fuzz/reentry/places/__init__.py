"""Where user code runs. Each function here makes one place, for a script; what it makes is used by the pump, each turn."""

from __future__ import annotations

from typing import Any

from .awaited import awaitable, generator, primitives
from .callbacks import crowd, done, post, soon, task, timer
from .connections import datagrams, pipe, process, server, stream, streams, tls, watched
from .faults import crashes, errs, hangs, loses
from .lifetimes import collector, dropped_full, finalizer, weak

PLACES: dict[str, tuple[Any, float]] = {
    "soon": (soon, 2),
    "timer": (timer, 2),
    "post": (post, 1),
    "done": (done, 2),
    "crowd": (crowd, 1),
    "dropped_full": (dropped_full, 1),
    "task": (task, 3),
    "finalizer": (finalizer, 3),
    "weak": (weak, 1),
    "stream": (stream, 4),
    "tls": (tls, 2),
    "datagrams": (datagrams, 2),
    "pipe": (pipe, 1),
    "server": (server, 1),
    "process": (process, 0.3),
    "watched": (watched, 2),
    "awaitable": (awaitable, 3),
    "primitives": (primitives, 3),
    "generator": (generator, 2),
    "streams": (streams, 2),
    "collector": (collector, 0.4),
}

# Which no program is drawn with.
PLACES |= {"crashes": (crashes, 0), "hangs": (hangs, 0), "loses": (loses, 0), "errs": (errs, 0)}
