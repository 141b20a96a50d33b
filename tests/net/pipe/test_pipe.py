"""Pipe transports: pipes, FIFOs and sockets, and reading from them. Terminals have a file of their own."""

from __future__ import annotations

import asyncio
import contextvars
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, reports, turns, until
from tests.support.pipe_files import open_descriptors, pipe_files, read_from, write_to

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


# -- the plain way


@each_world
def test_both_ends(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        reader, reading = await read_from(ear)
        writer, writing = await write_to(mouth)
        data = os.urandom(1 << 20)
        writer.write(data[:5])
        await until(lambda: len(reading.data) == 5)
        writer.write(data[5:])
        assert writer.get_write_buffer_size() > 0
        assert writer.can_write_eof()
        writer.write_eof()
        writer.write(b"too late: dropped")
        assert await reading.lost is None
        assert await writing.lost is None
        assert reading.data == data
        assert reading.told == ["made", "data", "eof", "lost"]
        assert writing.told[-1] == "lost"
        await turns(2)
        assert ear.closed
        assert mouth.closed
        for transport in (reader, writer):
            transport.close()
            assert "closed" in repr(transport)

    world.run(main)


@each_world
def test_what_they_tell_of_themselves(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        numbers = (ear.fileno(), mouth.fileno())
        reader, reading = await read_from(ear)
        writer, writing = await write_to(mouth)
        assert isinstance(reader, asyncio.ReadTransport)
        assert isinstance(writer, asyncio.WriteTransport)
        for transport, protocol, file, number in zip((reader, writer), (reading, writing), (ear, mouth), numbers, strict=True):
            assert transport.get_extra_info("pipe") is file
            assert transport.get_extra_info("nothing", 1) == 1
            assert transport._pipe is file
            assert transport._fileno == number
            assert transport.get_protocol() is protocol
            assert not transport.is_closing()
            assert f"fd={number}" in repr(transport)
            assert not os.get_blocking(number)
            assert protocol.told == ["made"]
        assert reader.is_reading()
        assert writer.get_write_buffer_limits() == (16384, 65536)
        reader.close()
        writer.close()
        for transport, protocol, file in zip((reader, writer), (reading, writing), (ear, mouth), strict=True):
            assert transport.is_closing()
            assert await protocol.lost is None
            await turns(2)
            assert transport._pipe is None
            assert transport.get_protocol() is None
            assert transport.get_extra_info("pipe") is file
            assert protocol.told == ["made", "lost"]

    world.run(main)


@each_world
def test_a_write_pipe_reads_nothing_and_says_so(world: World) -> None:
    async def main() -> None:
        reader, writer = pipe_files()
        with reader:
            transport, protocol = await write_to(writer)
            for name in ("pause_reading", "resume_reading", "is_reading"):
                with pytest.raises(NotImplementedError):
                    getattr(transport, name)()
            transport.close()
            await protocol.lost

    world.run(main)


@each_world
def test_streams_over_pipes(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ear, mouth = pipe_files()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), ear)
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, mouth)
        writer = asyncio.StreamWriter(transport, protocol, None, loop)

        async def produce() -> None:
            for number in range(5000):
                writer.write(b"line %d\n" % number * 10)
                await writer.drain()
            writer.close()

        producing = asyncio.create_task(produce())
        for number in range(5000):
            assert await reader.readexactly(len(b"line %d\n" % number * 10)) == b"line %d\n" % number * 10
        assert await reader.read() == b""
        await producing
        await turns(3)

    world.run(main)


@each_world
def test_callbacks_run_where_the_transport_was_made(world: World) -> None:
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="unset")
    seen: list[str] = []

    class Marked(Notes):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            seen.append(mark.get())

    async def main() -> None:
        ear, mouth = pipe_files()
        mark.set("ours")
        _, protocol = await read_from(ear, Marked)
        mark.set("theirs")
        mouth.write(b"x")
        await until(lambda: protocol.data)
        mouth.close()
        await protocol.lost
        assert seen == ["ours"]

    world.run(main)


@each_world
def test_another_protocol_takes_over(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        transport, first = await read_from(ear)
        second = Notes()
        second.told.append("made")
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        mouth.write(b"x")
        mouth.close()
        await second.lost
        assert first.told == ["made"]
        assert second.told == ["made", "data", "eof", "lost"]

    world.run(main)


# -- reading


@each_world
def test_pausing(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        transport, protocol = await read_from(ear)
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        mouth.write(b"one")
        await turns(5)
        assert protocol.told == ["made"]
        transport.resume_reading()
        transport.resume_reading()
        await until(lambda: protocol.data == b"one")
        transport.pause_reading()
        mouth.write(b"two")
        mouth.close()
        await turns(5)
        assert protocol.data == b"one"
        transport.resume_reading()
        await protocol.lost
        assert protocol.data == b"onetwo"
        transport.pause_reading()
        transport.resume_reading()

    world.run(main)


@each_world
def test_paused_from_the_start(world: World) -> None:
    class Shy(Notes):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    async def main() -> None:
        ear, mouth = pipe_files()
        mouth.write(b"x")
        transport, protocol = await read_from(ear, Shy)
        await turns(5)
        assert protocol.told == ["made"]
        transport.resume_reading()
        await until(lambda: protocol.data)
        transport.close()
        mouth.close()
        await protocol.lost

    world.run(main)


@each_world
def test_closing_while_data_waits(world: World) -> None:
    class Brief(Notes):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.close()

    async def main() -> None:
        ear, mouth = pipe_files()
        _, protocol = await read_from(ear, Brief)
        mouth.write(b"x")
        assert await protocol.lost is None
        assert protocol.told == ["made", "data", "lost"]
        await turns(2)
        with pytest.raises(BrokenPipeError):
            mouth.write(b"y")
        mouth.close()

    world.run(main)


@each_world
def test_what_the_protocol_raises_is_reported(world: World) -> None:
    class Failing(Notes):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise ValueError("from the protocol")

        def eof_received(self) -> bool:
            super().eof_received()
            raise ValueError("from the protocol")

    async def main() -> None:
        ear, mouth = pipe_files()
        with reports() as told:
            _, protocol = await read_from(ear, Failing)
            for word in (b"one", b"two"):
                mouth.write(word)
                await until(lambda word=word: protocol.data.endswith(word))
            mouth.close()
            assert await protocol.lost is None
        assert [str(context["exception"]) for context in told] == ["from the protocol"] * 3

    world.run(main)


@each_world
def test_a_fifo(world: World, tmp_path: Path) -> None:
    """Regression 6: at the end of the data the transport gives the descriptor back by itself (uvloop 80)."""

    async def main() -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        before = open_descriptors()
        for _ in range(3):
            ear = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
            _, protocol = await read_from(ear)
            await turns(3)
            assert protocol.told == ["made"]  # no writer yet is not the end
            mouth = io.FileIO(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "wb")
            writer, writing = await write_to(mouth)
            writer.write(b"through a fifo")
            writer.close()
            await protocol.lost
            await writing.lost
            assert protocol.data == b"through a fifo"
            await turns(2)
            assert ear.closed
            assert mouth.closed
        assert open_descriptors() == before

    world.run(main)


@each_world
def test_sockets(world: World) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        reader, reading = await read_from(one)
        writer, writing = await write_to(other)
        writer.write(b"x" * 300_000)
        await until(lambda: len(reading.data) == 300_000)
        reader.close()
        assert await reading.lost is None
        assert await writing.lost is None  # noticed without writing
        await turns(2)
        assert one.fileno() == other.fileno() == -1

    world.run(main)


@each_of_ours
def test_a_socket_that_is_written_to_may_say_something(world: World) -> None:
    """asyncio takes it for the end."""

    async def main() -> None:
        one, other = socket.socketpair()
        writer, writing = await write_to(one)
        other.send(b"unasked")
        await turns(5)
        assert writing.told == ["made"]
        writer.write(b"still open")
        assert other.recv(100) == b"still open"
        other.close()
        writer.write(b"x")
        assert isinstance(await writing.lost, BrokenPipeError)

    world.run(main)
