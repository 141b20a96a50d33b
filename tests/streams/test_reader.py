"""StreamReader, fed by hand: the same tests on asyncio's and on cede's."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from tests.support.stream_worlds import WORLDS, FakeTransport, World, outcome, turns

pytestmark = pytest.mark.parametrize("world", WORLDS, ids=repr)


def test_read_returns_what_is_there(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"abc")
        reader.feed_data(b"def")
        assert await reader.read(2) == b"ab"
        assert await reader.read(0) == b""
        assert await reader.read(100) == b"cdef"
        reader.feed_eof()
        assert reader.at_eof()
        assert await reader.read(5) == b""
        assert await reader.read() == b""

    world.run(main)


def test_read_waits_for_the_first_bytes(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        task = asyncio.ensure_future(reader.read(10))
        await turns(2)
        assert not task.done()
        reader.feed_data(b"")
        await turns(2)
        assert not task.done()
        reader.feed_data(b"now")
        assert await task == b"now"

    world.run(main)


@pytest.mark.parametrize("n", [-1, -5])
def test_read_all_waits_for_the_end(world: World, n: int) -> None:
    async def main() -> None:
        reader = world.reader(limit=4)
        task = asyncio.ensure_future(reader.read(n))
        for chunk in (b"one", b"two", b"three" * 10):
            await turns(2)
            reader.feed_data(chunk)
        await turns(3)
        assert not task.done()
        reader.feed_eof()
        assert await task == b"onetwo" + b"three" * 10

    world.run(main)


def test_readexactly(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"abc")
        task = asyncio.ensure_future(reader.readexactly(5))
        await turns(2)
        reader.feed_data(b"d")
        await turns(2)
        assert not task.done()
        reader.feed_data(b"efg")
        assert await task == b"abcde"
        assert await reader.readexactly(0) == b""
        assert await outcome(reader.readexactly(-1)) == [ValueError, "readexactly size can not be less than zero"]
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readexactly(4)
        assert (caught.value.partial, caught.value.expected) == (b"fg", 4)
        assert await reader.read() == b""

    world.run(main)


def test_readexactly_of_more_than_the_buffer_holds(world: World) -> None:
    """More than twice the limit: the transport has to be resumed while somebody waits, or nothing would ever come."""

    async def main() -> None:
        reader = world.reader(limit=8)
        transport = FakeTransport()
        reader.set_transport(transport)
        task = asyncio.ensure_future(reader.readexactly(100))
        for _ in range(10):
            await turns(2)
            reader.feed_data(b"0123456789")
        assert await task == b"0123456789" * 10
        assert transport.calls.count("pause") == transport.calls.count("resume")

    world.run(main)


def test_readline(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        task = asyncio.ensure_future(reader.readline())
        for chunk in (b"he", b"ll", b"o\nwor"):
            await turns(2)
            assert not task.done()
            reader.feed_data(chunk)
        assert await task == b"hello\n"
        reader.feed_data(b"ld\n\nlast")
        assert await reader.readline() == b"world\n"
        assert await reader.readline() == b"\n"
        reader.feed_eof()
        assert await reader.readline() == b"last"
        assert await reader.readline() == b""

    world.run(main)


def test_readline_over_the_limit_removes_the_line(world: World) -> None:
    async def main() -> None:
        reader = world.reader(limit=3)
        reader.feed_data(b"too long\nok\n")
        assert await outcome(reader.readline()) == [
            ValueError,
            "Separator is found, but chunk is longer than limit",
        ]
        assert await reader.readline() == b"ok\n"
        reader.feed_data(b"no end in sight")
        assert await outcome(reader.readline()) == [
            ValueError,
            "Separator is not found, and chunk exceed the limit",
        ]
        reader.feed_data(b"abc\n")
        assert await reader.readline() == b"abc\n"

    world.run(main)


def test_readuntil(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        task = asyncio.ensure_future(reader.readuntil(b"<end>"))
        for chunk in (b"some<", b"e", b"nd", b"!<end", b">rest"):
            await turns(2)
            assert not task.done()
            reader.feed_data(chunk)
        assert await task == b"some<end!<end>"
        reader.feed_data(b"<en")
        reader.feed_eof()
        assert await outcome(reader.readuntil(b"<end>")) == [
            asyncio.IncompleteReadError,
            "7 bytes read on a total of undefined expected bytes",
            b"rest<en",
            None,
        ]
        assert reader.at_eof()

    world.run(main)


def test_readuntil_over_the_limit_leaves_the_bytes(world: World) -> None:
    async def main() -> None:
        reader = world.reader(limit=3)
        reader.feed_data(b"four|")
        assert (await outcome(reader.readuntil(b"|")))[2:] == [4]
        assert await reader.read(5) == b"four|"
        reader.feed_data(b"0123456789")
        assert (await outcome(reader.readuntil(b"||")))[2:] == [9]
        assert await reader.read(100) == b"0123456789"

    world.run(main)


def test_separators_that_are_wrong(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"data")
        with pytest.raises(ValueError, match="at least one-byte"):
            await reader.readuntil(b"")
        with pytest.raises(TypeError):
            await reader.readuntil("|")
        with pytest.raises(TypeError):
            await reader.readuntil(7)
        assert await reader.readuntil(bytearray(b"t")) == b"dat"
        assert await reader.read(10) == b"a"

    world.run(main)


def test_readuntil_several_separators(world: World) -> None:
    if not world.ours and sys.version_info < (3, 13):
        pytest.skip("asyncio takes several separators from Python 3.13 on")

    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"aXXbYcXYd")
        assert await reader.readuntil((b"Y", b"XX")) == b"aXX"
        assert await reader.readuntil((b"XX", b"Y")) == b"bY"
        assert await reader.readuntil((b"XYd", b"XY", b"Y")) == b"cXY"
        with pytest.raises(ValueError, match="at least one element"):
            await reader.readuntil(())
        with pytest.raises(ValueError, match="at least one-byte"):
            await reader.readuntil((b"a", b""))
        task = asyncio.ensure_future(reader.readuntil((b"\r\n", b"\n")))
        for chunk in (b"\r", b"x\r", b"\n"):
            await turns(2)
            assert not task.done()
            reader.feed_data(chunk)
        assert await task == b"d\rx\r\n"

    world.run(main)


def test_lines_by_iteration(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"one\ntwo\n\nthree")
        reader.feed_eof()
        assert [line async for line in reader] == [b"one\n", b"two\n", b"\n", b"three"]

    world.run(main)


@pytest.mark.parametrize("name", ["read", "readexactly", "readuntil", "readline"])
def test_one_waits_at_a_time(world: World, name: str) -> None:
    async def main() -> None:
        reader = world.reader()
        task = asyncio.ensure_future(reader.read(1))
        await turns(2)
        second = getattr(reader, name)(*{"read": [1], "readexactly": [1]}.get(name, []))
        inner = "readuntil" if name == "readline" else name
        with pytest.raises(RuntimeError, match=rf"{inner}\(\) called while another coroutine is already waiting"):
            await second
        reader.feed_data(b"x")
        assert await task == b"x"

    world.run(main)


@pytest.mark.parametrize("name", ["read", "readexactly", "readuntil", "readline"])
def test_an_exception_reaches_who_waits_and_who_comes_later(world: World, name: str) -> None:
    async def main() -> None:
        reader = world.reader()
        arguments: list[Any] = [1] if name == "readexactly" else []
        task = asyncio.ensure_future(getattr(reader, name)(*arguments))
        await turns(2)
        assert reader.exception() is None
        error = ConnectionAbortedError("gone")
        reader.set_exception(error)
        for attempt in (task, getattr(reader, name)(*arguments)):
            with pytest.raises(ConnectionAbortedError) as caught:
                await attempt
            assert caught.value is error
        assert reader.exception() is error

    world.run(main)


def test_the_transport_is_paused_and_resumed(world: World) -> None:
    async def main() -> None:
        reader = world.reader(limit=4)
        transport = FakeTransport()
        reader.set_transport(transport)
        reader.feed_data(b"12345678")
        assert transport.calls == []
        reader.feed_data(b"9")
        assert transport.calls == ["pause"]
        assert "paused" in repr(reader)
        reader.feed_data(b"0")
        assert await reader.read(5) == b"12345"
        assert transport.calls == ["pause"]
        assert await reader.readexactly(1) == b"6"
        assert transport.calls == ["pause", "resume"]
        reader.feed_data(b"\n" * 9)
        assert await reader.readline() == b"7890\n"
        assert transport.calls == ["pause", "resume", "pause"]

    world.run(main)


def test_a_transport_that_cannot_be_paused(world: World) -> None:
    class Unstoppable(FakeTransport):
        def pause_reading(self) -> None:
            super().pause_reading()
            raise NotImplementedError

    async def main() -> None:
        reader = world.reader(limit=1)
        transport = Unstoppable()
        reader.set_transport(transport)
        reader.feed_data(b"abc")
        reader.feed_data(b"def")
        assert transport.calls == ["pause"]
        assert await reader.readexactly(6) == b"abcdef"

    world.run(main)


def test_misuse(world: World) -> None:
    async def main() -> None:
        for limit in (0, -1):
            with pytest.raises(ValueError, match="Limit cannot be <= 0"):
                world.reader(limit=limit)
        reader = world.reader()
        for wrong in ("x", None, *([1.5] if world.ours else [])):
            with pytest.raises(TypeError):
                await reader.readexactly(wrong)
        for wrong in ("x", None):
            with pytest.raises(TypeError):
                await reader.read(wrong)
        with pytest.raises(TypeError):
            reader.feed_data("text")
        reader.set_transport(FakeTransport())
        with pytest.raises(AssertionError):
            reader.set_transport(FakeTransport())
        reader.feed_data(memoryview(b"abcd")[1:3])
        reader.feed_data(bytearray(b"!"))
        reader.feed_eof()
        with pytest.raises(AssertionError):
            reader.feed_data(b"more")
        assert await reader.read() == b"bc!"

    world.run(main)


def test_the_representation(world: World) -> None:
    async def main() -> None:
        reader = world.reader(limit=12)
        assert repr(reader) == "<StreamReader limit=12>"
        reader.feed_data(b"abc")
        assert repr(reader) == "<StreamReader 3 bytes limit=12>"
        reader.set_transport(FakeTransport())
        reader.set_exception(KeyError("x"))
        reader.feed_eof()
        assert repr(reader) == ("<StreamReader 3 bytes eof limit=12 exception=KeyError('x') transport=<FakeTransport>>")
        reader = world.reader()
        task = asyncio.ensure_future(reader.read(1))
        await turns(2)
        assert "waiter=<Future pending" in repr(reader)
        reader.feed_data(b"x")
        await task
        assert repr(reader) == "<StreamReader>"

    world.run(main)


def test_the_buffer_can_be_looked_into(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"abc")
        buffer = reader._buffer
        assert buffer == b"abc"
        del buffer[:1]
        reader.feed_data(b"d")
        assert await reader.read(10) == b"bcd"
        assert not buffer
        reader.feed_data(b"efg")
        assert buffer == b"efg"
        assert await reader.readexactly(2) == b"ef"
        assert buffer == b"g"

    world.run(main)


def test_a_subclass_of_ones_own(world: World) -> None:
    class Counting(world.module.StreamReader):  # type: ignore[name-defined,misc]
        fed = 0

        def feed_data(self, data: bytes) -> None:
            self.fed += len(data)
            super().feed_data(data)

        async def anything(self) -> bytes:
            while not self.fed:
                await self._wait_for_data("anything")
            data: bytes = await self.read(self.fed)
            return data

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = Counting(loop=loop)
        protocol = world.module.StreamReaderProtocol(reader, loop=loop)
        task = asyncio.ensure_future(reader.anything())
        await turns(2)
        protocol.data_received(b"through the protocol")
        assert await task == b"through the protocol"
        assert reader.fed == 20

    world.run(main)


def test_without_a_loop(world: World) -> None:
    async def main() -> None:
        reader = world.module.StreamReader()
        assert reader._loop is asyncio.get_running_loop()
        assert world.module.StreamReaderProtocol(reader)._loop is reader._loop

    world.run(main)
