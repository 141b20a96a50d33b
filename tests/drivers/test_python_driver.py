"""A driver in plain Python, given to a loop: protocols, streams, servers and datagrams talk over it, and nothing opens a descriptor."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.loop.event_loop import EventLoop
from tests.support.memory_driver import WINDOW, Clock, MemoryDriver, MemorySocket

Main = Callable[[], Any]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["real clock", "virtual clock"])
def driver(request: pytest.FixtureRequest) -> MemoryDriver:
    return MemoryDriver(Clock() if request.param == "virtual clock" else None)


@pytest.fixture
def play(driver: MemoryDriver) -> Iterator[Callable[..., Any]]:
    """Run a coroutine on a loop with that driver; reports fail the test."""
    reports: list[Any] = []

    def run(main: Main, *, debug: bool = False) -> Any:
        def factory() -> EventLoop:
            loop = EventLoop(driver, clock=driver.clock)
            loop.set_exception_handler(lambda _, context: reports.append(context))
            return loop

        with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
            return runner.run(main())

    yield run
    assert reports == []
    assert driver.closed


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.told: list[Any] = []
        self.data = b""
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.told.append("eof")

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, error: BaseException | None) -> None:
        self.told.append(error)
        self.lost.set_result(None)


class BufferedClient(Client, asyncio.BufferedProtocol):  # type: ignore[misc]
    data_received = property()  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> bytearray:
        self.room = bytearray(5)
        return self.room

    def buffer_updated(self, count: int) -> None:
        self.data += self.room[:count]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("host", ["server.test", "10.0.0.1"])
def test_protocols_talk(play: Any, driver: MemoryDriver, host: str, debug: bool) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "10.0.0.1", 80)
        transport, client = await loop.create_connection(Client, host, 80)
        assert transport.get_extra_info("peername") == ("10.0.0.1", 80)
        assert transport.get_extra_info("sockname")[0] == "10.0.0.2"
        transport.write(b"hello, ")
        transport.write(b"world")
        while len(client.data) < 12:
            await asyncio.sleep(0)
        transport.close()
        await client.lost
        server.close()
        await server.wait_closed()
        return client

    client = play(main, debug=debug)
    assert client.data == b"hello, world"
    assert client.told == ["made", None]
    assert (("resolve", "server.test", 80) in driver.log) == (host == "server.test")
    assert [entry for entry in driver.log if entry[0] == "socket"] == [("socket", socket.AF_INET, socket.SOCK_STREAM)] * 2


def test_much_data_and_back_pressure(play: Any) -> None:
    """More than the window takes: the writer is paused, and told when there is room."""
    sent = os.urandom(1024) * 1024

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        await loop.create_server(Echo, None, 81)
        transport, client = await loop.create_connection(Client, "10.0.0.1", 81)
        transport.pause_reading()
        transport.write(sent)
        for _ in range(20):
            await asyncio.sleep(0)
        assert client.data == b""
        assert client.told == ["made", "pause"]
        transport.resume_reading()
        while len(client.data) < len(sent):
            await asyncio.sleep(0)
        transport.abort()
        await client.lost
        return client

    client = play(main)
    assert client.data == sent
    assert client.told == ["made", "pause", "resume", None]


def test_a_protocol_with_a_buffer_of_its_own(play: Any) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        await loop.create_server(Echo, None, 81)
        transport, client = await loop.create_connection(BufferedClient, "10.0.0.1", 81)
        transport.write(b"more than five bytes")
        while len(client.data) < 20:
            await asyncio.sleep(0)
        transport.close()
        await client.lost
        return client.data

    assert play(main) == b"more than five bytes"


@pytest.mark.parametrize("ns", [asyncio, cede], ids=["asyncio", "cede"])
def test_streams(play: Any, ns: Any) -> None:
    async def serve(reader: Any, writer: Any) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        assert await reader.read() == b""
        writer.close()

    async def main() -> bytes:
        server = await ns.start_server(serve, "10.0.0.1", 7)
        reader, writer = await ns.open_connection("server.test", 7)
        writer.write(b"shout\n")
        writer.write_eof()
        answer: bytes = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return answer

    assert play(main) == b"SHOUT\n"


def test_nobody_listens(play: Any) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().create_connection(Client, "10.0.0.1", 9)
        with pytest.raises(socket.gaierror):
            await asyncio.get_running_loop().create_connection(Client, "nowhere.test", 9)

    play(main)


def test_datagrams(play: Any) -> None:
    class Receiver(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.told: Any = asyncio.Queue()

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, address: Any) -> None:
            self.told.put_nowait((data, address))

        def error_received(self, error: Exception) -> None:
            self.told.put_nowait(type(error))

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        _, ours = await loop.create_datagram_endpoint(Receiver, ("10.0.0.1", 53))
        _, theirs = await loop.create_datagram_endpoint(Receiver, ("10.0.0.2", 5353))
        theirs.transport.sendto(b"question", ("10.0.0.1", 53))
        question, address = await ours.told.get()
        ours.transport.sendto(b"answer to " + question, address)
        told = [await theirs.told.get()]
        theirs.transport.sendto(b"lost", ("10.0.0.1", 54))
        told.append(await theirs.told.get())
        ours.transport.close()
        theirs.transport.close()
        await asyncio.sleep(0)
        return told

    assert play(main) == [(b"answer to question", ("10.0.0.1", 53)), ConnectionRefusedError]


def test_time_passes_by_the_driver_alone() -> None:
    """A year of virtual time, in no time."""
    clock = Clock()
    driver = MemoryDriver(clock)

    async def main() -> float:
        await asyncio.sleep(365 * 86400)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.get_running_loop().create_future()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=lambda: EventLoop(driver, clock=clock)) as runner:
        assert runner.run(main()) >= 365 * 86400 + 3600


def test_other_threads_wake_it() -> None:
    driver = MemoryDriver()

    async def main() -> str:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(answer.set_result, "posted"))
        thread.start()
        told: str = await answer
        thread.join()
        return told + await asyncio.to_thread(str, " by a job")

    with asyncio.Runner(loop_factory=lambda: EventLoop(driver)) as runner:
        assert runner.run(main()) == "posted by a job"


# -- what a driver does wrong


class Pair:
    """A connected stream of which the test is the driver."""

    def __init__(self) -> None:
        self.driver = MemoryDriver(Clock())
        self.reports: list[Any] = []

    def run(self, main: Any) -> Any:
        loop = EventLoop(self.driver, clock=self.driver.clock)
        loop.set_exception_handler(lambda _, context: self.reports.append(context))

        async def whole() -> Any:
            await loop.create_server(Echo, None, 81)
            transport, client = await loop.create_connection(Client, "10.0.0.1", 81)
            end = transport.get_extra_info("socket")._sock.end
            return await main(transport, client, end)

        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(whole())


@pytest.mark.parametrize("taken", [-1, 6, None, "3", 1e9, 10**30])
def test_a_wrong_number_of_bytes_taken_is_named(taken: Any) -> None:
    pair = Pair()

    async def main(transport: Any, client: Client, end: Any) -> Any:
        end.write = lambda data: taken
        transport.write(b"12345")
        await client.lost
        return client.told[-1]

    error = pair.run(main)
    assert isinstance(error, ValueError)
    assert "write(data)" in str(error)
    assert len(pair.reports) == 1


def test_what_comes_through_a_door_is_told_in_its_turn() -> None:
    """Not in the middle of whatever runs, and in the order in which it came."""
    pair = Pair()

    async def main(transport: Any, client: Client, end: Any) -> Any:
        door = end.door
        door.deliver(b"a")
        door.deliver(bytearray(b"b"))
        door.deliver(b"")
        assert client.data == b""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert client.data == b"ab"
        transport.pause_reading()
        door.deliver(b"c")
        for _ in range(5):
            await asyncio.sleep(0)
        assert client.data == b"ab"
        transport.resume_reading()
        door.deliver(b"d")
        door.deliver_eof()
        await client.lost
        door.deliver(b"too late")
        door.deliver_room()
        for _ in range(5):
            await asyncio.sleep(0)
        return client.data

    assert pair.run(main) == b"abcd"
    assert pair.reports == []


def test_a_door_refuses_what_is_none_of_its_events_and_other_threads() -> None:
    pair = Pair()

    async def main(transport: Any, client: Client, end: Any) -> None:
        with pytest.raises(TypeError, match="a stream is told of"):
            end.door.deliver_connection(None, None)
        with pytest.raises(TypeError, match="error must be an exception"):
            end.door.deliver_error("broken")
        with pytest.raises(TypeError):
            end.door.deliver("text")
        failed: list[BaseException] = []

        def elsewhere() -> None:
            try:
                end.door.deliver(b"x")
            except RuntimeError as error:
                failed.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(failed) == 1
        end.door.deliver_error(OSError(errno.ECONNRESET, "gone"))
        await client.lost
        assert client.told[-1].errno == errno.ECONNRESET

    pair.run(main)
    assert pair.reports == []


def test_an_error_in_a_protocol_ends_its_connection_alone() -> None:
    pair = Pair()

    async def main(transport: Any, client: Client, end: Any) -> None:
        client.data_received = lambda data: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        end.door.deliver(b"x")
        await client.lost

    pair.run(main)
    (report,) = pair.reports
    assert isinstance(report["exception"], ZeroDivisionError)


@pytest.mark.parametrize("room", [b"read only", "text", 5, memoryview(b"1234")], ids=["bytes", "text", "number", "view"])
def test_a_buffer_that_takes_nothing_ends_its_connection(room: Any) -> None:
    pair = Pair()

    class Refusing(BufferedClient):
        def get_buffer(self, sizehint: int) -> Any:
            return room

    async def main(transport: Any, client: Client, end: Any) -> Any:
        protocol = Refusing()
        transport.set_protocol(protocol)
        end.door.deliver(b"data")
        await protocol.lost
        return protocol.told[-1]

    assert isinstance(pair.run(main), TypeError)
    assert len(pair.reports) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_an_event_loses_none(kind: type[BaseException]) -> None:
    driver = MemoryDriver(Clock())
    loop = EventLoop(driver, clock=driver.clock)
    try:

        async def connect() -> Any:
            await loop.create_server(Echo, None, 81)
            return await loop.create_connection(Client, "10.0.0.1", 81)

        transport, client = loop.run_until_complete(connect())
        other, second = loop.run_until_complete(loop.create_connection(Client, "10.0.0.1", 81))

        def interrupt(data: bytes) -> None:
            raise kind

        client.data_received = interrupt
        transport.get_extra_info("socket")._sock.end.door.deliver(b"1")
        other.get_extra_info("socket")._sock.end.door.deliver(b"2")
        with pytest.raises(kind):
            loop.run_until_complete(asyncio.sleep(1))
        loop.run_until_complete(asyncio.sleep(1))
        assert second.data == b"2"
        transport.abort()
        other.abort()
        loop.run_until_complete(asyncio.sleep(1))
    finally:
        loop.close()


@pytest.mark.parametrize("wrong", [1, object(), MemorySocket(), []])
def test_what_is_no_driver_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="driver must be None, a name, a driver of cede's, or an object with the methods"):
        EventLoop(wrong)


def test_what_is_no_stream_is_refused(driver: MemoryDriver) -> None:
    driver.open_stream = lambda sock, door: object()  # type: ignore[method-assign,assignment,return-value]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        await loop.create_server(Echo, None, 81)
        with pytest.raises(TypeError, match=r"driver\.open_stream\(\) must return an object with the methods resume"):
            await loop.create_connection(Client, "10.0.0.1", 81)

    with asyncio.Runner(loop_factory=lambda: EventLoop(driver, clock=driver.clock)) as runner:
        runner.run(main())


def test_what_the_driver_lacks_is_named(play: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotImplementedError, match=r"add_reader\(\): the loop's driver"):
            loop.add_reader(0, print)
        with pytest.raises(NotImplementedError, match=r"op_recv\(\): the loop's driver"):
            await loop.sock_recv(MemorySocket(), 1)  # type: ignore[arg-type]

    play(main)


# -- no descriptor


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list a process's descriptors")
def test_no_descriptor_is_opened(play: Any) -> None:
    before = os.listdir("/proc/self/fd")

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        await loop.create_server(Echo, None, 81)
        transport, client = await loop.create_connection(Client, "localhost", 81)
        transport.write(b"x" * (2 * WINDOW))
        while len(client.data) < 2 * WINDOW:
            await asyncio.sleep(0)
        during = os.listdir("/proc/self/fd")
        transport.abort()
        await client.lost
        return during

    assert play(main) == before


PROGRAMS = ["protocols", "aiohttp"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_strace_sees_no_socket(program: str, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not there")
    if program == "aiohttp":
        pytest.importorskip("aiohttp")
    trace = tmp_path / "trace"
    command = [sys.executable, "-m", "tests.support.memory_programs", program]
    calls = "trace=network,epoll_create,epoll_create1,pipe,pipe2,eventfd2,clone,clone3,fork,vfork"
    try:
        whole = [strace, "-f", "-qq", "-e", calls, "-o", str(trace), *command]
        done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail("the program did not end")
    if "ptrace" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"strace may not look here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [program, "ok"]
    _, _, traced = trace.read_text().partition("EBADF")  # the program's mark: what comes before it was the import
    assert traced.splitlines()[1:] == []
