"""Debug mode: what was slow is told, in the words that tools filter on. asyncio is the oracle for the words."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, World

Run = Callable[..., Any]
SLOW = 0.02  # what counts as slow in these tests, in seconds
MARK = re.compile(r"^Executing <(Task|\w*Handle) .*> took \d+\.\d{3} seconds$", re.DOTALL)


def hold_up(*_: Any) -> None:
    time.sleep(SLOW)


@pytest.fixture
def slow_reports(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The reports about `hold_up` so far."""

    def told() -> list[str]:
        return [text for text in caplog.messages if text.startswith("Executing") and ("hold_up" in text or "Transport" in text)]

    with caplog.at_level(logging.WARNING, "asyncio"):
        yield told


def in_debug(run: Run, main: Callable[[], Any]) -> Any:
    async def slow_main() -> Any:
        asyncio.get_running_loop().slow_callback_duration = SLOW
        return await main()

    return run(slow_main, debug=True)


@pytest.mark.parametrize("way", ["call_soon", "call_later", "call_soon_threadsafe", "add_reader", "done_callback"])
def test_slow_callbacks_are_told_in_the_words_tools_filter_on(run: Run, slow_reports: Callable[[], list[str]], way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        if way == "add_reader":
            one, other = socket.socketpair()
            with one, other:
                loop.add_reader(one, hold_up)
                other.send(b"x")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                loop.remove_reader(one)
        elif way == "call_later":
            loop.call_later(0, hold_up)
            await asyncio.sleep(0.001)
        elif way == "done_callback":
            future = loop.create_future()
            future.add_done_callback(hold_up)
            future.set_result(None)
            await asyncio.sleep(0)
        else:
            getattr(loop, way)(hold_up)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    in_debug(run, main)
    told = slow_reports()
    assert told
    for text in told:
        found = MARK.match(text)
        assert found
        assert found[1] in {"call_later": ["TimerHandle"], "call_soon_threadsafe": ["Handle", "ThreadSafeHandle", "_ThreadSafeHandle"]}.get(
            way, ["Handle"]
        )
        assert "hold_up(" in text
        assert "created at" in text


def test_slow_tasks_are_told_as_tasks(run: Run, slow_reports: Callable[[], list[str]]) -> None:
    async def work_that_calls_hold_up() -> None:
        hold_up()

    async def main() -> None:
        await asyncio.create_task(work_that_calls_hold_up(), name="guilty")

    in_debug(run, main)
    (text,) = slow_reports()
    found = MARK.match(text)
    assert found
    assert found[1] == "Task"
    assert "name='guilty'" in text
    assert "work_that_calls_hold_up()" in text


class SlowProtocol(asyncio.Protocol):
    """Holds the loop up in one of its methods."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        if self.where == "connection_made":
            hold_up()

    def data_received(self, data: bytes) -> None:
        if self.where == "data_received":
            hold_up()

    def eof_received(self) -> None:
        if self.where == "eof_received":
            hold_up()

    def connection_lost(self, error: BaseException | None) -> None:
        if self.where == "connection_lost":
            hold_up()
        self.lost.set_result(None)


@pytest.mark.parametrize("where", ["connection_made", "data_received", "eof_received", "connection_lost"])
@pytest.mark.parametrize("kind", ["stream", "pipe"])
@pytest.mark.parametrize("world", OURS, ids=repr)
def test_slow_protocols_are_told(world: World, slow_reports: Callable[[], list[str]], where: str, kind: str) -> None:
    """They are called straight from the driver, and the report says which protocol it was, which asyncio's does not."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = SLOW
        if kind == "stream":
            one, other = socket.socketpair()
            one.setblocking(False)
            transport, protocol = await loop.create_connection(lambda: SlowProtocol(where), sock=one)
        else:
            if where == "eof_received":
                pytest.skip("the end of a pipe is its connection's")
            ear, mouth = os.pipe()
            other = open(mouth, "wb", 0)  # noqa: SIM115
            transport, protocol = await loop.connect_read_pipe(lambda: SlowProtocol(where), open(ear, "rb", 0))  # noqa: SIM115
        with other:
            os.write(other.fileno(), b"x")
            await asyncio.sleep(0.001)
        await protocol.lost
        transport.close()

    world.run(main, debug=True)
    told = slow_reports()
    assert told
    for text in told:
        assert MARK.match(text)
    assert where.startswith("connection_") or any("SlowProtocol" in text for text in told)


def test_nothing_slow_is_told_without_debug_mode(run: Run, slow_reports: Callable[[], list[str]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = SLOW
        loop.call_soon(hold_up)
        await asyncio.sleep(0)

    run(main, debug=False)
    assert not slow_reports()
