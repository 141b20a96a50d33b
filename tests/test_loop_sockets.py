"""Descriptors and sockets of the program's own: add_reader and its like, and the sock_* operations."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import random
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def is_cede(loop: asyncio.AbstractEventLoop) -> bool:
    return "cede" in type(loop).__module__


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


Pair = tuple[socket.socket, socket.socket]
Run = Callable[..., Any]


# -- add_reader, add_writer


@pytest.mark.parametrize("what", ["number", "object"])
def test_readers_are_called_while_there_is_data(run: Run, pair: Pair, what: str) -> None:
    one, other = pair
    thing: Any = one.fileno() if what == "number" else one

    async def main() -> list[bytes]:
        loop = asyncio.get_running_loop()
        seen: list[bytes] = []
        done = loop.create_future()

        def read(size: int) -> None:
            seen.append(one.recv(size))
            if len(seen) == 3:
                done.set_result(None)

        assert loop.add_reader(thing, read, 2) is None  # type: ignore[func-returns-value]
        other.send(b"aabbcc")
        await done
        assert loop.remove_reader(thing) is True
        assert loop.remove_reader(thing) is False
        return seen

    assert run(main) == [b"aa", b"bb", b"cc"]


def test_writers_are_called_while_there_is_room(run: Run, pair: Pair) -> None:
    one, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        calls = 0
        done = loop.create_future()

        def write() -> None:
            nonlocal calls
            calls += 1
            if calls == 3:
                done.set_result(None)

        loop.add_writer(one, write)
        await done
        assert loop.remove_writer(one) is True
        assert loop.remove_writer(one) is False

    run(main)


def test_reader_and_writer_of_one_descriptor(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        readable, writable = asyncio.Event(), asyncio.Event()
        loop.add_reader(one, readable.set)
        loop.add_writer(one, lambda: (loop.remove_writer(one), writable.set()))
        await writable.wait()
        assert not readable.is_set()
        other.send(b"x")
        await readable.wait()
        assert loop.remove_reader(one)

    run(main)


def test_the_next_reader_replaces_the_one_before(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second = asyncio.Event(), asyncio.Event()
        loop.add_reader(one, first.set)
        loop.add_reader(one, second.set)
        other.send(b"x")
        await second.wait()
        assert not first.is_set()
        loop.remove_reader(one)

    run(main)


def test_a_reader_removed_by_another_of_the_same_batch(run: Run) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(5)]
        seen: list[int] = []

        def read(number: int) -> None:
            seen.append(number)
            for one, _ in pairs:
                loop.remove_reader(one)

        for number, (one, other) in enumerate(pairs):
            other.send(b"x")
            loop.add_reader(one, read, number)
        for _ in range(3):
            await asyncio.sleep(0.001)
        for one, other in pairs:
            one.close()
            other.close()
        return seen

    assert len(run(main)) == 1


def test_pipes_can_be_watched(run: Run) -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        ear, mouth = os.pipe()
        data = loop.create_future()
        loop.add_reader(ear, lambda: (loop.remove_reader(ear), data.set_result(os.read(ear, 10))))
        os.write(mouth, b"piped")
        os.close(mouth)
        result = await data
        os.close(ear)
        return result  # type: ignore[no-any-return]

    assert run(main) == b"piped"


def test_the_end_of_a_stream_is_readable(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(one, readable.set)
        other.close()
        await readable.wait()
        assert loop.remove_reader(one)

    run(main)


def test_what_is_no_descriptor(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        closed = socket.socket()
        closed.close()
        for junk in (None, "x", 1.5, object(), -1, closed):
            for call in (loop.add_reader, loop.add_writer):
                with pytest.raises(ValueError):
                    call(junk, print)
        with pytest.raises(OSError):
            loop.add_reader(100_000, print)
        with tempfile.TemporaryFile() as file, pytest.raises(PermissionError):
            loop.add_reader(file, print)

    if sys.platform.startswith("linux"):
        run(main)


def test_an_object_that_was_closed_before_its_handlers_were_removed(run: Run, pair: Pair) -> None:
    near, far = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(near, pytest.fail, "called for a closed socket")
        near.close()
        assert loop.remove_reader(near)
        loop.add_writer(far, pytest.fail, "called for a closed socket")
        far.close()
        assert loop.remove_writer(far)
        with socket.socket() as never_watched:
            pass
        with pytest.raises(ValueError, match="Invalid file descriptor"):
            loop.remove_writer(never_watched)

    run(main)


def test_a_descriptor_of_a_transport_is_refused(run: Run, pair: Pair) -> None:
    one, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=one)
        fd = one.fileno()
        for call in (
            lambda thing: loop.add_reader(thing, print),
            lambda thing: loop.add_writer(thing, print),
            loop.remove_reader,
            loop.remove_writer,
        ):
            for thing in (fd, one, transport.get_extra_info("socket")):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    call(thing)
        for operation in (
            lambda: loop.sock_recv(one, 1),
            lambda: loop.sock_sendall(one, b"x"),
        ):
            if is_cede(loop):  # asyncio notices only when it has to wait
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await operation()
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert loop.remove_reader(fd) is False

    run(main)


def test_a_number_that_was_closed_and_opened_again(run: Run) -> None:
    """A descriptor closed without a word to the loop, and its number in other hands: events are the new owner's only."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio's selector goes wrong here")
        for _ in range(20):
            wrong, right = asyncio.Event(), asyncio.Event()
            one, other = socket.socketpair()
            number = one.fileno()
            loop.add_reader(number, wrong.set)
            loop.remove_reader(number)
            one.close()
            other.close()
            ear, mouth = os.pipe()
            assert number in (ear, mouth)
            loop.add_reader(ear, right.set)
            os.write(mouth, b"x")
            await right.wait()
            assert not wrong.is_set()
            loop.remove_reader(ear)
            os.close(ear)
            os.close(mouth)

    run(main)


# -- sock_*


def test_receive_and_send(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.sock_sendall(one, b"hello") is None
        assert await loop.sock_recv(other, 3) == b"hel"
        buffer = bytearray(10)
        assert await loop.sock_recv_into(other, buffer) == 2
        assert buffer[:2] == b"lo"
        for data in (b"bytes", bytearray(b"array"), memoryview(b"views")):
            await loop.sock_sendall(one, data)
            assert await loop.sock_recv(other, 10) == bytes(data)
        await loop.sock_sendall(one, b"")
        one.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(other, 10) == b""

    run(main)


def test_operations_wait(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        receiving = asyncio.ensure_future(loop.sock_recv(one, 10))
        await asyncio.sleep(0)
        assert not receiving.done()
        await loop.sock_sendall(other, b"x")
        assert await receiving == b"x"
        data = random.randbytes(1 << 20)
        sending = asyncio.ensure_future(loop.sock_sendall(one, data))
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(other, 100_000)
        await sending
        assert received == data

    run(main)


def test_operations_are_coroutines_to_asyncio(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(one, 1), 0.001)
        other.send(b"abcd")
        assert await asyncio.wait_for(loop.sock_recv(one, 1), 30) == b"a"
        assert await asyncio.create_task(loop.sock_recv(one, 1)) == b"b"
        assert await asyncio.gather(loop.sock_recv(one, 1), loop.sock_sendall(one, b"x")) == [b"c", None]
        assert await asyncio.shield(loop.sock_recv(one, 1)) == b"d"
        operation = loop.sock_recv(one, 1)
        assert asyncio.iscoroutine(operation)
        operation.close()

    run(main)


def test_an_operation_that_is_not_awaited_does_nothing(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        other.send(b"kept")
        loop.sock_recv(one, 10).close()
        assert await loop.sock_recv(one, 10) == b"kept"

    run(main)


def test_a_cancelled_receive_loses_nothing(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for turns in range(6):
            receiving = asyncio.ensure_future(loop.sock_recv(one, 10))
            for _ in range(turns % 3):
                await asyncio.sleep(0)
            other.send(b"%d" % turns)
            for _ in range(turns // 3):
                await asyncio.sleep(0)
            receiving.cancel()
            try:
                data = await receiving
            except asyncio.CancelledError:
                data = await loop.sock_recv(one, 10)
            assert data == b"%d" % turns

    run(main)


def test_two_receivers_of_one_socket(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio forgets the first")
        first, second = (asyncio.ensure_future(loop.sock_recv(one, 1)) for _ in range(2))
        await asyncio.sleep(0)
        other.send(b"ab")
        assert [await first, await second] == [b"a", b"b"]

    run(main)


def test_datagrams(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
            for sock in (one, other):
                sock.setblocking(False)
                sock.bind(("127.0.0.1", 0))
            receiving = asyncio.ensure_future(loop.sock_recvfrom(one, 100))
            await asyncio.sleep(0)
            assert await loop.sock_sendto(other, b"hello", one.getsockname()) == 5
            assert await receiving == (b"hello", other.getsockname())
            await loop.sock_sendto(other, b"again", one.getsockname())
            buffer = bytearray(10)
            assert await loop.sock_recvfrom_into(one, buffer) == (5, other.getsockname())
            await loop.sock_sendto(other, b"again", one.getsockname())
            assert await loop.sock_recvfrom_into(one, buffer, 2) == (2, other.getsockname())

    run(main)


def test_accept_and_connect(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            accepting = asyncio.ensure_future(loop.sock_accept(listener))
            await asyncio.sleep(0)
            await loop.sock_connect(client, listener.getsockname())
            accepted, address = await accepting
            with accepted:
                assert accepted.gettimeout() == 0
                assert address == client.getsockname()
                await loop.sock_sendall(accepted, b"hello")
                assert await loop.sock_recv(client, 10) == b"hello"

    run(main)


def test_connect_looks_names_up(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
            assert client.getpeername() == listener.getsockname()

    run(main)


def test_connect_refused(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as taken, socket.socket() as client:
            taken.bind(("127.0.0.1", 0))
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(client, taken.getsockname())

    run(main)


def test_closed_sockets(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        closed = socket.socket()
        closed.setblocking(False)
        closed.close()
        for call in (
            lambda: loop.sock_recv(closed, 1),
            lambda: loop.sock_sendall(closed, b"x"),
            lambda: loop.sock_accept(closed),
            lambda: loop.sock_connect(closed, ("127.0.0.1", 9)),
        ):
            with pytest.raises(OSError):
                await call()

    run(main)


def test_wrong_types(run: Run, pair: Pair) -> None:
    one, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for call in (
            lambda: loop.sock_recv(one, "x"),  # type: ignore[arg-type]
            lambda: loop.sock_recv_into(one, b"read only"),  # type: ignore[arg-type]
            lambda: loop.sock_sendall(one, "text"),  # type: ignore[arg-type]
            lambda: loop.sock_sendall(one, None),  # type: ignore[arg-type]
        ):
            with pytest.raises((TypeError, ValueError, BufferError)):
                await call()
        for junk in (None, 5, "sock"):
            with pytest.raises((AttributeError, TypeError)):
                await loop.sock_recv(junk, 1)  # type: ignore[arg-type]

    run(main)


def test_a_socket_subclass_is_used_through_its_own_methods(run: Run) -> None:
    calls: list[str] = []

    class Watched(socket.socket):
        def recv(self, *args: Any) -> bytes:
            calls.append("recv")
            return super().recv(*args)

        def send(self, *args: Any) -> int:
            calls.append("send")
            return super().send(*args)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        plain, other = socket.socketpair()
        with Watched(fileno=plain.detach()) as one, other:
            one.setblocking(False)
            other.setblocking(False)
            await loop.sock_sendall(one, b"x")
            await loop.sock_sendall(other, b"y")
            assert await loop.sock_recv(one, 1) == b"y"

    run(main)
    assert set(calls) == {"recv", "send"}


def test_threads_that_open_and_close_sockets_meanwhile(run: Run, rng: random.Random) -> None:
    """Connections that are cancelled, while other threads take and give back descriptor numbers: no mix-up, no leak."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("the oracle mixes them up at times")
        stop = threading.Event()
        failures: list[str] = []

        def churn() -> None:
            while not stop.is_set():
                one, other = socket.socketpair()
                one.send(b"mine")
                if other.recv(10) != b"mine":
                    failures.append("foreign data")
                one.close()
                other.close()

        threads = [threading.Thread(target=churn) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
                for _ in range(200):
                    with socket.socket() as client:
                        client.setblocking(False)
                        connecting = asyncio.ensure_future(loop.sock_connect(client, listener.getsockname()))
                        for _ in range(rng.randrange(3)):
                            await asyncio.sleep(0)
                        connecting.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await connecting
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert failures == []

    run(main)


def test_closing_the_loop_with_operations_pending(loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
    one, _ = pair

    async def main() -> asyncio.Task[bytes]:
        task = asyncio.ensure_future(loop.sock_recv(one, 1))
        task.add_done_callback(print)
        loop.add_writer(one, print)
        await asyncio.sleep(0)
        return task

    task = loop.run_until_complete(main())
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    one.send(b"the socket is still the program's")
    del task
    gc.collect()


# -- files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(300_000))
    return path


async def drain(loop: Any, sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = await loop.sock_recv(sock, 1 << 16)
        if not data:
            break
        received += data
    return bytes(received)


@pytest.mark.parametrize(("offset", "count"), [(0, None), (100, None), (0, 1000), (7, 200_000), (299_999, 5), (300_000, None)])
def test_sock_sendfile(run: Run, pair: Pair, file: Path, offset: int, count: int | None) -> None:
    one, other = pair
    wanted = file.read_bytes()[offset : None if count is None else offset + count]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with file.open("rb") as source:
            receiving = asyncio.ensure_future(drain(loop, other, len(wanted)))
            assert await loop.sock_sendfile(one, source, offset, count) == len(wanted)
            if wanted:
                assert source.tell() == offset + len(wanted)
            assert await receiving == wanted

    run(main)


@pytest.mark.parametrize(("offset", "count"), [(0, None), (100, None), (0, 1000), (7, 200_000)])
def test_sendfile_through_a_transport(run: Run, pair: Pair, file: Path, offset: int, count: int | None) -> None:
    one, other = pair
    wanted = b"before" + file.read_bytes()[offset : None if count is None else offset + count] + b"after"

    class Counting(asyncio.Protocol):
        received = b""

        def data_received(self, data: bytes) -> None:
            self.received += data

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Counting, sock=one)
        with file.open("rb") as source:
            receiving = asyncio.ensure_future(drain(loop, other, len(wanted)))
            transport.write(b"before")
            assert await loop.sendfile(transport, source, offset, count) == len(wanted) - len(b"beforeafter")
            transport.write(b"after")
            assert await receiving == wanted
            assert transport.get_protocol() is protocol
            await loop.sock_sendall(other, b"reading again")
            while not protocol.received:
                await asyncio.sleep(0)
            transport.close()
            with pytest.raises(RuntimeError, match="closing"):
                await loop.sendfile(transport, source)
        await asyncio.sleep(0)

    run(main)


def test_sendfile_bad_arguments(run: Run, pair: Pair, file: Path) -> None:
    one, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with file.open("rb") as source, file.open() as text:
            for error, arguments in (
                (ValueError, (text,)),
                (TypeError, (source, "1")),
                (ValueError, (source, -1)),
                (TypeError, (source, 0, "1")),
                (ValueError, (source, 0, 0)),
                (ValueError, (source, 0, -1)),
            ):
                with pytest.raises(error):
                    await loop.sock_sendfile(one, *arguments)
            with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
                datagrams.setblocking(False)
                with pytest.raises(ValueError, match="SOCK_STREAM"):
                    await loop.sock_sendfile(datagrams, source)

    run(main)


def test_sendfile_of_something_in_memory(run: Run, pair: Pair) -> None:
    one, other = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert await loop.sock_sendfile(one, io.BytesIO(b"memory")) == 6
        assert await loop.sock_recv(other, 100) == b"memory"

    run(main)
