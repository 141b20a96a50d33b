"""Debug mode: the checks it adds, and that it can be switched at any time."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

NEW_LOOP = "import cede; loop = cede.new_event_loop(); print(loop.get_debug()); loop.close()"


def test_debug_can_be_switched(loop: asyncio.AbstractEventLoop) -> None:
    assert loop.get_debug() is False
    loop.set_debug(True)
    assert loop.get_debug() is True
    loop.set_debug(False)
    assert loop.get_debug() is False


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [([], {}, "False"), (["-X", "dev"], {}, "True"), ([], {"PYTHONASYNCIODEBUG": "1"}, "True")],
)
def test_debug_from_outside(options: list[str], environment: dict[str, str], expected: str) -> None:
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE")}
    done = subprocess.run([sys.executable, *options, "-c", NEW_LOOP], env=plain | environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_slow_callbacks_are_reported(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    loop.set_debug(True)
    loop.slow_callback_duration = 0.001
    loop.call_soon(time.sleep, 0.005)
    loop.call_soon(loop.stop)
    with caplog.at_level(logging.WARNING, "asyncio"):
        loop.run_forever()
    assert any("Executing" in text and "sleep" in text for text in caplog.messages)


def test_slow_tasks_are_reported(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    async def slow() -> None:
        time.sleep(0.005)

    loop.set_debug(True)
    loop.slow_callback_duration = 0.001
    with caplog.at_level(logging.WARNING, "asyncio"):
        loop.run_until_complete(slow())
    assert any("Executing <Task" in text and "slow()" in text for text in caplog.messages)


def test_calls_from_another_thread_are_refused(loop: asyncio.AbstractEventLoop) -> None:
    errors: list[BaseException] = []

    def elsewhere() -> None:
        for call in (
            lambda: loop.call_soon(print),
            lambda: loop.call_later(0, print),
            lambda: loop.call_at(0, print),
        ):
            try:
                call()
            except RuntimeError as error:
                errors.append(error)
        loop.call_soon_threadsafe(int)

    async def main() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    loop.set_debug(True)
    loop.run_until_complete(main())
    assert len(errors) == 3
    assert all("Non-thread-safe operation" in str(error) for error in errors)


def test_coroutines_are_no_callbacks(loop: asyncio.AbstractEventLoop) -> None:
    async def coroutine_function() -> None:
        pass

    loop.set_debug(True)
    for call in (loop.call_soon, loop.call_soon_threadsafe):
        with pytest.raises(TypeError, match="coroutines cannot be used"):
            call(coroutine_function)


def test_blocking_sockets_are_refused(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with one, other:
            for call in (
                lambda: loop.sock_recv(one, 1),
                lambda: loop.sock_recv_into(one, bytearray(1)),
                lambda: loop.sock_recvfrom(one, 1),
                lambda: loop.sock_recvfrom_into(one, bytearray(1)),
                lambda: loop.sock_sendall(one, b"x"),
                lambda: loop.sock_sendto(one, b"x", ("127.0.0.1", 9)),
                lambda: loop.sock_connect(one, ("127.0.0.1", 9)),
                lambda: loop.sock_accept(one),
            ):
                with pytest.raises(ValueError, match="non-blocking"):
                    await call()

    run(main, debug=True)


def test_coroutine_origins_are_tracked_while_running(loop: asyncio.AbstractEventLoop) -> None:
    assert sys.get_coroutine_origin_tracking_depth() == 0

    async def depth() -> int:
        return sys.get_coroutine_origin_tracking_depth()

    async def switch() -> list[int]:
        loop.set_debug(True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        on = sys.get_coroutine_origin_tracking_depth()
        loop.set_debug(False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [on, sys.get_coroutine_origin_tracking_depth()]

    assert loop.run_until_complete(depth()) == 0
    on, off = loop.run_until_complete(switch())
    assert on > 0
    assert off == 0
    loop.set_debug(True)
    assert loop.run_until_complete(depth()) > 0
    assert sys.get_coroutine_origin_tracking_depth() == 0
