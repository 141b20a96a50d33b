"""What the program does to a transport while that sends, receives or encrypts: by a socket of its own make, by a callback of OpenSSL, or by
a finalizer that the collector runs on another thread. Afterwards the transport looks at everything anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context
from tests.support.scripts import run_script

Action = Callable[[Any], Any]


class Listener(asyncio.Protocol):
    """Counts what it is told, and keeps what it gets."""

    def __init__(self) -> None:
        self.made = self.lost = 0
        self.got = bytearray()
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.made += 1

    def data_received(self, data: bytes) -> None:
        assert not self.lost
        self.got += data

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost += 1
        self.ended.set_result(error)


def turn(transport: Any) -> None:
    """A turn by hand, as nest_asyncio and debuggers take them."""
    loop = transport._loop
    if loop is not None:
        loop.call_soon(len, "")  # or it would sleep until something happens
        loop._run_once()


ACTIONS: dict[str, Action] = {
    "abort": lambda transport: transport.abort(),
    "close": lambda transport: transport.close(),
    "write": lambda transport: transport.write(b"more"),
    "writelines": lambda transport: transport.writelines([b"m", b"ore"]),
    "sizes": lambda transport: (transport.get_write_buffer_size(), transport.set_write_buffer_limits(high=0)),
    "pause": lambda transport: (transport.pause_reading(), transport.resume_reading()),
    "protocol": lambda transport: transport.set_protocol(transport.get_protocol()),
    "turn": turn,
    "abort and turn": lambda transport: (transport.abort(), turn(transport)),
    "close and turn": lambda transport: (transport.close(), turn(transport)),
    "empty what waits": lambda transport: getattr(transport, "_buffer", []).clear(),
}


class Meddler(socket.socket):
    """Runs `action` each time that something was sent."""

    action: Any = None

    def _meddle(self) -> None:
        action, self.action = self.action, None
        if action is not None:
            action()

    def send(self, *args: Any) -> int:
        taken = super().send(*args)
        self._meddle()
        return taken

    def sendmsg(self, *args: Any) -> int:
        taken = super().sendmsg(*args)
        self._meddle()
        return taken


def run(main: Callable[[], Any]) -> list[Any]:
    """Runs it on a loop whose reports are collected."""
    told: list[Any] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        await asyncio.wait_for(main(), 20)

    cede.run(whole())
    return told


PIECE = b"0123456789abcdef" * 4096  # 64 KiB
WAYS: dict[str, Callable[[Any], Any]] = {
    "write": lambda transport: transport.write(PIECE * 20),
    "a copy": lambda transport: transport.write(bytearray(PIECE * 20)),
    "writelines": lambda transport: transport.writelines([PIECE] * 20),
    "held": lambda transport: [transport.write(b"little") for _ in range(10)],
}


@pytest.mark.parametrize("later", [False, True], ids=["at once", "when there is room"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_stream_that_is_meddled_with_while_it_sends(action: str, way: str, later: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, there = socket.socketpair()
        here = Meddler(fileno=one.detach())
        here.setblocking(False)
        there.setblocking(False)
        transport, protocol = await loop.create_connection(Listener, sock=here)
        if way == "held":
            for _ in range(4):  # two steps make a habit
                transport.write(b"a")
                transport.write(b"b")
                await asyncio.sleep(0)
        if later:
            WAYS[way](transport)  # what follows waits behind it
        here.action = lambda: ACTIONS[action](transport)
        if not later:
            WAYS[way](transport)
        got = bytearray()
        for _ in range(300):
            await asyncio.sleep(0)
            try:
                got += there.recv(1 << 20)
            except BlockingIOError:
                pass
        transport.abort()
        await protocol.ended
        assert (protocol.made, protocol.lost) == (1, 1)
        there.close()
        clean = bytes(got).replace(b"more", b"")
        whole = (b"ab" * 4 + b"little" * 10) if way == "held" else PIECE * 20
        if action == "turn" or (action == "empty what waits"):
            return  # a turn inside of a send may send before the rest of what that began
        assert whole.startswith(clean), "bytes were lost, doubled or mixed up"

    run(main)


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.parametrize("action", ACTIONS)
def test_tls_that_is_meddled_with_by_what_openssl_calls(action: str, at: int) -> None:
    """OpenSSL tells of each message, in the middle of the handshake, of reading, of writing and of the end."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        calls = 0
        clients: list[Any] = []
        servers: list[Any] = []

        def told(*_: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == at:
                for transport in transports:
                    ACTIONS[action](transport)

        transports: list[Any] = []

        class Kept(Listener):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                transports.append(transport)

        def client() -> Kept:
            clients.append(Kept())
            return clients[-1]

        def serve() -> Kept:
            servers.append(Kept())
            return servers[-1]

        context = client_context()
        context._msg_callback = told  # type: ignore[attr-defined]
        server = await loop.create_server(serve, "127.0.0.1", 0, ssl=server_context())
        try:
            transport, protocol = await loop.create_connection(
                client, *server.sockets[0].getsockname(), ssl=context, server_hostname="localhost"
            )
        except OSError:
            assert calls >= at
        else:
            for _ in range(4):
                transport.write(PIECE)
                transport.writelines([b"a", b"b" * 20_000])
                for each in servers:
                    if transports and not each.lost:
                        transports[-1].write(b"x" * 40_000)
                for _ in range(10):
                    await asyncio.sleep(0)
            transport.close()
            await protocol.ended
        server.close()
        await server.wait_closed()
        for each in clients:
            assert each.made <= 1
            assert each.lost == each.made

    run(main)


def test_tls_with_a_protocol_that_runs_turns_by_hand() -> None:
    """What comes in such a turn comes behind the rest of the batch that the protocol is being told of: nothing is out of order."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        total = 40 * 3000
        sent = b"".join(b"%06d" % number for number in range(total // 6))
        turns = 0

        class Impatient(Listener):
            def data_received(self, data: bytes) -> None:
                nonlocal turns
                super().data_received(data)
                if turns < 200:
                    turns += 1
                    loop.call_soon(len, "")
                    loop._run_once()  # type: ignore[attr-defined]

        protocols: list[Impatient] = []

        def serve() -> Impatient:
            protocols.append(Impatient())
            return protocols[-1]

        server = await loop.create_server(serve, "127.0.0.1", 0, ssl=server_context())
        transport, protocol = await loop.create_connection(
            Listener, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
        )
        for start in range(0, total, 3000):
            transport.write(sent[start : start + 3000])
            if start % 9000 == 0:
                await asyncio.sleep(0)
        transport.close()
        await protocol.ended
        await protocols[0].ended
        assert bytes(protocols[0].got) == sent
        server.close()
        await server.wait_closed()

    assert run(main) == []


def test_more_arrived_than_there_is_room_for() -> None:
    """A transport underneath that is not ours may say anything."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        class Under(asyncio.Transport):
            def write(self, data: Any) -> None:
                pass

            def close(self) -> None:
                pass

            abort = close

        from cede.net.tls.lower_protocol import LowerProtocol
        from cede.net.tls.transport import TLSTransport

        transport = TLSTransport(loop, Listener(), client_context(), server_hostname="localhost")
        port = LowerProtocol(transport)
        port.connection_made(Under())
        assert len(port.get_buffer(-1)) > 0
        for count in (-1, 10**9, 2**40):
            with pytest.raises(ValueError):
                port.buffer_updated(count)
        transport.abort()
        port.connection_lost(None)

    assert run(main) == []


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("call", ["abort()", "close()", "write(b'x' * 70_000)", "writelines([b'x' * 70_000] * 3)"])
def test_finalizers_on_another_thread_while_much_is_sent(call: str, secure: bool) -> None:
    """A long send, and OpenSSL, work without the GIL: the collector of another thread runs what the program has there."""
    script = f"""
    import asyncio, gc, socket, sys, threading
    import cede
    from tests.support.certificates import client_context, server_context
    sys.setswitchinterval(1e-6)
    gc.disable()
    class Garbage:
        def __init__(self, transport):
            self.transport = transport
            self.me = self
        def __del__(self):
            self.transport.{call}
    go = threading.Semaphore(0)
    over = False
    def collect():
        while True:
            go.acquire()
            if over:
                return
            for _ in range(20):
                gc.collect(0)
    collector = threading.Thread(target=collect)
    collector.start()
    class Reads(asyncio.Protocol):
        pass
    async def main():
        global over
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        server = await loop.create_server(Reads, "127.0.0.1", 0, ssl=server_context() if {secure} else None)
        address = server.sockets[0].getsockname()
        for attempt in range(60):
            secured = dict(ssl=client_context(), server_hostname="localhost") if {secure} else dict()
            transport, protocol = await loop.create_connection(asyncio.Protocol, *address, **secured)
            transport.set_write_buffer_limits(1 << 30)
            Garbage(transport)
            go.release()
            transport.write(bytes(2 << 20))
            transport.writelines([bytes(100_000)] * 10)
            Garbage(transport)
            go.release()
            for _ in range(20):
                await asyncio.sleep(0)
            transport.abort()
        over = True
        go.release()
        collector.join()
        server.close()
    cede.run(main())
    print("whole")
    """
    code, printed, errors = run_script(script)
    assert (code, printed) == (0, "whole\n"), errors[-3000:]
