"""Terminals: pseudo ones stand in for the real thing."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, turns, until

pty = pytest.importorskip("pty")
tty = pytest.importorskip("tty")

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

Terminal = tuple[io.FileIO, int]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """The end of whoever sits at the terminal, and the descriptor of the program's end, which echoes nothing."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    near = io.FileIO(master, "r+b")
    yield near, slave
    near.close()
    try:
        os.close(slave)
    except OSError:
        pass  # a test gave it away


async def read_from(file: Any) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_read_pipe(Notes, file)


async def write_to(file: Any) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_write_pipe(Notes, file)


@each_world
def test_reading_what_is_typed(world: World, terminal: Terminal) -> None:
    async def main() -> None:
        near, slave = terminal
        transport, protocol = await read_from(io.FileIO(os.dup(slave), "rb"))
        for word in (b"one", b"two"):
            near.write(word)
            await until(lambda word=word: protocol.data.endswith(word))
        transport.close()
        assert await protocol.lost is None
        assert protocol.told == ["made", "data", "lost"]

    world.run(main)


@each_world
def test_the_program_at_the_terminal_ends(world: World) -> None:
    """EIO is how a terminal says goodbye: told to the protocol, and not worth a report."""

    async def main() -> None:
        master, slave = pty.openpty()
        transport, protocol = await read_from(io.FileIO(master, "rb"))
        os.write(slave, b"last words")
        await until(lambda: protocol.data == b"last words")
        os.close(slave)
        error = await protocol.lost
        assert isinstance(error, OSError)
        assert error.errno == errno.EIO
        assert protocol.told == ["made", "data", "lost"]
        transport.close()

    world.run(main)


@each_world
def test_writing_more_than_a_terminal_takes(world: World, terminal: Terminal) -> None:
    async def main() -> None:
        near, slave = terminal
        os.set_blocking(near.fileno(), False)
        transport, protocol = await write_to(io.FileIO(os.dup(slave), "wb"))
        data = b"0123456789" * 20_000
        transport.write(data)
        assert transport.get_write_buffer_size() > 0
        assert protocol.told == ["made", "pause"]
        received = b""
        while len(received) < len(data):
            received += near.read(100_000) or b""
            await asyncio.sleep(0)
        assert received == data
        await until(lambda: protocol.told[-1] == "resume")
        transport.close()
        assert await protocol.lost is None

    world.run(main)


@each_world
def test_typing_does_not_close_what_writes(world: World, terminal: Terminal) -> None:
    async def main() -> None:
        near, slave = terminal
        transport, protocol = await write_to(io.FileIO(os.dup(slave), "wb"))
        near.write(b"typed, and read by somebody else")
        await turns(5)
        transport.write(b"x")
        assert near.read(10) == b"x"
        transport.close()
        assert await protocol.lost is None

    world.run(main)


@each_world
def test_one_file_for_both_directions(world: World, terminal: Terminal) -> None:
    async def main() -> None:
        near, slave = terminal
        file = io.FileIO(slave, "r+b")
        reader, reading = await read_from(file)
        writer, writing = await write_to(file)
        near.write(b"typed")
        await until(lambda: reading.data == b"typed")
        writer.write(b"shown")
        assert near.read(10) == b"shown"
        if world.ours:  # with asyncio the first one closes it for both
            reader.close()
            assert await reading.lost is None
            await turns(2)
            os.set_blocking(near.fileno(), False)
            writer.write(b"x" * 100_000)  # more than fits: it has to be waited for
            received = b""
            while len(received) < 100_000:
                received += near.read(100_000) or b""
                await asyncio.sleep(0)
        writer.close()
        reader.close()
        await writing.lost
        await reading.lost
        await turns(2)
        assert file.closed

    world.run(main)


@each_of_ours
def test_a_terminal_is_given_back_as_it_was(world: World, terminal: Terminal) -> None:
    """The shell has the same terminal, in the same mode: without this its next program would fail with EAGAIN."""

    async def main() -> None:
        _, slave = terminal
        assert os.get_blocking(slave)
        reader, reading = await read_from(io.FileIO(os.dup(slave), "rb"))
        writer, writing = await write_to(io.FileIO(os.dup(slave), "wb"))
        reader.close()
        await reading.lost
        await turns(2)
        assert not os.get_blocking(slave)  # the other one still writes
        writer.close()
        await writing.lost
        await turns(2)
        assert os.get_blocking(slave)
        os.set_blocking(slave, False)
        reader, reading = await read_from(io.FileIO(os.dup(slave), "rb"))
        reader.close()
        await reading.lost
        await turns(2)
        assert not os.get_blocking(slave)  # it was found so

    world.run(main)


PROGRAM = """
import asyncio, sys
from tests.support.driver_worlds import on_driver
import cede

class Upper(asyncio.Protocol):
    def data_received(self, data):
        out.write(data.upper())
        if b"q" in data:
            out.close()
            self.transport.close()
    def connection_made(self, transport):
        self.transport = transport
    def connection_lost(self, error):
        done.set()

class Out(asyncio.BaseProtocol):
    def pause_writing(self): pass
    def resume_writing(self): pass

async def main():
    global out, done
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    out, _ = await loop.connect_write_pipe(Out, sys.stdout)
    await loop.connect_read_pipe(Upper, sys.stdin)
    out.write(b"ready\\n")
    await done.wait()

loop_factory = asyncio.SelectorEventLoop if {name!r} == "asyncio" else on_driver({name!r}).new_loop
with asyncio.Runner(loop_factory=loop_factory) as runner:
    runner.run(main())
"""


@each_world
def test_a_program_on_a_terminal(world: World, terminal: Terminal) -> None:
    """Standard input and output of a program are one terminal, the way a shell starts it (uvloop 311)."""
    near, slave = terminal
    code = textwrap.dedent(PROGRAM).replace("{name!r}", repr(world.name))
    child = subprocess.Popen([sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=subprocess.PIPE)
    try:
        seen = b""
        while not seen.endswith(b"ready\n"):
            seen += near.read(100)
        for word in (b"one", b"two"):
            near.write(word)
            answer = b""
            while len(answer) < 3:
                answer += near.read(100)
            assert answer == word.upper()
        near.write(b"q")
        assert near.read(100) == b"Q"
        _, errors = child.communicate(timeout=30)
        assert child.returncode == 0
        assert errors == b""
        if world.ours:
            assert os.get_blocking(slave)
    finally:
        child.kill()
        child.wait()
