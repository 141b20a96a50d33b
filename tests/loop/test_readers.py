"""add_reader, add_writer and their like."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.loops import is_cede

Pair = tuple[socket.socket, socket.socket]
Run = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(300_000))
    return path


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
