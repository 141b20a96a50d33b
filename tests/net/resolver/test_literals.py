"""Addresses spelt out in numbers: whatever is asked, the answer is the C library's own."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from cede.net.resolver import literals

HOSTS = (
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "127.1",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "256.1.1.1",
    " 1.2.3.4",
    "1.2.3.4 ",
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "2001:DB8::0:1",
    "::ffff:1.2.3.4",
    "::1.2.3.4",
    "1::2::3",
    "fe80::1",
    "fe80::1%lo",
    "fe80::1%1",
    "::1%0",
    "[::1]",
    ":",
    "1:2:3:4:5:6:7:8:9",
    "\uff11.2.3.4",
    b"127.0.0.1",
    b"::1",
    bytearray(b"1.2.3.4"),
    None,
)
FAMILIES = (0, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, -1)
KINDS = (0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET, 77)
PROTOS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, 99)
NAMED = socket.AI_CANONNAME | socket.AI_NUMERICHOST
FLAGS = (0, socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_NUMERICSERV, NAMED, socket.AI_V4MAPPED)
PORTS = (80, 0, 65535, 65536, 70000, -1, None, "80", "080", "65536", b"80", "", "\u0661", True, 2**70, 1.5)


def outcome(call: Callable[[], Any]) -> Any:
    """What comes back, or how it is refused."""
    try:
        return call()
    except Exception as error:
        return type(error), getattr(error, "errno", None)


def agree(run: Callable[..., Any], questions: list[tuple[Any, ...]]) -> None:
    """Each question gets the same answer, twice, as asking the library; errors too, where they need no look-up."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host, port, family, kind, proto, flags in questions:
            wanted = outcome(lambda question=(host, port, family, kind, proto, flags): socket.getaddrinfo(*question))
            for _ in range(2):
                try:
                    got = await loop.getaddrinfo(host, port, family=family, type=kind, proto=proto, flags=flags)
                except Exception as error:
                    got = type(error), getattr(error, "errno", None)
                assert got == wanted, (host, port, family, kind, proto, flags)
                if isinstance(got, list):
                    assert [tuple(map(type, info)) for info in got] == [tuple(map(type, info)) for info in wanted]

    run(main)


def test_hosts_of_every_shape(run: Callable[..., Any]) -> None:
    # AI_NUMERICHOST, or what is no literal would be looked up in the network.
    kinds = (0, socket.SOCK_STREAM)
    agree(run, [(host, 80, family, kind, 0, socket.AI_NUMERICHOST) for host, family, kind in itertools.product(HOSTS, FAMILIES, kinds)])


@pytest.mark.parametrize("host", ["127.0.0.1", "2001:DB8::0:1"])
def test_kinds_protocols_and_flags(run: Callable[..., Any], host: str) -> None:
    questions = itertools.product((0, socket.AF_INET, socket.AF_INET6), KINDS, PROTOS, FLAGS)
    agree(run, [(host, 80, *rest) for rest in questions])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_ports_of_every_shape(run: Callable[..., Any], host: str) -> None:
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    agree(run, [(host, port, 0, kind, 0, numeric) for port, kind in itertools.product(PORTS, (0, socket.SOCK_STREAM))])


def test_each_caller_gets_a_list_of_its_own(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        first.clear()
        assert len(await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)) == 1

    run(main)


def test_a_shape_that_the_library_answers_otherwise_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def strange(*question: Any) -> list[Any]:
        asked.append(question)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.99", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", strange)
    monkeypatch.setattr(literals, "real_getaddrinfo", strange)
    literals.forget_shapes()
    try:
        for _ in range(2):
            found = literals.numeric_answer("127.0.0.1", 80, 0, socket.SOCK_STREAM, 0, 0)
            assert found is not None
            assert found[0][4] == ("127.0.0.99", 80)
    finally:
        literals.forget_shapes()
    assert len(asked) == 2


def test_auditors_hear_of_each_answer() -> None:
    heard: list[Any] = []
    on = True

    def hook(event: str, args: Any) -> None:
        if on and event == "socket.getaddrinfo":
            heard.append(args)

    sys.addaudithook(hook)  # for the rest of the process: it is silent again below
    try:
        for _ in range(2):
            literals.numeric_answer("127.0.0.1", 80, 0, socket.SOCK_STREAM, 0, 0)
    finally:
        on = False
    assert [tuple(args) for args in heard[-2:]] == [("127.0.0.1", 80, 0, socket.SOCK_STREAM, 0)] * 2


@pytest.mark.parametrize(
    ("address", "family", "whole"),
    [
        (("127.0.0.1", 80), socket.AF_INET, True),
        (("::1", 80), socket.AF_INET6, True),
        (("::1", 80, 0, 1), socket.AF_INET6, True),
        (("127.0.0.1", 80), socket.AF_INET6, False),
        (("::1", 80), socket.AF_INET, False),
        (("127.0.0.1", 80, 0, 0), socket.AF_INET, False),
        (("127.0.0.1", "80"), socket.AF_INET, False),
        (("localhost", 80), socket.AF_INET, False),
        (("fe80::1%lo", 80), socket.AF_INET6, False),
        (["127.0.0.1", 80], socket.AF_INET, False),
        (None, socket.AF_INET, False),
    ],
)
def test_what_is_a_whole_address(address: Any, family: int, whole: bool) -> None:
    assert bool(literals.is_numeric(address, family)) is whole
