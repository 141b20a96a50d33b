"""Pipe transports over devices, and what is refused."""

from __future__ import annotations

import gc
import io
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, turns, until
from tests.support.pipe_files import read_from, write_to

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_world
def test_writing_to_a_device(world: World) -> None:
    async def main() -> None:
        writer, protocol = await write_to(io.FileIO("/dev/null", "wb"))
        writer.write(b"x" * 100_000)
        writer.writelines([b"x", b"y"])
        await turns(3)
        writer.close()
        assert await protocol.lost is None

    world.run(main)


@each_of_ours
def test_reading_from_devices_that_never_make_wait(world: World) -> None:
    """asyncio cannot: the system refuses to watch them."""

    async def main() -> None:
        file = io.FileIO("/dev/null", "rb")
        _, protocol = await read_from(file)
        assert await protocol.lost is None
        assert protocol.told == ["made", "eof", "lost"]
        await turns(2)
        assert file.closed
        reader, protocol = await read_from(io.FileIO("/dev/zero", "rb"))
        await until(lambda: len(protocol.data) > 100_000)
        reader.pause_reading()
        size = len(protocol.data)
        await turns(5)
        assert len(protocol.data) == size
        reader.resume_reading()
        await until(lambda: len(protocol.data) > size)
        reader.close()
        assert await protocol.lost is None
        assert not protocol.data.strip(b"\0")

    world.run(main)


@each_world
def test_what_is_refused(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        with (tmp_path / "file").open("wb") as file:
            for connect, words in ((read_from, "for pipes/sockets only"), (write_to, "only for")):
                protocols: list[Any] = []
                with pytest.raises(ValueError, match=words) as caught:
                    await connect(file, lambda protocols=protocols: protocols.append(Notes()) or protocols[0])
                if world.ours:
                    assert "a regular file" in str(caught.value)
                    assert "to_thread" in str(caught.value)
                assert protocols[0].told == []
            file.write(b"still open, and blocking")
            assert os.get_blocking(file.fileno())
        if not world.ours:
            return  # its half-made transports complain when they are collected
        for junk in (None, 5, "/dev/null"):
            with pytest.raises(AttributeError):
                await read_from(junk)
        closed = io.FileIO("/dev/null", "rb")
        closed.close()
        with pytest.raises(ValueError, match="closed file"):
            await read_from(closed)
        gc.collect()

    world.run(main)
