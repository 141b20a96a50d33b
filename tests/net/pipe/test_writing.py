"""Write pipes: full ones, readers that go away, ends with a queue."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, turns, until
from tests.support.pipe_files import pipe_files, write_to

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_world
def test_a_full_pipe(world: World) -> None:
    """Regression 14: no matter how much is written to a pipe that nobody reads from (uvloop 311)."""

    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth)
        data = os.urandom(1 << 19)
        for place in range(0, len(data), 1 << 12):
            writer.write(data[place : place + (1 << 12)])
        assert protocol.told == ["made", "pause"]
        assert writer.get_write_buffer_size() > 65536
        received = bytearray()
        os.set_blocking(ear.fileno(), False)
        while len(received) < len(data):
            received += ear.read(100_000) or b""
            await asyncio.sleep(0)
        assert received == data
        await until(lambda: protocol.told[-1] == "resume")
        assert writer.get_write_buffer_size() == 0
        writer.write(b"more")
        assert ear.read(10) == b"more"
        writer.close()
        assert await protocol.lost is None
        assert ear.read(10) == b""
        ear.close()

    world.run(main)


@each_world
def test_the_callers_buffer_may_change_afterwards(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth)
        buffer = bytearray(b"a" * 200_000)
        writer.write(buffer)
        writer.write(memoryview(buffer)[:100_000])
        buffer[:] = b"b" * 200_000
        writer.write_eof()
        received = await asyncio.to_thread(ear.readall)
        assert received == b"a" * 300_000
        await protocol.lost
        ear.close()

    world.run(main)


@each_world
def test_writelines(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth)
        pieces = [os.urandom(size) for size in (1, 0, 5000, 70_000, 3) * 200]
        writer.writelines(iter(pieces))
        writer.writelines([])
        writer.writelines([bytearray(b"last"), memoryview(b"-one")])
        writer.close()
        assert await asyncio.to_thread(ear.readall) == b"".join(pieces) + b"last-one"
        await protocol.lost
        ear.close()

    world.run(main)


@each_of_ours
def test_what_cannot_be_written(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth)
        for junk in ("text", 5, None):
            with pytest.raises(TypeError, match="bytes-like object"):
                writer.write(junk)
            with pytest.raises(TypeError, match="bytes-like object"):
                writer.writelines([b"never", junk])
        writer.write(b"")
        writer.close()
        await protocol.lost
        assert ear.read(10) == b""
        ear.close()

    world.run(main)


@each_world
@pytest.mark.parametrize("queued", [False, True])
def test_the_reader_goes_away(world: World, queued: bool) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth)
        if queued:
            writer.write(bytes(200_000))
        ear.close()
        error = await protocol.lost
        if queued:
            assert isinstance(error, BrokenPipeError)
        else:
            assert error is None
        assert writer.is_closing()
        for _ in range(7):
            writer.write(b"dropped")
        await turns(3)
        assert mouth.closed
        assert protocol.told.count("lost") == 1

    world.run(main)


@each_world
def test_writing_to_a_reader_that_has_gone(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth)
        ear.close()
        writer.write(b"x")
        assert isinstance(await protocol.lost, BrokenPipeError)
        assert protocol.told == ["made", "lost"]

    world.run(main)


@each_world
@pytest.mark.parametrize("way", ["abort", "close", "write_eof"])
def test_ending_with_a_queue(world: World, way: str) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth)
        writer.write(bytes(300_000))
        getattr(writer, way)()
        if world.ours or way != "abort":  # asyncio tells the end as often as it is aborted
            getattr(writer, way)()
        assert writer.is_closing()
        await turns(3)
        if way == "abort":
            assert await protocol.lost is None
            assert len(ear.readall()) < 300_000
        else:
            assert not protocol.lost.done()
            assert len(await asyncio.to_thread(ear.readall)) == 300_000
            assert await protocol.lost is None
        assert protocol.told.count("lost") == 1
        ear.close()

    world.run(main)


@each_of_ours
def test_closing_inside_flow_control(world: World) -> None:
    class Closing(Notes):
        def resume_writing(self) -> None:
            super().resume_writing()
            self.transport.close()
            self.transport.abort()

    async def main() -> None:
        ear, mouth = pipe_files()
        writer, protocol = await write_to(mouth, Closing)
        writer.write(bytes(200_000))
        assert protocol.told == ["made", "pause"]
        await asyncio.to_thread(ear.read, 200_000)
        while not protocol.lost.done():
            await asyncio.to_thread(ear.read, 200_000)
        await turns(3)
        assert protocol.told == ["made", "pause", "resume", "lost"]
        ear.close()

    world.run(main)
