"""Where a program of the fuzzer is played: connections, servers and pipes whose both ends are ours, and the steps that are taken with them.

A program is plain data (see `programs`): every step fits every moment, because what it names is counted modulo what is there.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import os
import socket
import ssl
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.certificates import client_context, server_context

from .observed import LARGEST, PATTERN, PERIOD, Datagrams, Line, Planned, make_protocol

Step = tuple[Any, ...]
Quirks = dict[str, Any]

HANDSHAKE_SECONDS = 5.0
SHUTDOWN_SECONDS = 0.1
END_SECONDS = 15.0  # for what nothing but the program's own timers can hold up
EXPECTED = (OSError, Planned, ssl.SSLError, asyncio.CancelledError)

# A connection that comes in while the server closes is dropped on the floor by asyncio's before 3.13.
ASYNCIO_MAY_REPORT = "'NoneType' object has no attribute 'pause_writing'"  # a TLS connection that was given up while it was made
ASYNCIO_MAY_WITH_SERVERS = ["unclosed", "AssertionError", "descriptors left"]


class Stage:
    """One program on one loop."""

    def __init__(self, loop: Any, ours: bool) -> None:
        self.loop = loop
        self.ours = ours
        self.lines: list[Line] = []
        self.pairs: list[tuple[Line, Line]] = []
        self.servers: list[tuple[Any, bool]] = []
        self.spawned: list[tuple[str, asyncio.Task[Any]]] = []
        self.files: list[Any] = []  # sockets and pipes that were given to the loop: it may have been kept from taking them
        self.by_address: dict[Any, Line] = {}
        self.datagrams: dict[Line, list[bytes]] = {}
        self.faults: list[str] = []
        self.calm = False  # at the end nobody misbehaves any more
        self.names = 0

    def wrong(self, what: str) -> None:
        if not self.ours and ASYNCIO_MAY_REPORT in what:
            return
        if not self.ours and self.servers and any(sentence in what for sentence in ASYNCIO_MAY_WITH_SERVERS):
            return
        self.faults.append(what)

    def told(self, loop: Any, context: dict[str, Any]) -> None:
        """The exception handler: only what was raised on purpose, or by the network, may come here."""
        error = context.get("exception")
        if not isinstance(error, (Planned, OSError)) and "empty buffer" not in str(error):
            self.wrong(f"reported: {context.get('message')!r}, {error!r}")

    # -- who is there

    def line(self, quirks: Quirks, **options: Any) -> Line:
        self.names += 1
        return Line(self, f"line{self.names}", quirks, **options)

    def protocol(self, line: Line, kind: int) -> Any:
        line.protocol = made = make_protocol(line, kind)
        return made

    def pair(self, quirks: tuple[Quirks, Quirks]) -> tuple[Line, Line]:
        one, other = self.line(quirks[0]), self.line(quirks[1])
        one.peer, other.peer = other, one
        self.pairs.append((one, other))
        return one, other

    def spawn(self, what: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.spawned.append((what, self.loop.create_task(coroutine)))

    def introduce(self, line: Line, address: Any, client: bool) -> None:
        """The two ends of a connection through a server find each other by the client's address."""
        other = self.by_address.pop(address, None)
        if other is None:
            self.by_address[address] = line
        else:
            line.peer, other.peer = other, line
            self.pairs.append((line, other) if client else (other, line))

    # -- steps

    async def take(self, step: Step) -> None:
        await getattr(self, "step_" + step[0])(*step[1:])

    async def step_turn(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def step_act(self, number: int, what: str, size: int) -> None:
        if self.lines:
            line = self.lines[number % len(self.lines)]
            if what != "swap" or line.made:
                line.act(what, size)

    async def step_open(self, how: str, kinds: tuple[int, int], quirks: tuple[Quirks, Quirks], narrow: bool) -> None:
        if how == "pipe":
            await self.open_pipe(kinds, quirks)
            return
        if how in ("udp", "unix datagrams"):
            if not self.ours:
                how = "udp"  # asyncio cannot send over a Unix socket whose peer has no name
            self.open_datagrams(how, quirks)
            return
        ends = socket.socketpair()
        self.files += ends
        for end in ends:
            end.setblocking(False)
            if narrow:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        near, far = self.pair(quirks)
        options: Any = ({}, {})
        if how == "tls":
            near.tls = far.tls = True
            times = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": SHUTDOWN_SECONDS}
            options = ({"ssl": contexts()[0], "server_hostname": "localhost", **times}, {"ssl": contexts()[1], **times})
        connect, accept = self.loop.create_connection, self.loop.connect_accepted_socket
        self.spawn("connect", connect(lambda: self.protocol(near, kinds[0]), sock=ends[0], **options[0]))
        self.spawn("accept", accept(lambda: self.protocol(far, kinds[1]), ends[1], **options[1]))

    async def open_pipe(self, kinds: tuple[int, int], quirks: tuple[Quirks, Quirks]) -> None:
        reader, writer = (os.fdopen(number, mode, 0) for number, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
        self.files += (reader, writer)
        near = self.line(quirks[0], receives=False)
        far = self.line(quirks[1], sends=False)
        near.peer, far.peer = far, near
        self.spawn("write pipe", self.loop.connect_write_pipe(lambda: self.protocol(near, 0), writer))
        self.spawn("read pipe", self.loop.connect_read_pipe(lambda: self.protocol(far, 0), reader))

    def open_datagrams(self, how: str, quirks: tuple[Quirks, Quirks]) -> None:
        if how == "udp":
            ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
            for end in ends:
                end.bind(("127.0.0.1", 0))
            ends[0].connect(ends[1].getsockname())
            ends[1].connect(ends[0].getsockname())
        else:
            ends = list(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.files += ends
        near, far = self.line(quirks[0]), self.line(quirks[1])
        near.peer, far.peer = far, near
        for line, end in ((near, ends[0]), (far, ends[1])):
            end.setblocking(False)
            self.datagrams[line] = []
            line.protocol = Datagrams(line)
            self.spawn("datagrams", self.loop.create_datagram_endpoint(lambda line=line: line.protocol, sock=end))

    def act_on_datagrams(self, line: Line, what: str, size: int) -> None:
        transport = line.transport
        try:
            if what in ("write", "writelines"):
                sent = self.datagrams[line]
                # Each is different from all others: its number comes first.
                data = len(sent).to_bytes(4, "big") + PATTERN[: size % 9000]
                sent.append(data)
                transport.sendto(data)
            elif what == "limits":
                transport.set_write_buffer_limits(high=size)
            elif what == "ask":
                transport.get_extra_info("peername")
                transport.get_write_buffer_size()
                repr(transport)
            elif what in ("close", "abort"):
                line.closed = True
                getattr(transport, what)()
        except Exception as error:
            line.wrong(f"{what} raised {error!r}")

    async def step_send_file(self, number: int, size: int, real: bool) -> None:
        """A file from a line to its peer, in memory or on a disk."""
        if not self.lines or not self.ours:  # what arrives meanwhile ends a connection of asyncio's, where reading was resumed
            return
        line = self.lines[number % len(self.lines)]
        ready = line.made and line.sends and line.receives and line not in self.datagrams and not (line.upgrading or line.sending_file)
        if not ready or line.lost or line.transport.is_closing() or "eof" in line.acts or not size:
            return
        place = (line.shift + line.written) % PERIOD
        data = PATTERN[place : place + min(size, LARGEST)]
        file: Any = tempfile.TemporaryFile() if real else io.BytesIO()  # noqa: SIM115 (closed with all files)
        file.write(data)
        file.flush()
        self.files.append(file)
        line.written += len(data)
        line.sending_file = True
        self.spawn("sendfile", self.send_file(line, file, len(data)))

    async def send_file(self, line: Line, file: Any, size: int) -> None:
        count = -1
        try:
            count = await self.loop.sendfile(line.transport, file)
        except RuntimeError as error:
            if "closing" not in str(error) and "closed" not in str(error):
                raise
        finally:
            line.sending_file = False
            if count < 0:
                line.act("abort")  # nobody knows how much of it is there
        if count not in (-1, size):
            self.wrong(f"{line.name}: sendfile() says {count} of {size}")
        elif count == size and not line.transport.is_closing():
            line.promised = line.written

    async def step_upgrade(self, number: int) -> None:
        """start_tls on both ends of a quiet connection."""
        quiet = [pair for pair in self.pairs if all(map(self.is_quiet, pair))]
        if not quiet:
            return
        near, far = quiet[number % len(quiet)]
        for line, context in ((near, contexts()[0]), (far, contexts()[1])):
            line.upgrading = True
            self.spawn("start_tls", self.upgrade(line, context, line is far))

    def is_quiet(self, line: Line) -> bool:
        peer = line.peer
        gone = line.lost or line.closed or line.eof
        ready = line.made and not (gone or line.upgrading or line.sending_file or line.tls or line.reading_paused)
        if not ready or peer is None or peer.received < line.written or line.transport.is_closing():
            return False
        return line.sends and line.receives and "eof" not in line.counts and not getattr(line.transport, "_eof", False)

    async def upgrade(self, line: Line, context: ssl.SSLContext, server_side: bool) -> None:
        transport = None
        try:
            transport = await self.loop.start_tls(
                line.transport,
                line.protocol,
                context,
                server_side=server_side,
                server_hostname=None if server_side else "localhost",
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        finally:
            line.upgrading = False
            line.tls = True
            if transport is None:
                line.upgrade_failed = line.closed = True
            else:
                line.transport = transport

    # -- servers

    async def step_serve(self, kinds: tuple[int, int], quirks: Quirks, tls: bool, start: bool, most: int | None) -> None:
        calls = 0

        def factory() -> Any:
            nonlocal calls
            calls += 1
            if quirks.get("factory") == calls and not self.calm:
                raise Planned("factory")
            line = self.line(quirks)
            line.tls = tls
            line.accepted = True
            return self.protocol(line, kinds[calls % 2])

        options: dict[str, Any] = {"start_serving": start}
        if tls:
            options |= {"ssl": contexts()[1], "ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": SHUTDOWN_SECONDS}
        if self.ours and most is not None:
            options["max_connections"] = most
        server = await self.loop.create_server(factory, "127.0.0.1", 0, **options)
        self.servers.append((server, tls))

    async def step_dial(self, number: int, kind: int, quirks: Quirks) -> None:
        if not self.servers:
            return
        server, tls = self.servers[number % len(self.servers)]
        if not server.sockets:
            return
        line = self.line(quirks)
        line.tls, line.dialled = tls, True
        options: dict[str, Any] = {}
        if tls:
            options = {
                "ssl": contexts()[0],
                "server_hostname": "localhost",
                "ssl_handshake_timeout": HANDSHAKE_SECONDS,
                "ssl_shutdown_timeout": SHUTDOWN_SECONDS,
            }
        address = server.sockets[0].getsockname()
        self.spawn("dial", self.loop.create_connection(lambda: self.protocol(line, kind), *address, **options))

    async def step_server(self, number: int, what: str) -> None:
        if not self.servers:
            return
        server, _ = self.servers[number % len(self.servers)]
        if what in ("close_clients", "abort_clients"):
            if not hasattr(server, what):
                return  # asyncio has them since 3.13
            for line in self.lines:
                if line.accepted and line.transport is not None and getattr(server, "_clients", ()):
                    # Whose connection it is does not matter: to suppose the worst only makes the model milder.
                    line.closed = True
                    line.aborted = line.aborted or what == "abort_clients"
        if what == "start_serving" and not server.sockets:
            return
        if what in ("start_serving", "wait_closed"):
            self.spawn(f"{what}", getattr(server, what)())
        else:
            getattr(server, what)()

    async def step_cancel(self, number: int) -> None:
        if self.spawned:
            await asyncio.sleep(0)  # what was never begun would be none of the loop's business
            self.spawned[number % len(self.spawned)][1].cancel()

    # -- the end

    async def finish(self) -> None:
        """Everybody behaves now: what is under way arrives, one end closes, then the other; what is stuck with reason is aborted."""
        self.calm = True
        for line in self.lines:
            if line.transport is not None and line.reading_paused:
                line.act("resume")
        openings = [task for what, task in self.spawned if what != "wait_closed"]
        if openings:
            _, pending = await asyncio.wait(openings, timeout=END_SECONDS)
            if pending:
                self.wrong(f"never ended: {[what for what, task in self.spawned if task in pending]}")
        await self.settle()
        for server, _ in self.servers:
            server.close()
        for number in (0, 1):
            await self.settle()
            for line in [*self.lines]:
                if line.transport is not None and not line.lost and self.lines.index(line) % 2 == number:
                    line.act("resume")
                    line.act("close")
        await self.until(lambda: all(line.lost or line.stuck() or not line.made or line.upgrade_failed for line in self.lines))
        for line in self.lines:
            if line.made and not line.lost:
                if not line.stuck() and not line.upgrade_failed:
                    line.wrong("closed, and never lost")
                line.act("abort")
        await self.until(lambda: all(line.lost or not line.made or line.upgrade_failed for line in self.lines))
        waiting = [task for _, task in self.spawned]
        if waiting:
            _, pending = await asyncio.wait(waiting, timeout=END_SECONDS)
            if pending:
                self.wrong(f"never ended: {[what for what, task in self.spawned if task in pending]}")
        for what, task in self.spawned:
            if task.done() and not task.cancelled():
                error = task.exception()
                if error is not None and not isinstance(error, EXPECTED) and what != "start_serving":  # of a server closed meanwhile
                    self.wrong(f"{what} raised {error!r}")
        for line in self.lines:
            line.verdict()

    async def until(self, condition: Callable[[], bool]) -> None:
        end = self.loop.time() + END_SECONDS
        while not condition() and self.loop.time() < end:
            await self.step_turn(5)
            if not condition():
                await asyncio.sleep(0.002)

    async def settle(self) -> None:
        """Until nothing has come for some turns."""
        before, quiet = -1, 0
        while quiet < 8:
            await self.step_turn(3)
            now = sum(line.received + len(line.log) for line in self.lines)
            quiet, before = (quiet + 1 if now == before else 0), now


_contexts: list[Any] = []


def contexts() -> tuple[Any, Any]:
    """The client's and the server's, made once."""
    if not _contexts:
        _contexts.extend((client_context(), server_context()))
    return _contexts[0], _contexts[1]


def descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
    return found


@contextmanager
def watch_for_the_unraisable(stage: Stage) -> Iterator[None]:
    """What an object complains of when it goes is a fault too."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda what: stage.wrong(f"unraisable: {what.exc_value!r} in {what.object!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            yield
    finally:
        sys.unraisablehook = before


def play(new_loop: Callable[[], Any], ours: bool, debug: bool, steps: list[Step]) -> list[str]:
    """Play the program on a new loop; everything that was wrong."""
    contexts()
    before = descriptors()
    threads = threading.active_count()
    loop = new_loop()
    stage = Stage(loop, ours)
    loop.set_exception_handler(stage.told)
    loop.set_debug(debug)

    async def main() -> None:
        for step in steps:
            await stage.take(step)
        await stage.finish()
        await loop.shutdown_default_executor()  # a file that the system cannot send is read by a thread

    with watch_for_the_unraisable(stage):
        try:
            loop.run_until_complete(main())
            left = asyncio.all_tasks(loop)
            if left:
                stage.wrong(f"tasks left: {left}")
        finally:
            loop.close()
        for file in stage.files:
            file.close()
        if not ours:
            gc.collect()  # asyncio leaves cycles, and what is in them open
        left_open = descriptors() - before
        if left_open:
            stage.wrong(f"descriptors left: {sorted(left_open)}")
        if threading.active_count() > threads:
            stage.wrong("threads left")
    return stage.faults
