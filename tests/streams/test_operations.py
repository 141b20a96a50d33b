"""The awaitables that cede's streams hand out: coroutines in all respects, and nothing is lost with them."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import gc
import inspect
import re
import warnings
import weakref
from typing import Any

import pytest

from tests.support.stream_worlds import ON_ASYNCIO, ON_CEDE, FakeTransport, World, turns

pytestmark = pytest.mark.parametrize("world", [ON_CEDE, ON_ASYNCIO], ids=repr)


def test_they_are_coroutines(world: World) -> None:
    async def main() -> None:
        reader, writer, _ = world.connected_writer(FakeTransport())
        operations = [
            reader.read(),
            reader.readexactly(1),
            reader.readline(),
            reader.readuntil(),
            reader.__anext__(),
            writer.drain(),
            writer.wait_closed(),
        ]
        for operation in operations:
            assert asyncio.iscoroutine(operation)
            assert inspect.isawaitable(operation)
            assert isinstance(operation, collections.abc.Coroutine)
            assert isinstance(operation.__await__(), collections.abc.Iterator)
            assert re.fullmatch(r"Stream(Reader|Writer)\.\w+", operation.__qualname__)
            assert repr(operation).startswith("<coroutine ")
            assert operation.__qualname__ in repr(operation)
            operation.close()
            with pytest.raises(RuntimeError, match="already awaited"):
                await operation
        writer.transport.close()

    world.run(main)


def test_a_task_shows_what_it_runs(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        task = asyncio.create_task(reader.readexactly(2))
        await turns(2)
        assert "coro=<StreamReader.readexactly()" in repr(task)
        reader.feed_data(b"ab")
        assert await task == b"ab"

    world.run(main)


def test_data_that_is_there_is_had_without_giving_way(world: World) -> None:
    async def main() -> None:
        ran = []
        asyncio.get_running_loop().call_soon(ran.append, 1)
        reader, writer, protocol = world.connected_writer(FakeTransport())
        reader.feed_data(b"abc\ndef\nghi")
        await reader.read(1)
        await reader.readexactly(1)
        await reader.readline()
        await reader.readuntil(b"f")
        await writer.drain()
        assert not ran
        reader.feed_eof()
        await reader.read()
        assert not ran
        protocol.connection_lost(None)
        await writer.wait_closed()
        assert not ran
        writer.close()

    world.run(main)


def test_a_chunk_is_handed_on_uncopied(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        for take in (reader.read, reader.readexactly, lambda n: reader.readline(), lambda n: reader.readuntil(b"\n")):
            chunk = b"x" * 999 + b"\n"
            reader.feed_data(chunk)
            assert await take(1000) is chunk
        reader.feed_data(chunk)
        reader.feed_eof()
        assert await reader.read() is chunk

    world.run(main)


def test_nothing_is_taken_before_it_is_awaited(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"abc")
        first = reader.read(1)
        second = reader.read(1)
        assert await second == b"a"
        assert await first == b"b"
        reader.read(1).close()
        assert await reader.read(9) == b"c"

    world.run(main)


def test_who_forgets_to_await_is_warned(world: World) -> None:
    async def main() -> None:
        reader, writer, _ = world.connected_writer(FakeTransport())
        reader.feed_data(b"abc")
        with pytest.warns(RuntimeWarning, match=r"coroutine 'StreamReader\.read' was never awaited"):
            reader.read(1)
        with pytest.warns(RuntimeWarning, match=r"coroutine 'StreamWriter\.drain' was never awaited"):
            writer.drain()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reader.read(1).close()
            with pytest.raises(KeyError):
                reader.read(1).throw(KeyError("x"))
            assert await reader.read(3) == b"abc"
        writer.close()

    world.run(main)


def test_used_once(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        reader.feed_data(b"abc")
        operation = reader.read(1)
        assert await operation == b"a"
        for again in (lambda: operation.send(None), lambda: operation.throw(KeyError())):
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                again()
        operation.close()
        fresh = reader.read(1)
        with pytest.raises(TypeError, match="non-None"):
            fresh.send(1)
        assert await fresh == b"b"

    world.run(main)


def test_driven_by_hand(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        operation = reader.read(3)
        future = operation.send(None)
        assert asyncio.isfuture(future)
        assert future._asyncio_future_blocking
        assert operation.cr_await is future or operation.cr_await.gi_frame is not None  # uncompiled, a generator stands in between
        assert not operation.cr_running
        reader.feed_data(b"abcd")
        with pytest.raises(StopIteration) as caught:
            operation.send(None)
        assert caught.value.value == b"abc"

        operation = reader.read(3)
        assert await operation == b"d"
        operation = reader.read(3)
        operation.send(None)
        with pytest.raises(RuntimeError, match="wasn't used with future"):
            operation.send(None)
        # It has let go of the reader: the next one may wait.
        for throw in ((ValueError("a"),), (ValueError, "a"), (ValueError, ValueError("a"), None)):
            operation = reader.read(3)
            operation.send(None)
            with pytest.raises(ValueError, match="a"), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of all but the first, as a coroutine does
                operation.throw(*throw)
        operation = reader.read(3)
        operation.send(None)
        operation.close()
        reader.feed_data(b"e")
        assert await reader.read(3) == b"e"

    world.run(main)


def test_with_asyncios_own_tools(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.readexactly(3), 0.001)
        reader.feed_data(b"abcdef")
        assert await asyncio.wait_for(reader.readexactly(3), 60) == b"abc"
        assert await asyncio.shield(reader.readexactly(1)) == b"d"
        assert await asyncio.gather(reader.readexactly(1), reader.readexactly(1)) == [b"e", b"f"]
        done, _ = await asyncio.wait([asyncio.ensure_future(reader.read(0))])
        assert done.pop().result() == b""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(reader.readline())
            reader.feed_data(b"line\n")
        assert task.result() == b"line\n"

    world.run(main)


@pytest.mark.parametrize("name", ["read", "readexactly", "readuntil", "readline"])
def test_a_cancelled_read_loses_nothing(world: World, name: str) -> None:
    async def main() -> None:
        reader = world.reader(limit=4)
        transport = FakeTransport()
        reader.set_transport(transport)
        arguments = {"read": [-1], "readexactly": [50]}.get(name, [])
        # Cancelled while it waits, with some of what it waits for there.
        task = asyncio.ensure_future(getattr(reader, name)(*arguments))
        await turns(2)
        reader.feed_data(b"12345"[: 4 if "line" in name or "until" in name else 5])
        await turns(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Cancelled after the rest came, before it ran.
        task = asyncio.ensure_future(getattr(reader, name)(*arguments))
        await turns(2)
        reader.feed_data(b"x" * 44 + b"\n")
        reader.feed_eof()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        rest = await reader.read()
        assert rest == b"12345"[: len(rest) - 45] + b"x" * 44 + b"\n"
        assert len(rest) in (49, 50)

    world.run(main)


def test_the_one_woken_looks_again(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        task = asyncio.ensure_future(reader.read(10))
        await turns(2)
        reader.feed_data(b"gone")
        # Before the task that was woken has run, somebody else takes what woke it: it must not take that for the end.
        assert await reader.read(10) == b"gone"
        await turns(3)
        assert not task.done()
        reader.feed_data(b"mine")
        assert await task == b"mine"

        task = asyncio.ensure_future(reader.readuntil(b"|"))
        reader.feed_data(b"0123456789")
        await turns(2)
        reader.feed_data(b"-")
        assert await reader.read(9) == b"012345678"
        reader.feed_data(b"|")
        assert await task == b"9-|"

    world.run(main)


def test_a_large_read_is_woken_once(world: World) -> None:
    async def main() -> None:
        reader = world.reader()
        for name, n in (("readexactly", 100), ("read", -1)):
            operation = getattr(reader, name)(n)
            future = operation.send(None)
            for _ in range(9):
                reader.feed_data(b"0123456789")
            assert not future.done()
            reader.feed_data(b"0123456789")
            assert future.done() == (n == 100)
            if n == -1:
                reader.feed_eof()
            with pytest.raises(StopIteration) as caught:
                operation.send(None)
            assert caught.value.value == b"0123456789" * 10

    world.run(main)


def test_limits_of_any_number(world: World) -> None:
    async def main() -> None:
        for limit in (float("inf"), 2**80, True, 2.5):
            reader = world.reader(limit=limit)
            assert reader._limit is limit
            reader.feed_data(b"a\n" * 3)
            assert await reader.readline() == b"a\n"
            reader._limit = 2**62
            assert await reader.readexactly(4) == b"a\na\n"
            reader.feed_eof()
            assert await reader.read(2**80) == b""

    world.run(main)


def test_they_pass_for_asyncios(world: World) -> None:
    async def main() -> None:
        reader, writer, protocol = world.connected_writer(FakeTransport())
        assert isinstance(reader, asyncio.StreamReader)
        assert isinstance(writer, asyncio.StreamWriter)
        assert isinstance(protocol, asyncio.StreamReaderProtocol)
        assert isinstance(protocol, asyncio.Protocol)
        assert not isinstance(protocol, asyncio.BufferedProtocol)
        reader.note = writer.note = protocol.note = "anything"
        assert weakref.ref(reader)() is reader
        assert weakref.ref(writer)() is writer
        # Replacing a method of an instance, as tests and instrumentation do.
        seen: list[bytes] = []
        writer.write = seen.append
        writer.write(b"x")
        assert seen == [b"x"]
        # asyncio's own writer over our protocol and reader.
        stock = asyncio.StreamWriter(writer.transport, protocol, reader, asyncio.get_running_loop())
        await stock.drain()
        waiting = asyncio.ensure_future(stock.wait_closed())
        await turns(2)
        writer.close()
        protocol.connection_lost(None)
        await waiting
        # And ours over asyncio's protocol.
        transport = FakeTransport()
        stock_protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        mixed = world.module.StreamWriter(transport, stock_protocol, None, asyncio.get_running_loop())
        await mixed.drain()
        transport.close()
        stock_protocol.connection_lost(OSError("lost"))
        with pytest.raises(OSError, match="lost"):
            await mixed.wait_closed()
        with pytest.raises(ConnectionResetError):
            await mixed.drain()
        with pytest.raises(TypeError, match="reader"):
            world.module.StreamWriter(transport, stock_protocol, "reader", asyncio.get_running_loop())

    world.run(main)


def test_a_cancelled_wait_for_the_end_disturbs_nobody(world: World) -> None:
    async def main() -> None:
        _, writer, protocol = world.connected_writer(FakeTransport())
        first = asyncio.ensure_future(writer.wait_closed())
        second = asyncio.ensure_future(writer.wait_closed())
        await turns(2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not second.done()
        assert len(protocol._close_waiters) == 1
        writer.close()
        protocol.connection_lost(None)
        await second

    world.run(main)


def test_a_cancelled_drain_disturbs_nobody(world: World) -> None:
    async def main() -> None:
        _, writer, protocol = world.connected_writer(FakeTransport())
        protocol.pause_writing()
        tasks = [asyncio.ensure_future(writer.drain()) for _ in range(3)]
        await turns(2)
        tasks[1].cancel()
        await turns(2)
        assert [task.done() for task in tasks] == [False, True, False]
        assert len(protocol._drain_waiters) == 2
        protocol.resume_writing()
        await asyncio.gather(tasks[0], tasks[2])
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[1]
        writer.close()

    world.run(main)


def test_nothing_is_left_behind(world: World) -> None:
    """No cycle survives a finished operation: the collector is off."""

    async def main() -> None:
        reader = world.reader()
        watched = weakref.ref(reader)

        async def use(reader: Any) -> None:
            for action in (lambda: reader.feed_data(b"x"), task_cancel):
                task = asyncio.ensure_future(reader.readexactly(1))
                await turns(2)
                if action is task_cancel:
                    task.cancel()
                else:
                    action()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            reader.feed_eof()
            with contextlib.suppress(asyncio.IncompleteReadError):
                await reader.readexactly(5)

        def task_cancel() -> None: ...

        await use(reader)
        del reader
        await turns(2)
        assert watched() is None

    gc.collect()
    gc.disable()
    try:
        world.run(main)
    finally:
        gc.enable()
