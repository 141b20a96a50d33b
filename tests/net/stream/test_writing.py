"""Writing to the stream transport: flow control, the queue, and what becomes of it at the end."""

from __future__ import annotations

import array
import asyncio
import socket

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, read_all, reports, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_world
@pytest.mark.parametrize("method", ["write", "writelines"])
def test_every_kind_of_bytes(world: World, method: str) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        mutable = bytearray(b"bytearray ")
        pieces = [b"bytes ", b"", mutable, memoryview(b"xviewx")[1:-1], memoryview(b" "), bytearray()]
        if world.ours:
            pieces += [memoryview(array.array("H", [0x4142, 0x4344])), memoryview(b"a-b-c-")[::2], memoryview(array.array("I"))]
        if method == "write":
            for piece in pieces:
                transport.write(piece)
        else:
            transport.writelines(pieces)
            transport.writelines([])
            transport.writelines(iter([b"!"]))
        transport.close()
        mutable[:] = b"overwritten"
        expected = b"bytes bytearray view "
        if world.ours:
            expected += memoryview(array.array("H", [0x4142, 0x4344])).tobytes() + b"abc"
        assert await read_all(far) == expected + (b"!" if method == "writelines" else b"")

    world.run(main)


@each_world
def test_wrong_arguments(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        for wrong in ("text", 5, None, [b"x"], object()):
            with pytest.raises(TypeError, match="data argument must be a bytes"):
                transport.write(wrong)
        with pytest.raises(TypeError):
            transport.writelines(["text"])
        with pytest.raises(TypeError):
            transport.writelines([b"fine", 5])
        for high, low in ((1, 2), (-1, None), (None, -1)):
            with pytest.raises(ValueError, match="must be >= low"):
                transport.set_write_buffer_limits(high, low)
        if world.ours:
            transport.close()
            assert await read_all(far) == b""  # a bad item: nothing of the list is sent
        else:
            transport.abort()  # it may have queued the bad item, and then waits for ever to send it
            await transport.get_protocol().lost
        far.close()

    world.run(main)


@each_world
def test_watermarks(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        transport.set_write_buffer_limits(high=1000)
        assert transport.get_write_buffer_limits() == (250, 1000)
        transport.set_write_buffer_limits(low=1000)
        assert transport.get_write_buffer_limits() == (1000, 4000)
        transport.set_write_buffer_limits(0, 0)
        assert transport.get_write_buffer_limits() == (0, 0)
        transport.set_write_buffer_limits()
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        transport.abort()
        await transport.get_protocol().lost
        far.close()

    world.run(main)


@each_world
@pytest.mark.parametrize("method", ["write", "writelines"])
def test_flow_control(world: World, method: str) -> None:
    """A full buffer pauses the protocol once, a drained one resumes it once, and all bytes arrive in order (cpython 127655)."""

    if method == "writelines" and not world.ours:
        pytest.skip("asyncio's writelines did not pause the protocol before 3.13.1")

    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol, buffer=8192)
        data = bytes(range(256)) * 4096
        if method == "write":
            transport.write(data)
        else:
            transport.writelines([data[i : i + 6500] for i in range(0, len(data), 6500)])
        assert protocol.told == ["made", "pause"]
        assert 0 < transport.get_write_buffer_size() < len(data)
        transport.write(b"end")
        assert protocol.told == ["made", "pause"]
        reading = asyncio.create_task(read_all(far))
        await protocol.may_write.wait()
        assert protocol.told == ["made", "pause", "resume"]
        assert transport.get_write_buffer_size() <= 16 * 1024
        transport.close()
        assert await reading == data + b"end"
        assert await protocol.lost is None
        assert protocol.told == ["made", "pause", "resume", "lost"]

    world.run(main)


@each_world
def test_lowering_the_limits_pauses(world: World) -> None:
    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol, buffer=4096)
        transport.set_write_buffer_limits(high=1 << 24)
        transport.write(bytes(1 << 20))
        assert protocol.told == ["made"]
        transport.set_write_buffer_limits(high=10)
        assert protocol.told == ["made", "pause"]
        transport.abort()
        await protocol.lost
        far.close()

    world.run(main)


@each_world
def test_many_small_pieces(world: World) -> None:
    """100 pieces of 6,500 bytes, and then 5,000 of a few: more than one system call takes (cpython 103462)."""

    async def main() -> None:
        transport, far = await connect(Notes(), buffer=8192)
        pieces = [bytes([i]) * 6500 for i in range(100)] + [b"%d," % i for i in range(5000)]
        reading = asyncio.create_task(read_all(far))
        transport.writelines(pieces)
        for piece in pieces:
            transport.write(piece)
        transport.close()
        assert await reading == b"".join(pieces) * 2

    world.run(main)


@each_world
def test_a_queued_bytearray_may_be_changed(world: World) -> None:
    if not world.ours:
        pytest.skip("asyncio keeps a view of it")

    async def main() -> None:
        transport, far = await connect(Notes(), buffer=4096)
        data = bytearray(b"a" * (1 << 20))
        transport.write(data)
        transport.writelines([data, memoryview(data)])
        data[:] = b"b"  # not even exported
        transport.close()
        assert await read_all(far) == b"a" * (3 << 20)

    world.run(main)


@each_world
def test_half_close(world: World) -> None:
    async def main() -> None:
        protocol = Notes()
        protocol.keep_open = True
        transport, far = await connect(protocol)
        far.send(b"question")
        far.shutdown(socket.SHUT_WR)
        await protocol.ended
        assert bytes(protocol.data) == b"question"
        assert not transport.is_closing()
        await turns(5)
        assert protocol.told == ["made", "data", "eof"]  # told once, though the socket stays readable
        transport.write(b"answer")
        transport.write_eof()
        transport.write_eof()
        for method, argument in (("write", b"more"), ("writelines", [b"more"])):
            with pytest.raises(RuntimeError, match=r"Cannot call write.* after write_eof\(\)"):
                getattr(transport, method)(argument)
        assert await read_all(far) == b"answer"
        transport.close()
        assert await protocol.lost is None

    world.run(main)


@each_world
def test_write_eof_waits_for_the_queue(world: World) -> None:
    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol, buffer=4096)
        transport.write(b"x" * (1 << 20))
        transport.write_eof()
        far.send(b"still heard")
        assert await read_all(far) == b"x" * (1 << 20)
        await protocol.lost
        assert bytes(protocol.data) == b"still heard"

    world.run(main)


@each_world
def test_closing_twice_and_writing_afterwards(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol)
        transport.close()
        transport.close()
        transport.abort()
        for _ in range(10):
            transport.write(b"dropped")
        await protocol.lost
        await turns(3)
        transport.write(b"dropped")
        transport.close()
        transport.abort()
        assert protocol.told == ["made", "lost"]
        assert await read_all(far) == b""

    world.run(main)
    warned = [record for record in caplog.records if record.message == "socket.send() raised exception."]
    assert len(warned) == 7  # the first four are let pass


@each_world
def test_data_written_before_close_is_sent(world: World) -> None:
    """cpython 115514, cpython 128037: what was written before close is cut off."""

    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol, buffer=4096)
        transport.write(b"x" * (1 << 20))
        transport.close()
        transport.write(b"y")  # asyncio takes it too, as long as something is queued
        await turns(5)
        assert "lost" not in protocol.told
        received = await read_all(far)
        assert received == b"x" * (1 << 20) + b"y"
        assert await protocol.lost is None

    world.run(main)


@each_world
def test_abort_drops_what_is_queued(world: World) -> None:
    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol, buffer=4096)
        transport.write(b"x" * (1 << 20))
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        assert await protocol.lost is None
        assert len(await read_all(far)) < 1 << 20

    world.run(main)


@each_world
def test_errors_of_flow_control(world: World) -> None:
    class Failing(Notes):
        def pause_writing(self) -> None:
            super().pause_writing()
            raise ZeroDivisionError("pause")

        def resume_writing(self) -> None:
            super().resume_writing()
            raise ZeroDivisionError("resume")

    async def main() -> None:
        protocol = Failing()
        transport, far = await connect(protocol, buffer=4096)
        with reports() as told:
            transport.write(b"x" * (1 << 20))
            reading = asyncio.create_task(read_all(far))
            await protocol.may_write.wait()
            await turns(2)
        messages = [context["message"] for context in told]
        assert messages == ["protocol.pause_writing() failed", "protocol.resume_writing() failed"]
        transport.close()
        assert await reading == b"x" * (1 << 20)
        assert await protocol.lost is None

    world.run(main)


@each_world
def test_written_at_once(world: World) -> None:
    """What fits is sent before `write` returns: it arrives even if the loop ends at once (uvloop 631)."""

    async def main() -> socket.socket:
        transport, far = await connect(Notes())
        transport.write(b"x" * 1000)
        transport.writelines([b"y" * 1000, b"z"])
        assert transport.get_write_buffer_size() == 0
        transport.abort()
        await turns(2)
        return far

    far = world.run(main)
    assert far.recv(5000) == b"x" * 1000 + b"y" * 1000 + b"z"
    far.close()


@each_of_ours
def test_a_stalled_peer_bounds_the_writer(world: World) -> None:
    """A writer that awaits `drain` holds no more than the high-water mark and one message (cpython 116279)."""

    async def main() -> None:
        near, far = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=near)
        sizes = []

        async def write() -> None:
            while True:
                writer.write(b"x" * 10_000)
                sizes.append(writer.transport.get_write_buffer_size())
                await writer.drain()

        writing = asyncio.create_task(write())
        await turns(200)
        assert max(sizes) <= 64 * 1024 + 10_000
        assert len(sizes) < 200
        writing.cancel()
        writer.transport.abort()
        await asyncio.gather(writing, return_exceptions=True)
        far.close()

    world.run(main)
