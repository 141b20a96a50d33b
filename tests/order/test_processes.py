"""In which turns a child process and its pipes are told of, counted from what caused it: as on asyncio, which is asked in the same test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, World

pytestmark = pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs to see that a child has ended without collecting it")

each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

ORACLE = WORLDS[-1]

# It ends when the pipe whose number it is given does.
ECHO = "import os, sys\nwhile data := os.read(0, 100): os.write(1, data)\nos.read(int(sys.argv[1]), 1)"

# Before it asyncio's watchers tell of the end of a process one turn later, or by a thread, and `wait()` waits for the pipes.
TELLS_AT_ONCE = sys.version_info >= (3, 14)

Log = list[tuple[int, str]]


class Told(asyncio.SubprocessProtocol):
    """Notes what it is told, and in which turn."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.turn = 0
        self.over = asyncio.get_running_loop().create_future()

    def count(self) -> None:
        self.turn += 1
        if not self.over.done():
            asyncio.get_running_loop().call_soon(self.count)

    def note(self, what: str) -> None:
        self.log.append((self.turn, what))

    def connection_made(self, transport: Any) -> None:
        self.note("made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.note(f"{len(data)} from {fd}")

    def pipe_connection_lost(self, fd: int, exc: BaseException | None) -> None:
        self.note(f"{fd} is lost by {exc}")

    def process_exited(self) -> None:
        self.note("exited")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.note(f"lost by {exc}")
        self.over.set_result(None)


def until_it_ends(transport: Any) -> None:
    with contextlib.suppress(ChildProcessError):  # a thread of asyncio's may have collected it
        os.waitid(os.P_PID, transport.get_pid(), os.WEXITED | os.WNOWAIT)


async def a_child_that_echoes() -> Log:
    log: Log = []
    told = Told(log)
    told.count()
    there, here = os.pipe()
    transport: Any
    transport, _ = await asyncio.get_running_loop().subprocess_exec(
        lambda: told, sys.executable, "-c", ECHO, str(there), stderr=None, pass_fds=(there,)
    )
    os.close(there)
    told.note("started")

    async def wait() -> None:
        told.note(f"waited for, status {await transport._wait()}")

    waiting = asyncio.create_task(wait())
    stdin, stdout = transport.get_pipe_transport(0), transport.get_pipe_transport(1)
    stdin.write(b"12345")
    select.select([stdout.get_extra_info("pipe")], [], [])
    told.note("echoed")
    for _ in range(5):
        await asyncio.sleep(0)
    told.note("close")
    stdin.close()
    for _ in range(5):
        await asyncio.sleep(0)
    os.close(here)
    until_it_ends(transport)
    told.note("ends")
    await told.over
    await waiting
    transport.close()
    return log


def sorted_out(log: Log) -> Log:
    """Which of the events of one turn comes first is the system's affair."""
    if not TELLS_AT_ONCE:
        log = [entry for entry in log if not entry[1].startswith(("exited", "waited for", "lost by"))]
    return sorted(log)


@each_of_ours
def test_a_child_is_told_of_in_the_turns_of_asyncio(world: World) -> None:
    expected = [
        # `wait()` ends later, behind those who read: see below.
        (turn + 2, what) if what.startswith("waited for") else (turn, what)
        for turn, what in ORACLE.run(a_child_that_echoes)
    ]
    assert sorted_out(world.run(a_child_that_echoes)) == sorted_out(expected)


@pytest.mark.parametrize("world", OURS if TELLS_AT_ONCE else WORLDS, ids=repr)
@pytest.mark.parametrize("late", [False, True], ids=["before", "meanwhile"])
def test_who_reads_has_what_a_child_wrote_before_the_wait_for_it_ends(world: World, late: bool) -> None:
    """Pipes and process are heard of in one turn. A server of AsyncSSH's sends the status when the wait ends, and nothing after it.

    Up to Python 3.13 asyncio's wait ends with the pipes; since then it may come before what was written.
    late: the wait begins when the end has been heard of.
    """

    async def main() -> list[str]:
        log: list[str] = []
        child = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "read go; echo out", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        given, output = child.stdin, child.stdout
        assert given is not None
        assert output is not None

        async def read() -> None:
            log.append((await output.readline()).decode())

        async def wait() -> None:
            while late and child.returncode is None:
                await asyncio.sleep(0)
            log.append(f"status {await child.wait()}")

        tasks = [asyncio.create_task(wait()), asyncio.create_task(read())]
        await asyncio.sleep(0)
        given.write(b"go\n")
        await given.drain()
        until_it_ends(child._transport)  # type: ignore[attr-defined]
        await asyncio.gather(*tasks)
        given.close()
        return log

    assert world.run(main) == ["out\n", "status 0"]


async def alone() -> list[str]:
    """Without anything on the ring meanwhile: in which order what the child tells comes, and what that wakes."""
    log: list[str] = []
    loop = asyncio.get_running_loop()

    def chain(name: str, number: int = 1) -> None:
        log.append(f"{name}, {number}")
        if number < 4:
            loop.call_soon(chain, name, number + 1)

    class Chained(Told):
        def note(self, what: str) -> None:
            log.append(what)
            if "from" in what:
                loop.call_soon(chain, "data")

    told = Chained([])
    transport: Any
    transport, _ = await loop.subprocess_exec(lambda: told, sys.executable, "-c", "print(1, flush=True)", stderr=None, stdin=None)
    until_it_ends(transport)
    await told.over
    while "data, 4" not in log:
        await asyncio.sleep(0)
    transport.close()
    return [entry for entry in log if TELLS_AT_ONCE or not entry.startswith(("exited", "lost by"))]


@each_of_ours
def test_the_end_that_came_with_the_last_data(world: World) -> None:
    assert world.run(alone) == ORACLE.run(alone)
