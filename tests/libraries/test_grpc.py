"""grpc.aio: calls of each kind, deadlines, cancellation, metadata and a graceful end. Its core polls on a thread of its own, which
wakes the loop through a socket that `add_reader` watches.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import library

grpc = library("grpc", "grpc.aio") and library("grpc")


@contextlib.asynccontextmanager
async def serving(**methods: Any) -> AsyncIterator[tuple[Any, Any]]:
    """(A channel, the server) with these methods, whose messages are bytes; a method's kind stands in front of its name."""
    handlers = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(method)
        for kind_and_name, method in methods.items()
        for kind, _, name in [kind_and_name.rpartition("_")]
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel, server
    await server.stop(None)


@pytest.fixture
def run_grpc(run: Any) -> Any:
    """run, for a library that keeps a descriptor or two for as long as the process lives."""
    return lambda main: run(main, left_open=8)


def test_each_of_many_gets_its_own_answer(run_grpc: Any) -> None:
    async def double(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0)
        return request * 2

    async def main() -> None:
        async with serving(unary_unary_Double=double) as (channel, _):
            call = channel.unary_unary("/test.Service/Double")
            answers = await asyncio.gather(*(call(b"%d " % n) for n in range(500)))
            assert answers == [b"%d %d " % (n, n) for n in range(500)]
            assert await call(b"x" * 1_500_000) == b"x" * 3_000_000

    run_grpc(main)


def test_streams(run_grpc: Any) -> None:
    async def count(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for n in range(int(request)):
            yield b"%d" % n

    async def total(requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"%d" % sum([int(request) async for request in requests])

    async def talk(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request[::-1]

    async def numbers() -> AsyncIterator[bytes]:
        for n in range(200):
            yield b"%d" % n

    async def main() -> None:
        async with serving(unary_stream_Count=count, stream_unary_Total=total, stream_stream_Talk=talk) as (channel, _):
            assert [answer async for answer in channel.unary_stream("/test.Service/Count")(b"300")] == [b"%d" % n for n in range(300)]
            assert await channel.stream_unary("/test.Service/Total")(numbers()) == b"19900"
            call = channel.stream_stream("/test.Service/Talk")()
            for n in range(200):
                await call.write(b"<%d>" % n)
                assert await call.read() == (b"<%d>" % n)[::-1]
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK

    run_grpc(main)


def test_a_deadline_and_a_cancelled_call_reach_the_server(run_grpc: Any) -> None:
    async def main() -> None:
        begun, ended = asyncio.Queue[None](), asyncio.Queue[None]()

        async def wait(request: bytes, context: Any) -> bytes:
            begun.put_nowait(None)
            try:
                await asyncio.Event().wait()
            finally:
                ended.put_nowait(None)
            return b""

        async def drip(request: bytes, context: Any) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"drop"
                    await asyncio.sleep(0.01)
            finally:
                ended.put_nowait(None)

        async with serving(unary_unary_Wait=wait, unary_stream_Drip=drip) as (channel, _):
            call = channel.unary_unary("/test.Service/Wait")
            with pytest.raises(grpc.aio.AioRpcError) as found:
                await call(b"", timeout=0.2)
            assert found.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await ended.get()
            await begun.get()
            task = asyncio.create_task(as_coroutine(call(b"")))
            await begun.get()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await ended.get()
            stream = channel.unary_stream("/test.Service/Drip")(b"")
            assert await stream.read() == b"drop"
            assert stream.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stream.read()
            await ended.get()

    run_grpc(main)


async def as_coroutine(awaitable: Any) -> Any:
    return await awaitable


def test_errors_and_metadata(run_grpc: Any) -> None:
    async def refuse(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("key", "value"),))
        await context.abort(grpc.StatusCode.NOT_FOUND, "nothing here")
        raise AssertionError

    async def main() -> None:
        async with serving(unary_unary_Refuse=refuse) as (channel, _):
            with pytest.raises(grpc.aio.AioRpcError) as found:
                await channel.unary_unary("/test.Service/Refuse")(b"")
            assert (found.value.code(), found.value.details()) == (grpc.StatusCode.NOT_FOUND, "nothing here")
            assert ("key", "value") in list(found.value.trailing_metadata())

    run_grpc(main)


def test_a_server_that_stops_finishes_what_it_began(run_grpc: Any) -> None:
    async def main() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(request: bytes, context: Any) -> bytes:
            begun.set()
            await go_on.wait()
            return b"finished"

        async with serving(unary_unary_Wait=wait) as (channel, server):
            call = asyncio.create_task(as_coroutine(channel.unary_unary("/test.Service/Wait")(b"")))
            await begun.wait()
            stopping = asyncio.create_task(as_coroutine(server.stop(20)))
            await asyncio.sleep(0.05)
            assert not stopping.done()
            go_on.set()
            assert await call == b"finished"
            await stopping

    run_grpc(main)
