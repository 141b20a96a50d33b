"""How connections over TLS end: closed, flushed, aborted, cut off. asyncio is the oracle where it does the same."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

ssl = pytest.importorskip("ssl")

from tests.support.tls_peer import Peer  # noqa: E402
from tests.support.tls_talk import Echo, Talk, pair, serving  # noqa: E402

Run = Callable[..., Any]


def ours() -> bool:
    return isinstance(asyncio.get_running_loop(), cede.EventLoop)


class Kept(Talk):
    """A server's protocol that the test can get hold of."""

    def __init__(self, accepted: list[Any]) -> None:
        super().__init__()
        accepted.append(self)


def narrow(transport: Any) -> None:
    """Have the system take little, so that much has to wait."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def test_what_was_written_is_sent_before_the_end(run: Run) -> None:
    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            while not accepted or accepted[0].transport is None:
                await asyncio.sleep(0)
            server = accepted[0]
            narrow(server.transport)
            data = bytes(range(256)) * 20_000
            server.transport.write(data)
            server.transport.close()
            assert server.transport.is_closing()
            server.transport.write(b"too late")
            if ours():  # asyncio does not bear it, depending on the version
                server.transport.close()
                server.transport.write(b"too late")
            assert await peer.read_exactly(len(data)) == data
            assert await peer.read() == b""  # close_notify
            await peer.send(peer.goodbye())
            assert await server.lost is None
            peer.close()

    run(main)


def test_the_peer_says_goodbye_first(run: Run) -> None:
    """What still waits is sent all the same, then our goodbye; and an end with a goodbye can be told from one without."""

    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            while not accepted or accepted[0].transport is None:
                await asyncio.sleep(0)
            server = accepted[0]
            narrow(server.transport)
            data = b"abcdefgh" * 100_000
            server.transport.write(data)
            await peer.send(peer.sealed(b"the last") + peer.goodbye())
            await server.until(lambda: "eof" in server.told)
            assert server.data == b"the last"
            if ours():
                assert server.transport.get_extra_info("close_notify") is True
            assert await peer.read_exactly(len(data)) == data
            assert await peer.read() == b""
            assert await server.lost is None
            assert [word for word in server.told if word not in ("pause", "resume")] == ["made", "data", "eof", "lost"]
            peer.close()

    run(main)


def test_an_end_without_goodbye(run: Run) -> None:
    """As asyncio tells it: the end, and no error. Who wants to know more can ask (uvloop 385)."""

    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            await peer.write(b"half of ")
            peer.sock.shutdown(socket.SHUT_WR)
            while not accepted:
                await asyncio.sleep(0)
            server = accepted[0]
            assert await server.lost is None
            assert server.told == ["made", "data", "eof", "lost"]
            assert server.data == b"half of "
            if ours():
                assert server.transport.get_extra_info("close_notify") is False
            with pytest.raises((ssl.SSLEOFError, ssl.SSLZeroReturnError)):
                await peer._do(peer.tls.read, 1)
            peer.close()

    run(main)


def test_a_stream_that_ends_within_a_record(run: Run) -> None:
    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            wire = peer.sealed(b"first") + peer.sealed(b"second")
            await peer.send(wire[:-1])
            peer.close()
            while not accepted:
                await asyncio.sleep(0)
            assert await accepted[0].lost is None
            assert accepted[0].data == b"first"

    run(main)


def test_a_reset(run: Run) -> None:
    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            await peer.write(b"x")
            while not accepted:
                await asyncio.sleep(0)
            await accepted[0].has(1)
            peer.reset()
            assert isinstance(await accepted[0].lost, ConnectionResetError)
            accepted[0].transport.write(b"into nothing")
            accepted[0].transport.close()
            accepted[0].transport.abort()
            assert accepted[0].told == ["made", "data", "lost"]

    run(main)


def test_abort(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            narrow(client.transport)
            server.transport.pause_reading()
            client.transport.write(b"x" * 5_000_000)
            client.transport.abort()
            assert client.transport.is_closing()
            assert await client.lost is None
            assert client.told[-1] == "lost"
            client.transport.abort()
            server.transport.resume_reading()
            await server.lost

    run(main)


@pytest.mark.parametrize("method", ["close", "abort"])
def test_closing_in_a_callback(run: Run, method: str) -> None:
    """What the same batch of bytes still held is not told."""

    async def main() -> None:
        class Brief(Kept):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                getattr(self.transport, method)()

        accepted: list[Any] = []
        async with serving(lambda: Brief(accepted), ssl=server_context()) as address:
            peer = await Peer.connected(address, client_context())
            wire = b"".join(peer.sealed(letter * 16384) for letter in (b"a", b"a", b"a", b"a", b"b", b"c"))
            await peer.send(wire + peer.goodbye())
            while not accepted:
                await asyncio.sleep(0)
            assert await accepted[0].lost is None
            if ours():
                assert 0 < len(accepted[0].data) <= 65536
                assert set(accepted[0].data) == set(b"a")
            assert accepted[0].told.count("lost") == 1
            peer.close()

    run(main)


@pytest.mark.parametrize("paused", [False, True], ids=["", "paused"])
def test_closing_in_the_middle_of_a_download(run: Run, paused: bool) -> None:
    """The peer sends without end, and never answers our goodbye: it is not waited for (uvloop 471, aiohttp 6762)."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio reports an error, or waits for its timeout")
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context(), ssl_shutdown_timeout=3600) as address:
            peer = await Peer.connected(address, client_context())

            async def upload() -> None:
                with pytest.raises(OSError):
                    while True:
                        await peer.write(b"x" * 65536)

            uploading = asyncio.create_task(upload())
            while not accepted or accepted[0].transport is None:
                await asyncio.sleep(0)
            server = accepted[0]
            await server.has(1_000_000)
            if paused:
                server.transport.pause_reading()
                for _ in range(20):
                    await asyncio.sleep(0)
            had = len(server.data)
            server.transport.close()
            assert await server.lost is None
            assert len(server.data) == had
            await uploading
            peer.close()

    run(main)


def test_a_peer_that_never_says_goodbye(run: Run) -> None:
    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context(), ssl_shutdown_timeout=0.02) as address:
            peer = await Peer.connected(address, client_context())
            await peer.write(b"x")
            while not accepted:
                await asyncio.sleep(0)
            await accepted[0].has(1)
            accepted[0].transport.close()
            error = await accepted[0].lost
            assert isinstance(error, TimeoutError)
            assert str(error) == "SSL shutdown timed out"
            peer.close()

    run(main)


def test_a_peer_that_takes_nothing_any_more(run: Run) -> None:
    async def main() -> None:
        accepted: list[Any] = []
        async with serving(lambda: Kept(accepted), ssl=server_context(), ssl_shutdown_timeout=0.02) as address:
            peer = await Peer.connected(address, client_context())
            await peer.write(b"x")
            while not accepted:
                await asyncio.sleep(0)
            server = accepted[0]
            await server.has(1)
            narrow(server.transport)
            server.transport.write(b"x" * 20_000_000)
            server.transport.close()
            assert isinstance(await server.lost, TimeoutError)
            peer.close()

    run(main)


def test_wait_closed(run: Run) -> None:
    """A server waits for its connections, over TLS too; closing its clients says goodbye to them (cpython 83939)."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio learned this in a later Python, and does not say goodbye")
        accepted: list[Any] = []
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Kept(accepted), "127.0.0.1", 0, ssl=server_context())
        peer = await Peer.connected(server.sockets[0].getsockname(), client_context())
        await peer.write(b"x")
        while not accepted:
            await asyncio.sleep(0)
        await accepted[0].has(1)
        waiting = asyncio.create_task(server.wait_closed())
        await asyncio.sleep(0)  # on 3.11 it must come before the close
        server.close()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        server.close_clients()
        assert await peer.read() == b""  # and no SSLEOFError
        await peer.send(peer.goodbye())
        await waiting
        assert accepted[0].lost.done()
        peer.close()

    run(main)


def test_writing_while_the_end_comes(run: Run) -> None:
    """At no point does a write raise, whatever the connection's state (picows 40)."""

    async def main() -> None:
        for turns in range(12):
            async with pair() as (client, server):
                client.transport.write(b"x" * 200_000)
                for _ in range(turns):
                    await asyncio.sleep(0)
                if turns % 3 == 0:
                    server.transport.abort()
                elif turns % 3 == 1:
                    server.transport.close()
                else:
                    client.transport.close()
                while not client.lost.done():
                    client.transport.write(b"y" * 50_000)
                    client.transport.writelines([b"z", b"z" * 20_000])
                    await asyncio.sleep(0)
                client.transport.write(b"y")

    run(main)


def test_writes_after_the_end_are_warned_about(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.transport.close()
            for _ in range(10):
                client.transport.write(b"x")
            await client.lost

    run(main)
    assert "SSL connection is closed" in caplog.text


def test_nothing_is_left_of_a_connection(run: Run) -> None:
    """Without the collector: contexts and transports go when the connection has gone (uvloop 220, 237)."""

    async def main() -> None:
        if not ours():
            pytest.skip("asyncio leaves cycles")
        context, transports = client_context(), []
        for _ in range(3):
            async with pair(client=context) as (client, server):
                client.transport.write(b"x")
                await client.has(1)
                transports += [weakref.ref(client.transport), weakref.ref(server.transport)]
        del client, server
        reference = weakref.ref(context)
        del context
        for _ in range(3):
            await asyncio.sleep(0)
        assert [kept() for kept in transports] == [None] * 6
        assert reference() is None

    gc.collect()
    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()


def test_a_failed_handshake_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        if not ours():
            pytest.skip("asyncio leaves cycles")
        context = client_context("other.test")
        reference = weakref.ref(context)
        async with serving(Echo, ssl=server_context()) as address:
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.get_running_loop().create_connection(Talk, *address, ssl=context, server_hostname="localhost")
            del context
            for _ in range(5):
                await asyncio.sleep(0)
            assert reference() is None

    gc.collect()
    gc.disable()
    try:
        run(main)
    finally:
        gc.enable()
