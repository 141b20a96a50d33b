"""create_server and the server object."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

import cede
from tests.support.loops import is_cede
from tests.support.serving import OLD_ORACLE, Echo, client_of, skip_old_oracle, talk

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def test_it_serves(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        assert isinstance(server, asyncio.AbstractServer)
        assert server.is_serving()
        assert server.get_loop() is loop
        assert "sockets=" in repr(server)
        (sock,) = server.sockets
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        await talk(server)
        server.close()
        assert not server.is_serving()
        assert server.sockets == ()
        server.close()
        await server.wait_closed()

    run(main)


def test_as_a_context_manager(run: Callable[..., Any]) -> None:
    async def main() -> None:
        async with await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0) as server:
            await talk(server)
        assert not server.is_serving()

    run(main)


@pytest.mark.parametrize("host", [None, ""])
def test_all_interfaces(run: Callable[..., Any], host: Any) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, host, 0)
        families = {sock.family for sock in server.sockets}
        assert socket.AF_INET in families
        for index, sock in enumerate(server.sockets):
            loopback = "127.0.0.1" if sock.family == socket.AF_INET else "::1"
            reader, writer = await asyncio.open_connection(loopback, sock.getsockname()[1])
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            await writer.wait_closed()
            assert index < 2
        server.close()
        await server.wait_closed()

    run(main)


def test_several_hosts_get_a_socket_each(run: Callable[..., Any]) -> None:
    async def main() -> None:
        hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
        server = await asyncio.get_running_loop().create_server(Echo, hosts, 0)
        assert sorted(sock.getsockname()[0] for sock in server.sockets) == ["127.0.0.1", "127.0.0.2"]
        for index in range(2):
            await talk(server, index)
        server.close()
        await server.wait_closed()

    run(main)


def test_ipv6_does_not_take_ipv4_too(run: Callable[..., Any]) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "::", 0)
        (sock,) = server.sockets
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        server.close()

    run(main)


def test_socket_options(run: Callable[..., Any]) -> None:
    def option(server: Any, name: int) -> int:
        return server.sockets[0].getsockopt(socket.SOL_SOCKET, name)  # type: ignore[no-any-return]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        plain = await loop.create_server(Echo, "127.0.0.1", 0)
        assert option(plain, socket.SO_REUSEADDR)
        assert not option(plain, socket.SO_REUSEPORT)
        assert not option(plain, socket.SO_KEEPALIVE)
        chosen = await loop.create_server(Echo, "127.0.0.1", 0, reuse_address=False, reuse_port=True)
        assert not option(chosen, socket.SO_REUSEADDR)
        assert option(chosen, socket.SO_REUSEPORT)
        again = await loop.create_server(Echo, "127.0.0.1", chosen.sockets[0].getsockname()[1], reuse_port=True)
        servers = [plain, chosen, again]
        if is_cede(loop) or not OLD_ORACLE:
            kept = await loop.create_server(Echo, "127.0.0.1", 0, keep_alive=True)
            assert option(kept, socket.SO_KEEPALIVE)
            servers.append(kept)
        for server in servers:
            server.close()

    run(main)


def test_a_given_socket(run: Callable[..., Any]) -> None:
    async def main() -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        server = await asyncio.get_running_loop().create_server(Echo, sock=sock)
        await talk(server)
        server.close()
        await server.wait_closed()
        assert sock.fileno() == -1
        # Descriptors opened now may have the socket's old number: closing the socket again must not touch them.
        others = socket.socketpair()
        sock.close()
        assert all(other.fileno() >= 0 for other in others)
        others[0].send(b"x")
        assert others[1].recv(1) == b"x"
        for other in others:
            other.close()

    run(main)


def test_start_serving_later(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0, start_serving=False)
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Echo, *server.sockets[0].getsockname())
        await server.start_serving()
        await server.start_serving()
        assert server.is_serving()
        await talk(server)
        server.close()
        await server.wait_closed()

    run(main)


def test_a_closed_server_does_not_start_again(run: Callable[..., Any]) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, start_serving=False)
        server.close()
        with pytest.raises(RuntimeError, match="is closed"):
            await server.serve_forever()
        with pytest.raises((RuntimeError, TypeError)):
            await server.start_serving()

    run(main)


def test_serve_forever(run: Callable[..., Any]) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, start_serving=False)
        serving = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already being awaited"):
            await server.serve_forever()
        await talk(server)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert server.sockets == ()

    run(main)


def test_cancelled_serving_closes_a_client_that_hangs() -> None:
    """As asyncio's server does since 3.13: a peer that is silent for ever must not keep the server."""

    async def main() -> None:
        accepted = asyncio.Event()

        class Silent(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.set()

        server = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", 0)
        serving = asyncio.ensure_future(server.serve_forever())
        with socket.create_connection(server.sockets[0].getsockname()) as peer:
            await accepted.wait()
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            await server.wait_closed()
            peer.settimeout(10)
            assert peer.recv(1) == b""

    cede.run(main())


def test_close_ends_serve_forever(run: Callable[..., Any]) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        serving = asyncio.ensure_future(server.serve_forever())
        await asyncio.sleep(0)
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run(main)


def test_wait_closed_waits_for_both(run: Callable[..., Any]) -> None:
    """cpython 83939, cpython 104344, cpython 120866, cpython 113538, cpython 114914: wait_closed of servers and writers."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        skip_old_oracle(loop)
        log: list[Echo] = []
        server = await loop.create_server(lambda: Echo(log), "127.0.0.1", 0)
        waits = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0)
        assert not waits.done(), "the server is open"
        async with client_of(server) as (reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            server.close()
            late = asyncio.ensure_future(server.wait_closed())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not waits.done(), "a connection is open"
            assert late.done() == (sys.version_info < (3, 12))
        await waits
        await late
        await server.wait_closed()

    run(main)


def test_wait_closed_of_a_closed_server(run: Callable[..., Any]) -> None:
    """Whether it waits for connections too is the Python's affair: programs written for 3.11 go on while some are open."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop) and (3, 12) <= sys.version_info < (3, 12, 1):
            pytest.skip("asyncio waits for connections since 3.12.1, and in 3.11 by design does not")
        log: list[Echo] = []
        server = await loop.create_server(lambda: Echo(log), "127.0.0.1", 0)
        async with client_of(server) as (reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            server.close()
            waits = asyncio.ensure_future(server.wait_closed())
            for _ in range(5):
                await asyncio.sleep(0)
            assert waits.done() == (sys.version_info < (3, 12))
            writer.write(b"y")
            assert await reader.readexactly(1) == b"y"
        await waits
        await log[0].lost

    run(main)


def test_a_cancelled_wait_closed_leaves_the_others(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        skip_old_oracle(loop)
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        one, other = (asyncio.ensure_future(server.wait_closed()) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        server.close()
        await other

    run(main)


@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
def test_clients_can_be_sent_away(run: Callable[..., Any], how: str) -> None:
    """cpython 83939: wait_closed of servers and writers."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        skip_old_oracle(loop)
        log: list[Echo] = []
        server = await loop.create_server(lambda: Echo(log), "127.0.0.1", 0)
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client_of(server)) for _ in range(3)]
            for reader, writer in clients:
                writer.write(b"x")
                await reader.readexactly(1)
            server.close()
            getattr(server, how)()
            await server.wait_closed()
            for reader, _ in clients:
                if how == "close_clients":
                    assert await reader.read() == b""
                else:
                    with contextlib.suppress(ConnectionResetError):
                        assert await reader.read() == b""
        assert [await protocol.lost for protocol in log] == [None, None, None]

    run(main)


def test_each_connection_has_a_context_of_its_own(run: Callable[..., Any]) -> None:
    seen: list[str] = []

    class Painted(Echo):
        def __init__(self) -> None:
            super().__init__()
            seen.append(colour.get())
            colour.set("dirty")

        def data_received(self, data: bytes) -> None:
            seen.append(colour.get())
            super().data_received(data)

    async def main() -> None:
        colour.set("of the server")
        server = await asyncio.get_running_loop().create_server(Painted, "127.0.0.1", 0)
        colour.set("later")
        for _ in range(2):
            await talk(server)
        server.close()
        await server.wait_closed()

    run(main)
    assert seen == ["of the server", "dirty"] * 2


def test_no_task_is_current_while_a_protocol_is_called(run: Callable[..., Any]) -> None:
    seen: list[Any] = []

    class Nosy(Echo):
        def connection_made(self, transport: Any) -> None:
            seen.append(asyncio.current_task())
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            seen.append(asyncio.current_task())
            super().data_received(data)

        def connection_lost(self, error: Any) -> None:
            seen.append(asyncio.current_task())
            super().connection_lost(error)

    async def main() -> None:
        log: list[Echo] = []
        server = await asyncio.get_running_loop().create_server(lambda: Nosy(log), "127.0.0.1", 0)
        await talk(server)
        await log[0].lost
        server.close()
        await server.wait_closed()

    run(main)
    assert seen == [None, None, None]


# -- answers


def test_no_answer_goes_to_another_client(run: Callable[..., Any], rng: random.Random) -> None:
    """Clients that keep their connections, give up at random moments and come back: each answer is the asker's own (uvloop 645)."""

    async def serve(reader: Any, writer: Any) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                question = await reader.readexactly(16)
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)
                writer.write(question[::-1])
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def ask(address: Any, name: int, answers: list[int]) -> None:
        number = 0
        while number < 30:
            reader, writer = await asyncio.open_connection(*address)
            try:
                for _ in range(rng.randrange(1, 8)):
                    number += 1
                    question = b"%07d-%08d" % (name, number)
                    writer.write(question)
                    if rng.random() < 0.3:
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(0):
                                await asyncio.sleep(0)
                                await reader.readexactly(16)
                        break  # the answer is on its way to a connection that nobody has any more
                    assert await reader.readexactly(16) == question[::-1]
                    answers.append(number)
            finally:
                if rng.random() < 0.5:
                    writer.transport.abort()
                else:
                    writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def main() -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        answers: list[int] = []
        async with asyncio.TaskGroup() as group:
            for name in range(20):
                group.create_task(ask(server.sockets[0].getsockname(), name, answers))
        server.close()
        await server.wait_closed()
        return len(answers)

    assert run(main) > 100
