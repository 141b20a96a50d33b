"""The stream transport, as asyncio's own behaves; writing has a file of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import gc
import socket
import warnings
import weakref
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, connect_tcp, read_all, reports, turns, until

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_world
def test_life_of_a_connection(world: World) -> None:
    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol)
        assert protocol.told == ["made"]
        assert protocol.transport is transport
        far.send(b"one")
        await until(lambda: protocol.data)
        transport.write(b"two")
        assert far.recv(100) == b"two"
        far.close()
        assert await protocol.lost is None
        assert protocol.told == ["made", "data", "eof", "lost"]
        assert transport.is_closing()

    world.run(main)


@each_world
def test_what_it_says_that_it_is(world: World) -> None:
    async def main() -> None:
        transport, far = await connect_tcp(Notes())
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.WriteTransport)
        assert transport.get_extra_info("sockname") == far.getpeername()
        assert transport.get_extra_info("peername") == far.getsockname()
        assert transport.get_extra_info("socket").fileno() >= 0
        assert transport.get_extra_info("socket") is transport.get_extra_info("socket")
        if world.ours:  # asyncio looks at the socket's `proto`, which an accepted one may not have
            assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert transport.get_extra_info("no such thing") is None
        assert transport.get_extra_info("no such thing", 7) == 7
        assert transport.can_write_eof() is True
        assert transport.is_reading() is True
        assert transport.is_closing() is False
        assert transport.get_write_buffer_size() == 0
        assert transport._start_tls_compatible
        assert "fd=" in repr(transport)
        assert "read=polling" in repr(transport)
        transport.extra_attribute = 1
        assert weakref.ref(transport)() is transport
        transport.close()
        assert "closing" in repr(transport)
        await transport.get_protocol().lost
        await turns(2)
        assert "closed" in repr(transport)
        assert transport.get_extra_info("sockname") == far.getpeername()
        assert transport.get_protocol() is None
        far.close()

    world.run(main)


@each_world
def test_reading_starts_after_connection_made(world: World) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.send(b"early")
        protocol = Notes()
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, near)
        assert protocol.told[0] == "made"
        await until(lambda: protocol.data)
        assert protocol.told == ["made", "data"]
        protocol.transport.abort()
        await protocol.lost
        far.close()

    world.run(main)


@each_world
def test_pause_and_resume_reading(world: World) -> None:
    """uvloop 117, virtool 262: pausing and resuming twice, and while closing."""

    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol)
        for _ in range(3):
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            far.send(b"x")
            before = len(protocol.data)
            await turns(5)
            assert len(protocol.data) == before
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            await until(lambda before=before: len(protocol.data) == before + 1)
        transport.close()
        transport.pause_reading()
        transport.resume_reading()
        assert not transport.is_reading()
        await protocol.lost
        transport.pause_reading()
        transport.resume_reading()
        far.close()

    world.run(main)


@each_world
def test_paused_in_connection_made(world: World) -> None:
    class Paused(Notes):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.pause_reading()

    async def main() -> None:
        protocol = Paused()
        transport, far = await connect(protocol)
        far.send(b"x")
        await turns(5)
        assert protocol.told == ["made"]
        transport.resume_reading()
        await until(lambda: protocol.data)
        transport.close()
        await protocol.lost
        far.close()

    world.run(main)


@each_world
@pytest.mark.parametrize("how", ["close", "abort"])
def test_closed_in_connection_made(world: World, how: str) -> None:
    class Closing(Notes):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            getattr(transport, how)()

    async def main() -> None:
        protocol = Closing()
        _, far = await connect(protocol)
        with contextlib.suppress(BrokenPipeError):
            far.send(b"never heard")
        assert await protocol.lost is None
        await turns(3)
        assert protocol.told == ["made", "lost"]
        far.close()

    world.run(main)


@each_world
def test_changing_the_protocol(world: World) -> None:
    class Other(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.room = bytearray(4)
            self.data = bytearray()

        def get_buffer(self, sizehint: int) -> bytearray:
            assert sizehint == -1
            return self.room

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.room[:nbytes]
            self.room.extend(b"x")  # allowed: the buffer is not exported any more

    async def main() -> None:
        first, second = Notes(), Other()
        transport, far = await connect(first)
        far.send(b"first")
        await until(lambda: first.data)
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        far.send(b"second, in pieces")
        await until(lambda: len(second.data) == 17)
        assert bytes(second.data) == b"second, in pieces"
        transport.set_protocol(first)
        far.send(b" again")
        await until(lambda: bytes(first.data) == b"first again")
        transport.close()
        await first.lost
        far.close()

    world.run(main)


class Lender(asyncio.BufferedProtocol):
    """Hands over to `heir`, if it has one, when it is asked for a buffer."""

    def __init__(self, heir: Lender | None = None) -> None:
        self.heir = heir
        self.room = bytearray(4)
        self.data = b""
        self.transport: Any = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        if self.heir is not None:
            self.transport.set_protocol(self.heir)
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.room[:nbytes]

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost.set_result(error)


@pytest.mark.parametrize("world", OURS, ids=repr)
def test_changing_the_protocol_while_it_lends_its_buffer(world: World) -> None:
    """Nothing is put into the buffer of one and told to the other."""

    async def main() -> None:
        second = Lender()
        first = Lender(second)
        transport, far = await connect(first)
        far.send(b"for the second")
        await until(lambda: len(second.data) == 14)
        assert (first.data, second.data, bytes(first.room)) == (b"", b"for the second", bytes(4))
        transport.close()
        await second.lost
        far.close()

    world.run(main)


@pytest.mark.parametrize("world", OURS, ids=repr)
def test_a_buffered_protocol_of_no_particular_class(world: World) -> None:
    """As on uvloop: what has get_buffer and no data_received is meant to be a buffered protocol."""

    class Plain(asyncio.BaseProtocol):
        def __init__(self) -> None:
            self.room = bytearray(4)
            self.data = bytearray()
            self.lost = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.room

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.room[:nbytes]

        def eof_received(self) -> None:
            pass

        def connection_lost(self, error: BaseException | None) -> None:
            self.lost.set_result(error)

    async def main() -> None:
        protocol = Plain()
        _, far = await connect(protocol)
        with far:
            far.send(b"more than fits at once")
        assert await protocol.lost is None
        assert bytes(protocol.data) == b"more than fits at once"

    world.run(main)


@each_world
@pytest.mark.parametrize("bad", [b"", None, b"read-only", RuntimeError("no buffer")], ids=str)
def test_bad_buffers(world: World, bad: Any) -> None:
    class Bad(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> Any:
            if isinstance(bad, Exception):
                raise bad
            return bad if bad != b"" else bytearray()

        def buffer_updated(self, nbytes: int) -> None:
            raise AssertionError("never reached")

        def connection_lost(self, error: BaseException | None) -> None:
            self.lost.set_result(error)

    async def main() -> None:
        protocol = Bad()
        transport, far = await connect(protocol)
        with reports() as told:
            far.send(b"x")
            error = await protocol.lost
        assert transport.is_closing()
        assert len(told) == 1
        assert told[0]["transport"] is transport
        assert told[0]["exception"] is error
        if bad == b"":
            assert isinstance(error, RuntimeError)
            assert str(error) == "get_buffer() returned an empty buffer"
        elif isinstance(bad, Exception):
            assert error is bad
        else:
            assert isinstance(error, (TypeError, BufferError))
        far.close()

    world.run(main)


@pytest.mark.parametrize("world", OURS, ids=repr)
def test_a_buffer_that_has_a_length_and_no_bytes(world: World) -> None:
    """What is received into it is nothing, and that is not the end of the stream, as asyncio takes it."""

    class Hollow(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> Any:
            return memoryview((ctypes.c_char * 0 * 3)())

        def eof_received(self) -> None:
            raise AssertionError("never reached")

        def connection_lost(self, error: BaseException | None) -> None:
            self.lost.set_result(error)

    async def main() -> None:
        protocol = Hollow()
        _, far = await connect(protocol)
        with reports() as told, far:
            far.send(b"x")
            error = await protocol.lost
        assert isinstance(error, RuntimeError)
        assert told[0]["exception"] is error

    world.run(main)


@each_world
@pytest.mark.parametrize("method", ["data_received", "eof_received"])
def test_errors_of_the_protocol(world: World, method: str) -> None:
    class Failing(Notes):
        pass

    def fail(*args: Any) -> None:
        raise ZeroDivisionError("of the user")

    setattr(Failing, method, fail)

    async def main() -> None:
        protocol = Failing()
        transport, far = await connect(protocol)
        with reports() as told:
            far.send(b"x")
            far.shutdown(socket.SHUT_WR)
            error = await protocol.lost
        assert isinstance(error, ZeroDivisionError)
        assert [context["message"] for context in told] == [f"Fatal error: protocol.{method}() call failed."]
        assert told[0]["protocol"] is protocol
        assert transport.is_closing()
        far.close()

    world.run(main)


@each_world
def test_errors_of_connection_made(world: World) -> None:
    class Failing(Notes):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise ZeroDivisionError("made")

    async def main() -> None:
        protocol = Failing()
        with reports() as told:
            _, far = await connect(protocol)
        assert len(told) == 1
        assert isinstance(told[0]["exception"], ZeroDivisionError)
        far.send(b"x")
        await until(lambda: protocol.data)  # asyncio goes on as well
        far.close()
        await protocol.lost

    world.run(main)


@each_world
def test_context(world: World) -> None:
    class Looking(Notes):
        def connection_made(self, transport: Any) -> None:
            self.colours = [colour.get()]
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            self.colours.append(colour.get())
            super().data_received(data)

        def resume_writing(self) -> None:
            self.colours.append(colour.get())
            super().resume_writing()

        def connection_lost(self, error: BaseException | None) -> None:
            self.colours.append(colour.get())
            super().connection_lost(error)

    async def main() -> None:
        colour.set("red")
        protocol = Looking()
        transport, far = await connect(protocol, buffer=4096)
        colour.set("blue")
        far.send(b"x")
        await until(lambda: protocol.data)
        transport.set_write_buffer_limits(high=10)
        transport.write(b"y" * (1 << 20))
        far_done = asyncio.create_task(read_all(far))
        await protocol.may_write.wait()
        transport.close()
        await far_done
        await protocol.lost
        if world.ours:
            assert protocol.colours == ["red"] * 4
        else:
            assert protocol.colours[:2] == ["red"] * 2

    world.run(main)


@each_world
def test_no_task_is_current_in_a_protocol(world: World) -> None:
    class Looking(Notes):
        def data_received(self, data: bytes) -> None:
            assert asyncio.current_task() is None
            super().data_received(data)

    async def main() -> None:
        protocol = Looking()
        transport, far = await connect(protocol)
        for _ in range(3):
            far.send(b"x")
            await turns(3)
        assert protocol.data == b"xxx"
        assert asyncio.current_task() is not None
        transport.close()
        await protocol.lost
        far.close()

    world.run(main)


@each_world
def test_methods_can_be_replaced(world: World) -> None:
    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol)
        written = []
        transport.write = written.append
        transport.write(b"x")
        assert written == [b"x"]
        heard: list[bytes] = []
        protocol.data_received = heard.append  # type: ignore[method-assign]
        far.send(b"y")
        await until(lambda: heard)
        assert heard == [b"y"]
        transport.close()
        await protocol.lost
        far.close()

    world.run(main)


@each_world
def test_an_unclosed_transport_says_so(world: World) -> None:
    async def leave_it() -> socket.socket:
        _, far = await connect(Notes())
        return far

    with asyncio.Runner(loop_factory=world.new_loop) as runner:
        far = runner.run(leave_it())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        gc.collect()
    assert any("unclosed transport" in str(warning.message) for warning in warned)
    assert far.recv(1) == b""
    far.close()


@each_of_ours
def test_wrong_thread_in_debug_mode(world: World) -> None:
    async def main() -> None:
        protocol = Notes()
        transport, far = await connect(protocol)
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
            await loop.run_in_executor(None, transport.write, b"x")
        with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
            await loop.run_in_executor(None, transport.close)
        assert not transport.is_closing()
        transport.close()
        await protocol.lost
        assert await read_all(far) == b""

    world.run(main, debug=True)
