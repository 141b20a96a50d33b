"""create_connection, create_unix_connection, connect_accepted_socket: who owns the socket at each moment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loops import is_cede


class Silent(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def refusing_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]  # type: ignore[no-any-return]


def open_descriptors() -> set[str]:
    gc.collect()
    return {f"{fd} {link}" for fd in os.listdir("/proc/self/fd") for link in read_link(fd)}


def read_link(fd: str) -> list[str]:
    try:
        return [os.readlink(f"/proc/self/fd/{fd}")]
    except OSError:
        return []  # the one that listed the folder


async def end(transport: Any, protocol: Any) -> None:
    transport.close()
    await protocol.lost


def test_by_host_and_port(run: Callable[..., Any], listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Silent, *listener.getsockname())
        assert isinstance(transport, asyncio.Transport)
        assert transport.get_extra_info("peername") == listener.getsockname()
        assert transport.get_protocol() is protocol
        await end(transport, protocol)
        transport, protocol = await loop.create_connection(Silent, "localhost", listener.getsockname()[1], family=socket.AF_INET)
        await end(transport, protocol)

    run(main)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.10.255", "127.100.99.9", "127.255.255.254", "::1"])
def test_addresses_are_what_the_socket_says(run: Callable[..., Any], host: str) -> None:
    """Of both ends, at once and after the end, in every number of digits."""
    if host == "::1" and not has_ipv6():
        pytest.skip("no IPv6 on this machine")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        came = loop.create_future()

        class Served(Silent):
            def connection_made(self, transport: Any) -> None:
                came.set_result((transport, self))

        server = await loop.create_server(Served, host, 0)
        there = server.sockets[0].getsockname()[:2]
        transport, protocol = await loop.create_connection(Silent, *there, local_addr=(host, 0))
        ends = [(transport, protocol), await came]
        said = []
        for end_of, _ in ends:
            sock = end_of.get_extra_info("socket")
            said.append((sock.getsockname(), sock.getpeername()))
            assert sock.getpeername()[0] == host
            assert end_of.get_extra_info("peername") == sock.getpeername()
        assert said[0] == said[1][::-1]
        assert ends[0][0].get_extra_info("sockname") == said[0][0]  # the other's is asked for after its end
        for end_of, protocol in ends:
            await end(end_of, protocol)
        assert [(each.get_extra_info("sockname"), each.get_extra_info("peername")) for each, _ in ends] == said
        server.close()
        await server.wait_closed()

    run(main)


def test_a_given_socket_becomes_the_transports(run: Callable[..., Any], listener: socket.socket) -> None:
    async def main() -> None:
        sock = socket.create_connection(listener.getsockname())
        transport, protocol = await asyncio.get_running_loop().create_connection(Silent, sock=sock)
        assert sock.gettimeout() == 0
        await end(transport, protocol)
        assert sock.fileno() == -1

    run(main)


def test_local_address(run: Callable[..., Any], listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Silent, *listener.getsockname(), local_addr=("127.0.0.3", 0))
        assert transport.get_extra_info("sockname")[0] == "127.0.0.3"
        await end(transport, protocol)
        with pytest.raises(OSError, match="error while attempting to bind on address"):
            await loop.create_connection(Silent, *listener.getsockname(), local_addr=("192.0.2.1", 0))
        with pytest.raises(OSError, match="no matching local address"):
            await loop.create_connection(Silent, *listener.getsockname(), local_addr=("::1", 0))

    run(main)


def test_refused(run: Callable[..., Any]) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().create_connection(Silent, "127.0.0.1", refusing_port())

    run(main)


def several_addresses(loop: Any, *addresses: tuple[str, int]) -> None:
    async def answer(host: Any, port: Any, **options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    loop.getaddrinfo = answer


def test_the_next_address_is_tried(run: Callable[..., Any], listener: socket.socket) -> None:
    async def main(**options: Any) -> None:
        loop = asyncio.get_running_loop()
        several_addresses(loop, ("127.0.0.1", refusing_port()), listener.getsockname())
        transport, protocol = await loop.create_connection(Silent, "made.up", 1, **options)
        assert transport.get_extra_info("peername") == listener.getsockname()
        await end(transport, protocol)

    run(main())
    run(main(happy_eyeballs_delay=60))


@pytest.mark.parametrize("delay", [None, 60.0])
def test_all_addresses_fail(run: Callable[..., Any], delay: float | None) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = refusing_port(), refusing_port()
        several_addresses(loop, ("127.0.0.1", one), ("127.0.0.1", one))
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=delay)
        several_addresses(loop, ("127.0.0.1", one), ("127.0.0.2", other))
        with pytest.raises(OSError, match=r"Multiple exceptions: .*127\.0\.0\.1.*127\.0\.0\.2"):
            await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=delay)
        if is_cede(loop) or sys.version_info >= (3, 12):
            with pytest.raises(ExceptionGroup) as caught:
                await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=delay, all_errors=True)
            assert [type(error) for error in caught.value.exceptions] == [ConnectionRefusedError] * 2
        several_addresses(loop)
        with pytest.raises(OSError, match="empty list"):
            await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=delay)

    run(main)


@pytest.mark.parametrize("delay", [None, 0.25])
def test_a_failed_connection_leaves_no_cycle(run: Callable[..., Any], delay: float | None) -> None:
    """The errors hold tracebacks, which hold frames: none of them may hold the errors, or the socket's life ends with the collector
    (cpython 88863).
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio leaves some, depending on the version")
        one, other = refusing_port(), refusing_port()
        several_addresses(loop, ("127.0.0.1", one), ("127.0.0.2", other))
        for options in ({}, {"all_errors": True}):
            await asyncio.sleep(0)
            gc.collect()
            gc.disable()
            try:
                try:
                    await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=delay, **options)
                except (OSError, ExceptionGroup):
                    pass
                await asyncio.sleep(0)
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                left = [thing for thing in gc.garbage if isinstance(thing, (BaseException, socket.socket))]
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
            assert left == []

    run(main)


def test_bad_arguments(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            for error, message, arguments in (
                (ValueError, "server_hostname is only meaningful", {"host": "h", "port": 1, "server_hostname": "x"}),
                (ValueError, "You must set server_hostname", {"sock": sock, "ssl": True}),
                (ValueError, "ssl_handshake_timeout is only", {"host": "h", "port": 1, "ssl_handshake_timeout": 1}),
                (ValueError, "ssl_shutdown_timeout is only", {"host": "h", "port": 1, "ssl_shutdown_timeout": 1}),
                (ValueError, "can not be specified at the same time", {"host": "h", "port": 1, "sock": sock}),
                (ValueError, "no sock specified", {}),
                (ValueError, "A Stream Socket was expected", {"sock": datagrams}),
            ):
                with pytest.raises(error, match=message):
                    await loop.create_connection(Silent, **arguments)
            for error, message, arguments in (
                (ValueError, "no path and sock were specified", {}),
                (ValueError, "can not be specified at the same time", {"path": "p", "sock": sock}),
                (ValueError, "A UNIX Domain Stream Socket was expected", {"sock": sock}),
                (ValueError, "you have to pass server_hostname", {"path": "p", "ssl": True}),
                (ValueError, "server_hostname is only meaningful", {"path": "p", "server_hostname": "x"}),
                (ValueError, "ssl_handshake_timeout is only", {"path": "p", "ssl_handshake_timeout": 1}),
                (TypeError, "PathLike", {"path": 5}),
            ):
                with pytest.raises(error, match=message):
                    await loop.create_unix_connection(Silent, **arguments)
            with pytest.raises(ValueError, match="A Stream Socket was expected"):
                await loop.connect_accepted_socket(Silent, datagrams)
            with pytest.raises(ValueError, match="ssl_handshake_timeout is only"):
                await loop.connect_accepted_socket(Silent, sock, ssl_handshake_timeout=1)

    run(main)


def test_tls_sockets_are_refused(run: Callable[..., Any]) -> None:
    ssl = pytest.importorskip("ssl")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(one, server_side=True, do_handshake_on_connect=False) as tls:
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: loop.create_connection(Silent, sock=tls),
                lambda: loop.create_server(Silent, sock=tls),
                lambda: loop.connect_accepted_socket(Silent, tls),
                lambda: loop.sock_recv(tls, 1),
                lambda: loop.sock_sendall(tls, b"x"),
                lambda: loop.sock_connect(tls, "x"),
            ]
            for call in calls:
                with pytest.raises(TypeError, match="SSLSocket"):
                    await call()
        other.close()

    run(main)


def test_connect_accepted_socket(run: Callable[..., Any], listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_connection(listener.getsockname()) as client:
            accepted, _ = listener.accept()
            transport, protocol = await loop.connect_accepted_socket(Silent, accepted)
            transport.write(b"hello")
            assert await loop.run_in_executor(None, client.recv, 5) == b"hello"
            await end(transport, protocol)
            assert accepted.fileno() == -1

    run(main)


def test_unix(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            for where in (path, str(path), os.fsencode(path)):
                await end(*await loop.create_unix_connection(Silent, where))
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(path))
            await end(*await loop.create_unix_connection(Silent, sock=sock))
            assert sock.fileno() == -1
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(Silent, path)
        with pytest.raises(FileNotFoundError):
            await loop.create_unix_connection(Silent, path.with_name("nobody"))

    run(main)


# -- ownership


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="lists descriptors in /proc")
@pytest.mark.parametrize("kind", ["host", "eyeballs", "sock", "unix", "unix-sock", "accepted"])
def test_cancelled_at_each_await(run: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    """No descriptor is left, and none is closed that belongs to somebody else by then (uvloop 738)."""

    async def connect_once(loop: Any, listener: Any, unix: Any, sock: Any) -> Any:
        if kind == "host":
            return await loop.create_connection(Silent, "made.up", 1)
        if kind == "eyeballs":
            return await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=0.0)
        if kind == "sock":
            return await loop.create_connection(Silent, sock=sock)
        if kind == "unix":
            return await loop.create_unix_connection(Silent, unix.getsockname())
        if kind == "unix-sock":
            return await loop.create_unix_connection(Silent, sock=sock)
        return await loop.connect_accepted_socket(Silent, sock)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio leaks some, depending on the version")
        listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(tmp_path / "socket"))
        unix.listen(200)
        address = listener.getsockname()
        several_addresses(loop, ("127.0.0.1", refusing_port()), address, address)
        before = open_descriptors()
        for turns in range(30):
            sock = None
            if kind in ("sock", "accepted"):
                sock = socket.create_connection(address)
            elif kind == "unix-sock":
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(unix.getsockname())
            number = sock.fileno() if sock is not None else -1
            task = loop.create_task(connect_once(loop, listener, unix, sock))
            for _ in range(turns):
                await asyncio.sleep(0)
            finished = task.done()
            task.cancel()
            if finished:
                await end(*task.result())
            else:
                with pytest.raises(asyncio.CancelledError):
                    await task
            with contextlib.suppress(ValueError, OSError):
                for _ in range(3):
                    await asyncio.sleep(0)  # connection_lost comes a turn later
            # Others take the numbers that have become free, and the given socket dies: nobody may close theirs.
            others = [socket.socketpair() for _ in range(10)]
            if sock is not None:
                sock.close()
                del sock
            del task
            gc.collect()
            for one, other in others:
                one.send(b"x")
                assert other.recv(1) == b"x", f"cancelled after {turns} turns; the given socket was {number}"
                one.close()
                other.close()
            assert open_descriptors() == before, f"cancelled after {turns} turns"
            for queue in (listener, unix):
                queue.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        queue.accept()[0].close()
            if finished:
                break
        listener.close()
        unix.close()
        return turns

    assert run(main) >= 1


def test_a_factory_that_raises(run: Callable[..., Any], listener: socket.socket) -> None:
    def broken() -> asyncio.Protocol:
        raise ZeroDivisionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio leaves the socket to the collector")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ZeroDivisionError):
                await loop.create_connection(broken, *listener.getsockname())
            # As newer versions of asyncio do: a socket that was handed over is closed with the transport that never came to be.
            with socket.create_connection(listener.getsockname()) as sock:
                with pytest.raises(ZeroDivisionError):
                    await loop.create_connection(broken, sock=sock)
                assert sock.fileno() == -1
            gc.collect()

    run(main)


def test_a_descriptor_in_use_is_refused(run: Callable[..., Any], listener: socket.socket) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio puts two transports over one socket")
        sock = socket.create_connection(listener.getsockname())
        transport, protocol = await loop.create_connection(Silent, sock=sock)
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.create_connection(Silent, sock=sock)
        assert sock.fileno() >= 0
        await end(transport, protocol)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_happy_eyeballs_with_eager_tasks(run: Callable[..., Any], listener: socket.socket) -> None:
    """cpython 124309: happy eyeballs with eager tasks."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio's race does not expect it before 3.13.1")
        loop.set_task_factory(asyncio.eager_task_factory)
        several_addresses(loop, ("127.0.0.1", refusing_port()), listener.getsockname())
        await end(*await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=0.25))
        several_addresses(loop, ("127.0.0.1", refusing_port()), ("127.0.0.1", refusing_port()))
        with pytest.raises(OSError):
            await loop.create_connection(Silent, "made.up", 1, happy_eyeballs_delay=0.25)

    run(main)


def test_errno_survives(run: Callable[..., Any]) -> None:
    async def main() -> None:
        with pytest.raises(OSError) as caught:
            await asyncio.get_running_loop().create_connection(Silent, "127.0.0.1", refusing_port())
        assert caught.value.errno == errno.ECONNREFUSED

    run(main)


def test_a_connection_within_one_machine_comes_behind_what_is_ready(run: Any, listener: socket.socket) -> None:
    """The other side has answered before connect() returns. The poll tells it all the same: one given up meanwhile has had no protocol."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        log: list[str] = []

        class Told(Silent):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                log.append("made")

        async def connect() -> None:
            log.append("begun")
            transport, protocol = await loop.create_connection(Told, *listener.getsockname())
            await end(transport, protocol)

        connecting = loop.create_task(connect())
        loop.call_soon(log.append, "ready")
        loop.call_soon(connecting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await connecting
        for _ in range(5):
            await asyncio.sleep(0)
        assert log == ["begun", "ready"]

        with socket.socket() as sock:
            sock.setblocking(False)
            connecting = loop.create_task(loop.sock_connect(sock, listener.getsockname()))
            loop.call_soon(lambda: log.append(f"done: {connecting.done()}"))
            await connecting
        assert log[2:] == ["done: False"]

    run(main)
