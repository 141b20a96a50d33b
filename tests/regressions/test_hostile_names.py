"""Host names that are meant to hurt: refused at each door before a codec or a resolver has worked on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest

import cede

OVERLONG: list[Any] = [
    "a" * 255,
    "a" * 100_000,
    "xn--" + "-" * 5000,
    b"xn--" + b"a" * 5000,
    "xn--" + "\u0661" * 5000,
    "a." * 3000,
    "ü" * 70_000,
]
NULS: list[Any] = ["local\0host", b"localhost\0", "\0", "a" * 100_000 + "\0", "127.0.0.1\0.example.org"]
# Of a length that a name may have, and none all the same.
NAMELESS: list[Any] = ["xn--" + "a" * 245, "xn--\udcff", "a" * 64, ".".join(["a" * 63] * 4)[:253], "..", "xn--0", "\ud800.example.org"]

DOORS: dict[str, Callable[[Any, Any], Any]] = {
    "getaddrinfo": lambda loop, host: loop.getaddrinfo(host, 80),
    "create_connection": lambda loop, host: loop.create_connection(asyncio.Protocol, host, 80),
    "create_connection eyeballs": lambda loop, host: loop.create_connection(asyncio.Protocol, host, 80, happy_eyeballs_delay=0.1),
    "create_connection local": lambda loop, host: loop.create_connection(asyncio.Protocol, "127.0.0.1", 9, local_addr=(host, 0)),
    "create_datagram_endpoint local": lambda loop, host: loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(host, 0)),
    "create_datagram_endpoint remote": lambda loop, host: loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(host, 9)),
    "create_server": lambda loop, host: loop.create_server(asyncio.Protocol, host, 0),
    "create_server of several": lambda loop, host: loop.create_server(asyncio.Protocol, ["127.0.0.1", host], 0),
    "open_connection": lambda loop, host: cede.open_connection(host, 80),
    "start_server": lambda loop, host: cede.start_server(print, host, 0),
}


class Asked:
    """Stands where the C library is asked, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.questions: list[Any] = []
        self.real = socket.getaddrinfo
        monkeypatch.setattr("cede.net.resolver.resolver._real_getaddrinfo", self)
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, *args: Any, **options: Any) -> Any:
        self.questions.append(host)
        return self.real(host, *args, **options)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("hosts", "error"), [(OVERLONG, socket.gaierror), (NULS, ValueError)], ids=["over-long", "NUL"])
def test_refused_before_anybody_works_on_them(monkeypatch: pytest.MonkeyPatch, door: str, hosts: list[Any], error: type[Exception]) -> None:
    """uvloop 615 (CVE-2024-24806) and cpython 98433 (CVE-2022-45061): whose time grows with the square of the name's length."""
    asked = Asked(monkeypatch)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in hosts:
            with pytest.raises(error) as caught:
                await DOORS[door](loop, host)
            assert len(str(caught.value)) < 600
        assert loop._name_pool is None or door == "create_server of several"  # type: ignore[attr-defined]

    cede.run(main())
    assert not [host for host in asked.questions if host in hosts]


@pytest.mark.parametrize("door", DOORS)
def test_names_that_are_none_raise_and_nothing_hangs(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """cpython 98433: up to the longest a name may be, the codec's work is bounded, and its complaint reaches the caller."""

    def resolver(host: Any, *args: Any, **options: Any) -> Any:
        # What the codec says is the library's; what a name server would say is kept out of the test.
        if isinstance(host, str) and host != "127.0.0.1":
            host.encode("idna")
        if host != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return real(host, *args, **options)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolver)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in NAMELESS:
            with pytest.raises((OSError, UnicodeError)):
                await DOORS[door](loop, host)

    cede.run(main())


def test_servers_that_are_told_such_names_leave_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop 615: the good host beside the bad one is given back."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for host in ("x\0y", "x" * 300):
            with pytest.raises((ValueError, OSError)):
                await loop.create_server(asyncio.Protocol, ["127.0.0.1", host], port)
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", port)
        server.close()
        await server.wait_closed()
        for host in ("x\0y", "x" * 300):
            with contextlib.suppress(ValueError, OSError):
                await loop.getnameinfo((host, 80))

    cede.run(main())


def test_getnameinfo_of_such_names() -> None:
    """uvloop 615: the other way round, addresses are checked by the library."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in ("a" * 100_000, "127.0.0.1\0", "xn--" + "a" * 5000):
            for flags in (0, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV):
                with pytest.raises((OSError, ValueError, UnicodeError)):
                    async with asyncio.timeout(30):
                        await loop.getnameinfo((host, 80), flags)

    cede.run(main())
