"""A closed loop refuses work as asyncio's does, whatever drives it; also what was asked for before and begins later."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.core.scheduler.kernel import COMPILED

DRIVERS = ["selector", *(["epoll"] if COMPILED and sys.platform == "linux" else [])]
# Where asyncio's closed loop does not notice, cede's says so all the same.
UNNOTICED = {"sock_sendall", "sock_sendto", "sock_sendfile", "create_unix_connection", "sock_connect"}


class Stage:
    """What the methods are called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.near, self.far = socket.socketpair()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self.fresh = socket.socket()
        self.file = open(os.devnull, "rb")  # noqa: SIM115 - `close` closes it
        self.sockets = [self.near, self.far, self.listener, self.datagrams, self.fresh]
        for each in self.sockets:
            each.setblocking(False)

    def close(self) -> None:
        for each in (*self.sockets, self.file):
            each.close()


def nothing(*args: Any) -> None:
    pass


METHODS: dict[str, Callable[[Any, Stage], Any]] = {
    "call_soon": lambda loop, s: loop.call_soon(nothing),
    "call_later": lambda loop, s: loop.call_later(1, nothing),
    "call_at": lambda loop, s: loop.call_at(1, nothing),
    "call_soon_threadsafe": lambda loop, s: loop.call_soon_threadsafe(nothing),
    "run_forever": lambda loop, s: loop.run_forever(),
    "run_until_complete": lambda loop, s: loop.run_until_complete(loop.create_future()),
    "stop": lambda loop, s: loop.stop(),
    "close": lambda loop, s: loop.close(),
    "run_in_executor": lambda loop, s: loop.run_in_executor(None, nothing),
    "add_reader": lambda loop, s: loop.add_reader(s.near, nothing),
    "add_reader of a number": lambda loop, s: loop.add_reader(s.near.fileno(), nothing),
    "remove_reader": lambda loop, s: loop.remove_reader(s.near),
    "add_writer": lambda loop, s: loop.add_writer(s.near, nothing),
    "remove_writer": lambda loop, s: loop.remove_writer(s.near),
    "add_signal_handler": lambda loop, s: loop.add_signal_handler(signal.SIGUSR1, nothing),
    "remove_signal_handler": lambda loop, s: loop.remove_signal_handler(signal.SIGUSR1),
    "sock_recv": lambda loop, s: loop.sock_recv(s.near, 1),
    "sock_recv_into": lambda loop, s: loop.sock_recv_into(s.near, bytearray(1)),
    "sock_recvfrom": lambda loop, s: loop.sock_recvfrom(s.datagrams, 1),
    "sock_recvfrom_into": lambda loop, s: loop.sock_recvfrom_into(s.datagrams, bytearray(1)),
    "sock_sendall": lambda loop, s: loop.sock_sendall(s.near, b"x"),
    "sock_sendto": lambda loop, s: loop.sock_sendto(s.datagrams, b"x", s.datagrams.getsockname()),
    "sock_accept": lambda loop, s: loop.sock_accept(s.listener),
    "sock_connect": lambda loop, s: loop.sock_connect(s.fresh, s.listener.getsockname()),
    "sock_sendfile": lambda loop, s: loop.sock_sendfile(s.near, s.file),
    "getaddrinfo": lambda loop, s: loop.getaddrinfo("127.0.0.1", 1),
    "getaddrinfo of a name": lambda loop, s: loop.getaddrinfo("localhost", 1),
    "getnameinfo": lambda loop, s: loop.getnameinfo(("127.0.0.1", 1)),
    "create_connection": lambda loop, s: loop.create_connection(asyncio.Protocol, *s.listener.getsockname()),
    "create_server": lambda loop, s: loop.create_server(asyncio.Protocol, "127.0.0.1", 0),
    "create_unix_connection": lambda loop, s: loop.create_unix_connection(asyncio.Protocol, str(s.folder / "nobody")),
    "subprocess_shell": lambda loop, s: loop.subprocess_shell(asyncio.SubprocessProtocol, 5),
    "shutdown_asyncgens": lambda loop, s: loop.shutdown_asyncgens(),
}
OPERATIONS = ("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_accept", "sock_sendall", "sock_sendto")


def outcome(loop: Any, made: Callable[[], Any]) -> type[BaseException] | None:
    """What comes of a call, and of the first step of what it returns."""
    try:
        result = made()
        if asyncio.iscoroutine(result):
            asyncio._set_running_loop(loop)
            try:
                result.send(None)
            except StopIteration:
                pass
            finally:
                asyncio._set_running_loop(None)
                result.close()
    except Exception as error:
        return type(error)
    return None


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("driver", DRIVERS)
def test_every_method_of_a_closed_loop(driver: str, name: str, stage: Stage) -> None:
    def of(loop: Any) -> type[BaseException] | None:
        loop.close()
        return outcome(loop, lambda: METHODS[name](loop, stage))

    given = of(cede.EventLoop(driver))
    if name in UNNOTICED:
        assert given is RuntimeError
    else:
        assert given is of(asyncio.SelectorEventLoop())


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_what_was_asked_for_before_and_begins_after_the_end(driver: str, name: str, stage: Stage) -> None:
    def of(loop: Any) -> type[BaseException] | None:
        operation = METHODS[name](loop, stage)
        loop.close()
        return outcome(loop, lambda: operation)

    given, wanted = of(cede.EventLoop(driver)), of(asyncio.SelectorEventLoop())
    assert given is wanted or given is RuntimeError


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_closed_driver_waits_for_nothing(driver: str) -> None:
    loop = cede.EventLoop(driver)
    loop.close()
    with pytest.raises(RuntimeError):
        loop.driver.wait(0.0)
