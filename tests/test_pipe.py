"""Pipe transports: pipes, FIFOs, sockets and devices. Terminals have a file of their own."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import io
import os
import socket
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, reports, turns, until

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


def pipe_files() -> tuple[io.FileIO, io.FileIO]:
    ear, mouth = os.pipe()
    return io.FileIO(ear, "rb"), io.FileIO(mouth, "wb")


async def read_from(file: Any, protocol: Any = Notes) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_read_pipe(protocol, file)


async def write_to(file: Any, protocol: Any = Notes) -> tuple[Any, Any]:
    return await asyncio.get_running_loop().connect_write_pipe(protocol, file)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


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
    """Regression 6: at the end of the data the transport gives the descriptor back by itself."""

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


# -- devices


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


# -- writing


@each_world
def test_a_full_pipe(world: World) -> None:
    """Regression 14: no matter how much is written to a pipe that nobody reads from."""

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


# -- ownership


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
    """Regression 2: while another thread opens and closes descriptors all the time, none of which may be touched."""
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
