"""The hosts file: which names may be asked for without a thread."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cede.loop import naming
from cede.net.hosts_file import LARGEST, HostsFile, files_come_first, names_in, uses_glibc

glibc_only = pytest.mark.skipif(not uses_glibc(), reason="the C library is not glibc: a thread is always asked")


@pytest.fixture
def known(tmp_path: Path) -> HostsFile:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost here\n::1 localhost\n10.0.0.1 four # six\n")
    (tmp_path / "nsswitch.conf").write_text("passwd: files\nhosts: files dns\n")
    return HostsFile(str(tmp_path / "hosts"), str(tmp_path / "nsswitch.conf"), str(tmp_path / "nscd"))


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("hosts: files dns", True),
        ("hosts:\tfiles", True),
        ("  hosts :files mdns4_minimal [NOTFOUND=return] dns", True),
        ("hosts: dns files", False),
        ("hosts: files [SUCCESS=continue] dns", False),
        ("hosts: myhostname files", False),
        ("#hosts: files", False),
        ("hosts:", False),
        ("networks: files", False),
    ],
)
def test_the_switch(line: str, first: bool) -> None:
    assert files_come_first(f"passwd: compat\n{line}\n") is first


def test_the_names_and_their_families() -> None:
    text = "127.0.0.1\tLocalhost here # not-here\n\n::1 localhost\nnonsense other\nfe80::1%lo scoped\n1.2.3 short\n"
    assert names_in(text) == {"localhost": {socket.AF_INET, socket.AF_INET6}, "here": {socket.AF_INET}}


@glibc_only
@pytest.mark.parametrize(
    ("host", "port", "family", "flags", "answered"),
    [
        ("localhost", 80, 0, 0, True),
        ("LOCALHOST", None, 0, 0, True),
        ("localhost", "80", socket.AF_INET6, socket.AI_PASSIVE, True),
        ("four", 80, 0, 0, True),
        ("four", 80, socket.AF_INET, 0, True),
        ("four", 80, socket.AF_INET6, 0, False),  # not there: the library would go on and ask the network
        ("four", 80, socket.AF_INET6, socket.AI_V4MAPPED, False),
        ("six", 80, 0, 0, False),
        ("localhost.", 80, 0, 0, False),
        ("localhost", "http", 0, 0, False),
        ("localhost", 80, 0, socket.AI_ADDRCONFIG, False),
        (b"localhost", 80, 0, 0, False),
        (None, 80, 0, 0, False),
    ],
)
def test_what_is_found_there(known: HostsFile, host: Any, port: Any, family: int, flags: int, answered: bool) -> None:
    assert known.answers(host, port, family, flags) is answered


@glibc_only
def test_changes_are_noticed(known: HostsFile, tmp_path: Path) -> None:
    def change(name: str, text: str) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(text)
        os.replace(fresh, tmp_path / name)  # another file: however coarse the system's clock, it is seen

    assert not known.answers("late", 80, 0, 0)
    change("hosts", "127.0.0.1 late\n")
    assert known.answers("late", 80, 0, 0)
    change("nsswitch.conf", "hosts: dns files\n")
    assert not known.answers("late", 80, 0, 0)
    change("nsswitch.conf", "hosts: files\n")
    assert known.answers("late", 80, 0, 0)
    (tmp_path / "nscd").touch()
    assert not known.answers("late", 80, 0, 0), "a daemon stands in front of the file"
    (tmp_path / "nscd").unlink()
    change("hosts", "127.0.0.1 late\n" + "#" * LARGEST)
    assert not known.answers("late", 80, 0, 0), "reading it would take long"
    (tmp_path / "hosts").unlink()
    assert not known.answers("late", 80, 0, 0)


@glibc_only
def test_such_a_name_takes_no_thread(loop: asyncio.AbstractEventLoop, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["loop_factory"] == "asyncio":
        pytest.skip("asyncio asks a thread")
    if not naming.hosts_file.answers("localhost", 80, 0, 0):
        pytest.skip("this system's hosts file does not have localhost, or does not come first")
    for family in (socket.AF_UNSPEC, socket.AF_INET):
        wanted = socket.getaddrinfo("localhost", 80, family)
        assert loop.run_until_complete(loop.getaddrinfo("localhost", 80, family=family)) == wanted
    assert loop._name_pool is None  # type: ignore[attr-defined]


@glibc_only
def test_a_name_that_is_not_there_takes_one(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    asked: list[Any] = []

    def resolver(*question: Any) -> list[Any]:
        asked.append(threading.current_thread())
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolver)

    async def main() -> None:
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 80) == []

    run(main)
    assert asked != [threading.main_thread()], "one that the program put there may block"
