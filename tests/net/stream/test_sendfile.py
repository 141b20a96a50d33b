"""Files to sockets: by the system itself, and by reading and writing where that cannot be."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, connect_tcp, read_all, reset, turns, until

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

SIZE = 3_000_001
DATA = os.urandom(1 << 10) * (SIZE // 1024) + b"end of it"
NATIVE = hasattr(os, "sendfile")
needs_native = pytest.mark.skipif(not NATIVE, reason="no sendfile here")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[io.BufferedReader]:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with path.open("rb") as opened:
        yield opened


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What each call of os.sendfile sent."""
    if not NATIVE:
        pytest.skip("no sendfile here")
    real, seen = os.sendfile, []

    def counted(*args: Any) -> int:
        sent = real(*args)
        seen.append(sent)
        return sent

    monkeypatch.setattr(os, "sendfile", counted)
    return seen


async def pair() -> tuple[Any, Any, socket.socket]:
    """A transport with a small send buffer, its protocol, and the other end."""
    protocol = Notes()
    transport, far = await connect(protocol, buffer=8192)
    return transport, protocol, far


RANGES = [(0, None), (0, 1), (1, None), (1000, 2000), (len(DATA) - 5, None), (len(DATA) - 5, 100), (len(DATA) + 10, None)]


# -- through transports


@each_world
@pytest.mark.parametrize(("offset", "count"), RANGES)
def test_part_of_a_file_through_a_transport(world: World, file: Any, calls: list[int], offset: int, count: int | None) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, far = await pair()
        wanted = DATA[offset:] if count is None else DATA[offset : offset + count]
        receiving = asyncio.create_task(read_all(far))
        transport.write(b"before" * 10_000)
        file.read(77)  # the position, and what the file object has read ahead, are of no consequence
        assert await loop.sendfile(transport, file, offset, count) == len(wanted)
        if world.ours:  # asyncio moves the descriptor and does not tell the file object
            assert file.tell() == offset + len(wanted)
        transport.write(b"after")
        transport.close()
        assert await protocol.lost is None
        assert await receiving == b"before" * 10_000 + wanted + b"after"
        assert sum(calls) == len(wanted)

    world.run(main)


@each_world
@needs_native
def test_nothing_else_is_written_meanwhile(world: World, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, far = await pair()
        transport.write(b"x" * 100_000)
        sending = asyncio.create_task(loop.sendfile(transport, file))
        for _ in range(2):  # while what was written before drains, and while the file is sent
            await turns(3)
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                transport.write(b"no")
            if world.ours or sys.version_info >= (3, 12):
                with pytest.raises(RuntimeError, match="sendfile is in progress"):
                    transport.writelines([b"no"])
            if world.ours:
                with pytest.raises(RuntimeError, match="sendfile is in progress"):
                    await loop.sendfile(transport, file)
            received = 0
            while received < 100_000:
                received += len(await loop.sock_recv(far, 100_000 - received))
        receiving = asyncio.create_task(read_all(far))
        assert await sending == len(DATA)
        transport.write(b"again")
        transport.close()
        assert await receiving == (DATA + b"again")[100_000:]

    world.run(main)


@each_world
def test_nothing_is_received_meanwhile(world: World, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, far = await pair()
        sending = asyncio.create_task(loop.sendfile(transport, file))
        await turns(3)
        far.send(b"a question")
        await turns(5)
        assert protocol.told == ["made"]
        receiving = asyncio.create_task(read_all(far))
        await sending
        await until(lambda: protocol.data == b"a question")
        transport.pause_reading()
        await loop.sendfile(transport, file, 0, 10)
        assert not transport.is_reading()  # as it was
        transport.close()
        assert await receiving == DATA + DATA[:10]

    world.run(main)


@each_of_ours
@needs_native
@pytest.mark.parametrize("way", ["close", "abort"])
def test_the_transport_is_closed_in_the_middle(world: World, file: Any, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, far = await pair()
        sending = asyncio.create_task(loop.sendfile(transport, file, 100))
        first = await loop.sock_recv(far, 5000)
        await turns(3)
        getattr(transport, way)()
        with pytest.raises(ConnectionError):
            await sending
        await protocol.lost
        received = first + await read_all(far)
        assert received == DATA[100 : 100 + len(received)]
        assert 0 < len(received) < len(DATA)
        assert file.tell() == 100 + len(received)
        with pytest.raises(RuntimeError, match="Transport is closing"):
            await loop.sendfile(transport, file)

    world.run(main)


@each_world
@pytest.mark.parametrize("fallback_only", [False, True])
def test_the_peer_resets_the_connection(world: World, file: Any, fallback_only: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Notes()
        transport, far = await connect_tcp(protocol)
        source = io.BytesIO(DATA * 10) if fallback_only else file
        if not fallback_only:
            os.truncate(file.name, 100 << 20)  # more than all buffers hold
        else:
            source = io.BytesIO(bytes(40 << 20))
        sending = asyncio.create_task(loop.sendfile(transport, source))
        await loop.sock_recv(far, 1000)
        await turns(3)
        reset(far)
        with pytest.raises(ConnectionError):
            await sending
        assert source.tell() > 0
        transport.close()
        await protocol.lost
        assert protocol.told[-1] == "lost"

    world.run(main)


@each_of_ours
@needs_native
def test_a_cancelled_sendfile_leaves_a_usable_transport(world: World, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, far = await pair()
        for written_before in (b"", b"y" * 500_000):
            transport.write(written_before)
            sending = asyncio.create_task(loop.sendfile(transport, file))
            await turns(5)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            sent = file.tell()
            transport.write(b"and on")
            expected = written_before + DATA[:sent] + b"and on"
            if written_before:
                expected = written_before + b"and on"  # cancelled while that was still on its way
            received = b""
            while len(received) < len(expected):
                received += await loop.sock_recv(far, len(expected) - len(received))
            assert received == expected
            file.seek(0)
        transport.close()
        far.close()
        await turns(3)

    world.run(main)


@pytest.mark.parametrize("way", ["transport", "socket", "read and written"])
@each_world
def test_another_file_gets_the_number_of_a_cancelled_one(world: World, file: Any, tmp_path: Path, way: str) -> None:
    """It is cancelled, closed, and its number used again, in one step and with room in the socket: nothing of the other file is sent."""
    if way == "socket" and not world.ours:
        pytest.skip("asyncio's goes on by the number")
    other = tmp_path / "other"
    other.write_bytes(b"\0other\0" * 400_000)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        near.setblocking(False)
        far.setblocking(False)
        transport = None
        if way == "socket":
            sending = asyncio.ensure_future(loop.sock_sendfile(near, file))
        else:
            if way != "transport":
                near = OwnSend(near.family, near.type, fileno=near.detach())
            transport, _ = await loop.connect_accepted_socket(Notes, near)
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
        received = bytearray()
        while not received:  # it is under way, and has filled the socket
            await turns(3)
            if way != "transport":
                await asyncio.sleep(0.01)
            with contextlib.suppress(BlockingIOError):
                received += far.recv(1)
        with contextlib.suppress(BlockingIOError):
            while True:
                received += far.recv(1 << 20)
        number = file.fileno()
        before = len(received)
        sending.cancel()
        file.close()
        with other.open("rb") as another:
            if way == "transport":
                assert another.fileno() == number
            for _ in range(50):
                await turns(1)
                with contextlib.suppress(BlockingIOError):
                    received += far.recv(1 << 20)
            with pytest.raises(asyncio.CancelledError):
                await sending
        assert received == DATA[: len(received)]
        assert way == "read and written" or len(received) == before
        if transport is None:
            near.close()
        else:
            transport.abort()
            await turns(3)
        far.close()

    world.run(main)


@pytest.mark.parametrize("way", ["transport", "socket"])
@each_of_ours
@needs_native
def test_a_file_that_is_closed_meanwhile_is_sent_to_its_end(world: World, file: Any, tmp_path: Path, way: str) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\0other\0" * 400_000)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        if way == "socket":
            sending = asyncio.ensure_future(loop.sock_sendfile(near, file))
        else:
            transport, _ = await loop.connect_accepted_socket(Notes, near)
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
        await turns(3)
        assert not sending.done()
        file.close()
        with other.open("rb"):
            received = bytearray()
            while len(received) < len(DATA):
                received += await loop.sock_recv(far, 1 << 20)
            assert await sending == len(DATA)
            assert received == DATA
        if way == "socket":
            near.close()
        else:
            transport.close()
            await turns(3)
        far.close()
        if before:
            assert len(os.listdir("/proc/self/fd")) < len(before)  # of ours and of the file's

    world.run(main)


@each_world
def test_a_transport_that_sends_no_files(world: World, file: Any) -> None:
    class Foreign(asyncio.Transport):
        def is_closing(self) -> bool:
            return False

    async def main() -> None:
        loop = asyncio.get_running_loop()
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        for transport in (datagrams, Foreign()):
            with pytest.raises(RuntimeError, match="sendfile is not supported for transport"):
                await loop.sendfile(transport, file)
        datagrams.close()
        await turns(3)
        assert file.tell() == 0

    world.run(main)


# -- through sockets


@each_world
@pytest.mark.parametrize(("offset", "count"), RANGES)
def test_part_of_a_file_through_a_socket(world: World, file: Any, calls: list[int], offset: int, count: int | None) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        wanted = DATA[offset:] if count is None else DATA[offset : offset + count]
        receiving = asyncio.create_task(read_all(far))
        assert await loop.sock_sendfile(near, file, offset, count) == len(wanted)
        if wanted or world.ours:
            assert file.tell() == offset + len(wanted)
        near.close()
        assert await receiving == wanted
        assert sum(calls) == len(wanted)

    world.run(main)


@each_world
@needs_native
def test_a_cancelled_sock_sendfile_tells_how_far_it_came(world: World, file: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        sending = asyncio.ensure_future(loop.sock_sendfile(near, file))
        await turns(5)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        near.close()
        received = await read_all(far)
        assert 0 < len(received) < len(DATA)
        assert received == DATA[: len(received)]
        if world.ours:  # asyncio notices only when there is room again
            assert file.tell() == len(received)
            assert loop.driver.idle

    world.run(main)


@each_of_ours
@needs_native
def test_a_peer_that_takes_everything_leaves_others_their_turn(world: World, file: Any) -> None:
    """The socket has room all the time, so nothing would ever interrupt the sending."""
    import threading

    os.truncate(file.name, 200 << 20)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        taken = 0

        def take() -> None:
            nonlocal taken
            room = bytearray(1 << 20)
            while count := far.recv_into(room):
                taken += count

        thread = threading.Thread(target=take)
        thread.start()
        sending = asyncio.ensure_future(loop.sock_sendfile(near, file))
        others = 0
        while not sending.done():
            await asyncio.sleep(0)
            others += 1
        assert sending.result() == 200 << 20
        assert others > 10
        near.close()
        await asyncio.to_thread(thread.join)
        assert taken == 200 << 20
        far.close()

    world.run(main)


# -- without the system


class OwnSend(socket.socket):
    """A socket that looks at what is sent through it."""

    seen = 0

    def send(self, data: Any, *args: Any) -> int:
        count = super().send(data, *args)
        self.seen += count
        return count

    def sendmsg(self, *args: Any) -> int:
        count = super().sendmsg(*args)
        self.seen += count
        return count


@each_of_ours
def test_a_socket_class_with_a_send_of_its_own(world: World, file: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        own = OwnSend(near.family, near.type, fileno=near.detach())
        own.setblocking(False)
        far.setblocking(False)
        with pytest.raises(asyncio.SendfileNotAvailableError):
            await loop.sock_sendfile(own, file, fallback=False)
        receiving = asyncio.create_task(read_all(far))
        assert await loop.sock_sendfile(own, file) == len(DATA)
        assert own.seen == len(DATA)
        transport, protocol = await loop.create_connection(Notes, sock=own)
        with pytest.raises(asyncio.SendfileNotAvailableError):
            await loop.sendfile(transport, file, fallback=False)
        assert await loop.sendfile(transport, file) == len(DATA)
        transport.close()
        assert await receiving == DATA * 2
        assert own.seen == len(DATA) * 2
        await protocol.lost

    world.run(main)


@each_world
def test_something_in_memory(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, far = await pair()
        receiving = asyncio.create_task(read_all(far))
        source = io.BytesIO(DATA)
        with pytest.raises(asyncio.SendfileNotAvailableError):
            await loop.sendfile(transport, source, fallback=False)
        assert await loop.sendfile(transport, source) == len(DATA)
        assert source.tell() == len(DATA)
        assert await loop.sendfile(transport, source, 10, 20) == 20
        assert source.tell() == 30
        await until(lambda: not transport.get_write_buffer_size())
        assert protocol.told[-1] in ("resume", "made") or not world.ours
        transport.close()
        received = await receiving
        if world.ours or sys.version_info < (3, 12):  # later ones reuse a buffer that the transport still holds
            assert received == DATA + DATA[10:30]

    world.run(main)


@each_of_ours
def test_a_pipe_as_the_file(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ear, mouth = os.pipe()
        os.write(mouth, b"through a pipe")
        os.close(mouth)
        transport, _, far = await pair()
        receiving = asyncio.create_task(read_all(far))
        with open(ear, "rb") as source:
            assert await loop.sendfile(transport, source) == len(b"through a pipe")
        transport.close()
        assert await receiving == b"through a pipe"

    world.run(main)


@each_of_ours
def test_flow_control_is_told_in_turns(world: World) -> None:
    """The protocol may be paused when it begins, when it ends, both or neither; it hears each change once."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for before, after in ((0, 0), (200_000, 0), (0, 200_000), (200_000, 200_000)):
            transport, protocol, far = await pair()
            transport.write(bytes(before))
            sending = asyncio.create_task(loop.sendfile(transport, io.BytesIO(bytes(after or 1000))))
            await turns(3)
            receiving = asyncio.create_task(read_all(far))
            assert await sending == (after or 1000)
            await until(lambda transport=transport: not transport.get_write_buffer_size())
            changes = [word for word in protocol.told if word in ("pause", "resume")]
            assert changes == ["pause", "resume"] * (len(changes) // 2)
            transport.close()
            await protocol.lost
            await receiving

    world.run(main)


@each_of_ours
def test_a_lost_connection_in_the_fallback(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol, far = await pair()
        source = io.BytesIO(DATA)
        sending = asyncio.create_task(loop.sendfile(transport, source))
        await loop.sock_recv(far, 1000)
        transport.abort()
        with pytest.raises(ConnectionError):
            await sending
        await protocol.lost
        assert transport.get_protocol() is None
        far.close()

    world.run(main)


# -- arguments


@each_world
def test_bad_arguments(world: World, file: Any, tmp_path: Path) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        transport, _, far = await pair()
        near, peer = socket.socketpair()
        near.setblocking(False)
        with open(tmp_path / "file") as text, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.setblocking(False)
            for error, arguments in (
                (ValueError, (text,)),
                (TypeError, (file, "0")),
                (ValueError, (file, -1)),
                (TypeError, (file, 0, "1")),
                (ValueError, (file, 0, 0)),
                (ValueError, (file, 0, -5)),
            ):
                with pytest.raises(error):
                    await loop.sock_sendfile(near, *arguments)
                if world.ours:
                    with pytest.raises(error):
                        await loop.sendfile(transport, *arguments)
            with pytest.raises(ValueError, match="only SOCK_STREAM"):
                await loop.sock_sendfile(datagrams, file)
        assert file.tell() == 0
        if world.ours:
            with pytest.raises(RuntimeError, match="is used by transport"):
                await loop.sock_sendfile(transport._sock, file)
        transport.close()
        for sock in (near, peer, far):
            sock.close()
        await turns(3)

    world.run(main)


@each_world
def test_an_empty_file(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, far = await pair()
        (tmp_path / "empty").touch()
        with (tmp_path / "empty").open("rb") as empty:
            assert await loop.sendfile(transport, empty) == 0
        transport.write(b"x")
        assert far.recv(10) == b"x"
        transport.close()
        far.close()
        await turns(3)

    world.run(main)


@each_of_ours
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc here")
def test_a_file_that_does_not_know_its_size(world: World) -> None:
    """The system says 0 bytes, and there are some."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _, far = await pair()
        receiving = asyncio.create_task(read_all(far))
        with open("/proc/version", "rb") as source:
            assert await loop.sendfile(transport, source) > 0
        transport.close()
        assert (await receiving).startswith(b"Linux version")

    world.run(main)


@pytest.mark.parametrize("buffered", [False, True], ids=["plain", "buffered"])
@each_of_ours
def test_what_arrives_meanwhile_is_the_protocols(world: World, buffered: bool) -> None:
    """Where the program resumes reading while a file is read and written. (asyncio ends the connection with an error.)"""

    class Pieces(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.got = bytearray()
            self.piece = bytearray(7)

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            pass

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.piece

        def buffer_updated(self, nbytes: int) -> None:
            self.got += self.piece[:nbytes]

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        protocol: Any = Pieces() if buffered else Notes()
        transport, far = await connect(protocol, buffer=8192)
        sending = loop.create_task(loop.sendfile(transport, io.BytesIO(DATA)))
        while transport.get_protocol() is protocol:
            await asyncio.sleep(0)
        transport.resume_reading()
        await loop.sock_sendall(far, DATA[:1000])
        received = protocol.got if buffered else protocol.data
        await until(lambda: len(received) >= 1000)
        assert received == DATA[:1000]
        reading = loop.create_task(read_all(far))
        assert await sending == len(DATA)
        assert transport.get_protocol() is protocol
        transport.close()
        assert await reading == DATA

    world.run(main)
