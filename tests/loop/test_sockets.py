"""The sock_* operations."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.loops import is_cede

Pair = tuple[socket.socket, socket.socket]
Run = Callable[..., Any]


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
    """Connections that are cancelled, while other threads take and give back descriptor numbers: no mix-up, no leak
    (uvloop 653, aiohttp 10617).
    """

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
