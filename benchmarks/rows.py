"""The catalogue: every row that can be measured, and the target it has."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from benchmarks.loops import GOAL, LIMIT, OURS, OWN


@dataclass(frozen=True)
class Metric:
    """One measured quantity."""

    key: str
    title: str
    unit: str
    less_is_better: bool = True
    digits: int = 0

    @property
    def is_size(self) -> bool:
        """Whether it says how large something is, and not how fast."""
        return self.unit in ("bytes", "KB", "MB", "files")


NS = Metric("ns", "time per operation", "ns")
RPS = Metric("rps", "requests per second", "req/s", less_is_better=False)
CAPACITY = Metric("capacity", "requests per second of server CPU", "req/s", less_is_better=False)
USER = Metric("user_us", "user CPU per request", "us", digits=2)
BYTES = Metric("bytes", "memory each", "bytes")
MS = Metric("ms", "time per operation", "ms", digits=2)
US = Metric("us", "time per operation", "us", digits=1)
SECONDS = Metric("seconds", "time for all", "s", digits=2)
A_SECOND = Metric("per_s", "operations per second", "a second", less_is_better=False)
SIZE = Metric("mb", "size", "MB", digits=2)
FILES = Metric("files", "files", "files")
MB = Metric("mb_s", "bytes moved", "MB/s", less_is_better=False)


@dataclass(frozen=True)
class Target:
    """What cede has to reach in a row: its metric, as a ratio to somebody else's, at most (or at least) `bound`.

    Against `GOAL` the bound is a figure in the metric's own unit, and the ratio has to be at most 1.
    """

    metric: Metric
    against: str
    """``best`` (of the peers), a contestant by name, or `GOAL`."""
    bound: float
    contestants: tuple[str, ...] = (OURS, OWN)

    def met(self, ratio: float) -> bool:
        """Whether a ratio ours/theirs reaches the target."""
        bound = 1.0 if self.against == GOAL else self.bound
        return ratio <= bound if self.metric.less_is_better else ratio >= bound

    @property
    def text(self) -> str:
        """Such as ``<= 0.5x best peer``."""
        sign = "<=" if self.metric.less_is_better else ">="
        if self.against == GOAL:
            return f"{sign} {self.bound:g} {self.metric.unit}"
        return f"{sign} {self.bound:g}x {'best peer' if self.against == 'best' else self.against}"


@dataclass(frozen=True)
class Row:
    """One thing that is measured on every loop."""

    key: str
    kind: str
    """``task``, ``work``, ``net``, ``http``, ``memory`` or ``install``."""
    title: str
    metric: Metric
    own: bool = False
    """Whether cede is measured a second time through its own functions."""
    targets: tuple[Target, ...] = ()
    rounds: int | None = None
    """At most so many, where one takes long and hardly varies."""
    bare: bool = False
    """Whether the same work is measured without a loop too."""
    needs: tuple[str, ...] = ()
    """Modules without which it is left out."""
    on_demand: bool = False
    """Whether it is measured only where somebody names it: it takes minutes."""

    def pure_targets(self) -> tuple[Target, ...]:
        """What an uncompiled cede has to reach: no slower than asyncio's own loop."""
        if self.kind in ("memory", "http", "install"):
            return ()
        return (Target(self.metric, "asyncio", 1.0, (OWN,) if self.key.startswith("sync.") else (OURS,)),)


HALF = (Target(NS, "best", 0.5),)
FOUR_TENTHS = (Target(NS, "best", 0.4, (OWN,)),)
MOST = (Target(NS, "best", 0.8),)
FAR_LESS = (Target(NS, "best", 0.4, (OWN,)),)
NO_MORE = (Target(BYTES, "best", 1.0, (OURS,)),)


def beside_best(metric: Metric, bound: float) -> tuple[Target, ...]:
    """At most so many times the best peer's figure, or at least where more is better."""
    return (Target(metric, "best", bound, (OURS,)),)


def goal(metric: Metric, bound: float) -> tuple[Target, ...]:
    """At most so much, whatever peers take."""
    return (Target(metric, GOAL, bound, (OURS,)),)


ROWS = (
    Row("task.sleep0", "task", "`sleep(0)`, one task", NS, True, HALF),
    Row("task.sleep0-connected", "task", "`sleep(0)`, one task, one idle connection on the loop", NS, True, HALF),
    Row("task.sleep0-100", "task", "`sleep(0)`, 100 tasks in turn", NS, True, HALF),
    Row("task.create", "task", "`create_task` and await it", NS, True, HALF),
    Row("task.future", "task", "future set by a callback, awaited", NS, False, HALF),
    Row("task.call-soon", "task", "`call_soon` chain", NS, False, MOST),
    Row("task.call-later-cancel", "task", "`call_later` and cancel", NS, False, MOST),
    Row("task.timers", "task", "`call_at`, 1,000 due timers that fire", NS, False, MOST),
    Row("task.gather-10", "task", "`gather` of 10 coroutines, per gather", NS, True),
    Row("task.gather-1000", "task", "`gather` of 1,000 coroutines, per coroutine", NS),
    Row("task.queue", "task", "`asyncio.Queue`, item from one task to another", NS),
    Row("task.timeout", "task", "`asyncio.timeout` around a `sleep(0)`", NS),
    Row("task.gather-100000", "task", "`gather` of 100,000 coroutines, per coroutine", NS, True, FAR_LESS),
    Row("task.wait-for", "task", "`wait_for` of a coroutine that is ready", NS, True, FAR_LESS),
    Row("task.timeout-idle", "task", "`timeout()`, entered and left", NS, True, FAR_LESS),
    Row("task.group-10", "task", "`TaskGroup` of 10 tasks, per group", NS, True),
    Row("task.group-spawn", "task", "`TaskGroup`, 1,000 tasks, per task", NS, True, FAR_LESS),
    Row("task.deep-await", "task", "`sleep(0)` under 1,000 awaiting frames", NS),
    Row("work.subprocess", "work", "subprocess: exec and wait", MS, targets=beside_best(MS, 0.8), bare=True),
    Row("work.literal", "work", "`getaddrinfo` of a literal", US, targets=beside_best(US, 1.0)),
    Row("work.localhost", "work", "`getaddrinfo(\"localhost\")`", US, targets=beside_best(US, 0.7)),
    Row("work.to-thread", "work", "`to_thread` of nothing", US, targets=beside_best(US, 0.5)),
    Row("work.to-process", "work", "`to_process` of nothing (elsewhere: `ProcessPoolExecutor`)", US, True),
    Row("work.threadsafe", "work", "`call_soon_threadsafe` from another thread", NS, targets=beside_best(NS, 0.8)),
    Row("work.connect", "work", "connect, echo, close over streams", US, True, beside_best(US, 0.8), bare=True),
    Row("work.sleepers", "work", "200,000 sleeping tasks (1.5 s is ideal)", SECONDS, True, beside_best(SECONDS, 0.75), rounds=3),
    Row("move.udp-1", "work", "UDP echo, 1 in flight: datagrams", A_SECOND, targets=beside_best(A_SECOND, 1.2), bare=True),
    Row("move.udp-64", "work", "UDP echo, 64 in flight: datagrams", A_SECOND, targets=beside_best(A_SECOND, 1.2)),
    Row("move.sendfile", "work", "`sendfile` of 8 MiB", MB, targets=beside_best(MB, 1.2), bare=True),
    Row(
        "move.writelines",
        "work",
        "`writelines` of 100 buffers of 100 bytes: calls",
        A_SECOND,
        True,
        targets=beside_best(A_SECOND, 1.2),
        bare=True,
    ),
    Row("tls.stream", "work", "TLS stream, both ends on one loop, 64 KiB writes", MB, True, targets=beside_best(MB, 1.5), bare=True),
    Row("tls.requests", "work", "TLS requests of 1 KiB", A_SECOND, True, targets=beside_best(A_SECOND, 1.5), bare=True),
    Row("tls.handshake", "work", "TLS handshake and close", MS, True, targets=beside_best(MS, 0.8), bare=True),
    # Without cede's own primitives: asyncio's on its loop.
    Row("sync.queue", "task", "`Queue(1)`, item from one task to another", NS, True, FOUR_TENTHS),
    Row("sync.queue-free", "task", "`Queue`, put and get without a wait", NS, True, FOUR_TENTHS),
    Row("sync.lock", "task", "`async with` a free lock", NS, True, FOUR_TENTHS),
    Row("sync.lock-contended", "task", "lock that ten tasks pass on", NS, True, FOUR_TENTHS),
    Row("sync.event", "task", "two events, there and back", NS, True, FOUR_TENTHS),
    Row("sync.semaphore", "task", "`async with` a free semaphore", NS, True, FOUR_TENTHS),
    Row("sync.condition", "task", "two tasks in turn by one condition", NS, True, FOUR_TENTHS),
    Row("sync.channel", "task", "channel of 100 places (elsewhere: queue)", NS, True, FOUR_TENTHS),
    Row("sync.thread-channel", "task", "item from a thread to a task, by a thread channel (elsewhere: queue)", NS, True, FOUR_TENTHS),
    Row(
        "net.protocol",
        "net",
        "`Protocol`",
        RPS,
        targets=(
            Target(RPS, LIMIT, 0.95, (OURS,)),
            Target(CAPACITY, LIMIT, 0.95, (OURS,)),
            Target(USER, "best", 1.0, (OURS,)),
        ),
    ),
    Row("net.buffered", "net", "`BufferedProtocol`", RPS),
    Row("net.streams", "net", "streams", RPS, True, (Target(USER, "best", 0.5, (OWN,)),)),
    Row("net.sock", "net", "`sock_recv`, `sock_sendall`", RPS, targets=(Target(USER, "best", 0.5, (OURS,)),)),
    Row(
        "http.gather",
        "http",
        "Starlette and uvicorn, ten tasks gathered under a time limit",
        RPS,
        True,
        targets=(Target(CAPACITY, "best", 1.0),),
        needs=("uvicorn", "starlette"),
    ),
    Row("http.uvicorn", "http", "hello, Starlette and uvicorn", RPS, True, targets=beside_best(RPS, 1.0), needs=("uvicorn", "starlette")),
    Row("http.aiohttp", "http", "hello, aiohttp", RPS, True, targets=beside_best(RPS, 1.0), needs=("aiohttp",)),
    Row("memory.connection", "memory", "idle server connection, `Protocol`", BYTES, targets=NO_MORE),
    Row("memory.stream", "memory", "idle server connection, streams", BYTES, True, NO_MORE),
    Row("memory.tls", "memory", "idle TLS server connection, `Protocol`", BYTES, targets=beside_best(BYTES, 0.5), bare=True),
    Row("memory.task", "memory", "task waiting for a future of its own", BYTES, targets=NO_MORE),
    Row("install.import", "install", "`import`, where asyncio is imported already", MS, targets=goal(MS, 10)),
    Row("install.import-memory", "install", "memory of that `import`", SIZE, targets=goal(SIZE, 3)),
    Row("install.hello", "install", "process that runs one `sleep(0)`: CPU", MS),
    Row("install.wheel", "install", "wheel", SIZE, targets=goal(SIZE, 2), rounds=1),
    Row("install.objects", "install", "shared objects", FILES, rounds=1),
    Row("install.rebuild", "install", "build after a change of one file", SECONDS, targets=goal(SECONDS, 20), rounds=1, on_demand=True),
)


def choose(globs: list[str]) -> tuple[Row, ...]:
    """The rows whose key matches any of the globs, or all; those that take minutes have to be spelt out.

    Raises ``ValueError`` for a glob that matches no row.
    """
    for glob in globs:
        if not any(fnmatch.fnmatchcase(row.key, glob) for row in ROWS):
            known = ", ".join(row.key for row in ROWS)
            raise ValueError(f"--rows {glob}: no such row. The rows are {known}")

    def named(row: Row) -> bool:
        if row.on_demand:
            return row.key in globs
        return not globs or any(fnmatch.fnmatchcase(row.key, glob) for glob in globs)

    return tuple(row for row in ROWS if named(row))
