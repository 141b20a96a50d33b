"""Pipe transports and the file objects that own their descriptors."""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import os
import threading
import weakref
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, World, reports, turns, until
from tests.support.pipe_files import open_descriptors, pipe_files, read_from, write_to

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


class Probing(io.FileIO):
    """Looks, when it is closed, whether its descriptor still is its own; regression 2."""

    wrong = 0

    def close(self) -> None:
        if not self.closed:
            probe = os.pipe()
            try:
                self.wrong += self.fileno() in probe
                os.fstat(self.fileno())
            finally:
                for number in probe:
                    os.close(number)
        super().close()


@each_world
@pytest.mark.parametrize("way", ["transport", "eof", "file", "collected"])
def test_the_file_object_alone_closes_its_descriptor(world: World, way: str) -> None:
    """Regression 2: while another thread opens and closes descriptors all the time, none of which may be touched
    (uvloop 763, uvloop 764, skypilot 10681).
    """
    if way in ("file", "collected") and not world.ours:
        pytest.skip("asyncio goes on with the number")
    stop = threading.Event()
    failures: list[BaseException] = []

    def open_and_close() -> None:
        try:
            while not stop.is_set():
                numbers = os.pipe()
                os.write(numbers[1], b"x")
                assert os.read(numbers[0], 2) == b"x"
                for number in numbers:
                    os.close(number)
        except BaseException as error:
            failures.append(error)

    async def main() -> None:
        for _ in range(30):
            ear, mouth = os.pipe()
            read_file, write_file = Probing(ear, "rb"), Probing(mouth, "wb")
            reader, reading = await read_from(read_file)
            writer, writing = await write_to(write_file)
            if way == "transport":
                reader.close()
                writer.close()
            elif way == "eof":
                writer.write_eof()
            elif way == "file":
                with reports():
                    read_file.close()
                    write_file.close()
                    writer.write(b"x")
                    error = await writing.lost
                    assert isinstance(error, OSError)
                    assert error.errno == errno.EBADF
                    reader.close()
                    writer.close()
            else:
                reader.close()
                writer.close()
                read_file.cycle, write_file.cycle = reader, writer  # type: ignore[attr-defined]
            await reading.lost
            await writing.lost
            await turns(2)
            assert read_file.closed
            assert write_file.closed
            assert not read_file.wrong + write_file.wrong
            del reader, writer, read_file, write_file
            gc.collect()

    thread = threading.Thread(target=open_and_close)
    thread.start()
    try:
        world.run(main)
    finally:
        stop.set()
        thread.join()
    assert not failures


@each_world
def test_the_descriptor_has_one_owner(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ear, mouth = pipe_files()
        reader, reading = await read_from(ear)
        writer, writing = await write_to(mouth)
        if world.ours:
            for call in (lambda: loop.add_reader(ear, print), lambda: loop.remove_writer(mouth)):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    call()
            with pytest.raises(RuntimeError, match="is used by transport"):
                await read_from(io.FileIO(ear.fileno(), "rb", closefd=False))
        reader.close()
        writer.close()
        await reading.lost
        await writing.lost

    world.run(main)


@each_of_ours
def test_a_file_that_was_closed_and_whose_number_went_to_another(world: World) -> None:
    """uvloop 763: a pipe transport and its file object both close the descriptor."""

    async def main() -> None:
        ear, mouth = pipe_files()
        number = ear.fileno()
        reader, reading = await read_from(ear)
        ear.close()
        other_ear, other_mouth = pipe_files()
        assert other_ear.fileno() == number
        with reports() as told:
            _, protocol = await read_from(other_ear)
            error = await reading.lost
        assert isinstance(error, OSError)
        assert error.errno == errno.EBADF
        assert told
        other_mouth.write(b"for the new one")
        await until(lambda: protocol.data)
        assert reading.told == ["made", "lost"]
        assert not other_ear.closed
        other_mouth.close()
        mouth.close()
        await protocol.lost
        reader.close()

    world.run(main)


@each_world
@pytest.mark.parametrize("steps", range(4))
def test_a_cancelled_connect_closes_the_file(world: World, steps: int) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        before = open_descriptors()
        connecting = asyncio.ensure_future(read_from(ear))
        await turns(steps)
        connecting.cancel()
        try:
            transport, _ = await connecting
        except asyncio.CancelledError:
            pass
        else:
            transport.close()
        await turns(4)
        ear.close()  # never given to the loop, where it was cancelled before the first step
        assert before - open_descriptors() != set()
        mouth.close()
        gc.collect()

    world.run(main)


@each_of_ours
def test_finished_transports_need_no_collector(world: World) -> None:
    async def main() -> None:
        ear, mouth = pipe_files()
        reader, reading = await read_from(ear)
        writer, writing = await write_to(mouth)
        writer.write(b"x" * 200_000)
        writer.close()
        await reading.lost
        await writing.lost
        await turns(2)
        gone = [weakref.ref(reader), weakref.ref(writer)]
        del reader, writer, reading, writing
        assert [reference() for reference in gone] == [None, None]

    gc.disable()
    try:
        world.run(main)
    finally:
        gc.enable()


@each_of_ours
def test_open_transports_of_a_closed_loop(world: World) -> None:
    loop = world.new_loop()
    ear, mouth = pipe_files()

    async def main() -> Any:
        return (await read_from(ear))[0], (await write_to(mouth))[0]

    reader, writer = loop.run_until_complete(main())
    loop.close()
    assert "open" in repr(reader)
    with pytest.raises(RuntimeError, match="closed"):
        reader.close()
    assert ear.closed
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del writer
        gc.collect()
    assert mouth.closed
