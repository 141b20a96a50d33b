"""Servers that cannot start, clients that cannot be accepted, and loops closed too early."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.loops import is_cede
from tests.support.serving import Echo, client_of, talk


def test_a_factory_that_raises_costs_its_connection_only(run: Callable[..., Any]) -> None:
    reports: list[dict[str, Any]] = []
    calls = 0

    def factory() -> asyncio.Protocol:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return Echo()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: reports.append(context))
        if not is_cede(loop):
            pytest.skip("asyncio tells it in debug mode only, and leaks the connection")
        server = await loop.create_server(factory, "127.0.0.1", 0)
        async with client_of(server) as (reader, _):
            assert await reader.read() == b""
        await talk(server)
        server.close()
        await server.wait_closed()

    run(main)
    (context,) = reports
    assert isinstance(context["exception"], ZeroDivisionError)
    assert "incoming connection" in context["message"]


def test_bad_arguments(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            for error, message, arguments in (
                (TypeError, "ssl argument", {"host": "127.0.0.1", "port": 0, "ssl": True}),
                (ValueError, "ssl_handshake_timeout", {"host": "127.0.0.1", "port": 0, "ssl_handshake_timeout": 1}),
                (ValueError, "ssl_shutdown_timeout", {"host": "127.0.0.1", "port": 0, "ssl_shutdown_timeout": 1}),
                (ValueError, "can not be specified at the same time", {"host": "127.0.0.1", "port": 0, "sock": sock}),
                (ValueError, "Neither host/port nor sock", {}),
                (ValueError, "A Stream Socket was expected", {"sock": datagrams}),
            ):
                with pytest.raises(error, match=message):
                    await loop.create_server(Echo, **arguments)

    run(main)


def test_an_address_in_use(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            with pytest.raises(OSError, match="error while attempting to bind on address") as caught:
                await loop.create_server(Echo, *taken.getsockname())
            assert caught.value.errno == errno.EADDRINUSE

    run(main)


def test_an_address_that_is_not_here(run: Callable[..., Any]) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match=r"could not bind on any address|error while attempting to bind"):
            await asyncio.get_running_loop().create_server(Echo, "192.0.2.1", 0)

    run(main)


def test_one_bad_host_closes_the_others(run: Callable[..., Any]) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.2", 0)) as taken:
            with pytest.raises(OSError):
                await asyncio.get_running_loop().create_server(Echo, ["127.0.0.1", "127.0.0.2"], taken.getsockname()[1])

    run(main)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="lists descriptors in /proc")
def test_running_out_of_descriptors(run: Callable[..., Any]) -> None:
    """One report, a rest, and on; nothing is lost that stands in the queue (cpython 151615, asyncio 78)."""
    reports: list[dict[str, Any]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio may tell it more than once")
        loop.set_exception_handler(lambda loop, context: reports.append(context))
        server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        client.setblocking(False)
        spare: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 3, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    spare.append(os.dup(0))
            await loop.sock_connect(client, server.sockets[0].getsockname())
            while not reports:
                await asyncio.sleep(0.01)
        finally:
            for fd in spare:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await loop.sock_sendall(client, b"still there")
        assert await loop.sock_recv(client, 100) == b"still there"
        client.close()
        server.close()
        await server.wait_closed()

    run(main)
    assert "out of system resource" in reports[0]["message"]
    assert reports[0]["exception"].errno == errno.EMFILE
    assert len(reports) == 1


def test_loop_close_leaves_no_listening_socket_of_its_own(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> Any:
        return await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)

    server = loop.run_until_complete(main())
    server.close()
    loop.close()
