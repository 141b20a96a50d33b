"""sock_recv, sock_sendall and the others: what they do, what a cancelled one leaves, and whose descriptor they use."""

from __future__ import annotations

import asyncio
import collections.abc
import socket
import sys
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, World, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


def pair(buffer: int | None = None) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    if buffer is not None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return near, far


def start(operation: Awaitable[Any]) -> asyncio.Task[Any]:
    async def wait() -> Any:
        return await operation

    return asyncio.create_task(wait())


@each_world
def test_there_and_back(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair()
        for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"-view-")[1:-1], b""):
            assert await loop.sock_sendall(near, data) is None
            if data:
                assert await loop.sock_recv(far, 100) == bytes(data)
        receiving = start(loop.sock_recv(far, 3))
        await turns(3)
        assert not receiving.done()
        await loop.sock_sendall(near, b"12345")
        assert await receiving == b"123"
        room = bytearray(10)
        assert await loop.sock_recv_into(far, room) == 2
        assert room[:2] == b"45"
        receiving = start(loop.sock_recv_into(far, memoryview(room)[5:]))
        await turns(3)
        await loop.sock_sendall(near, b"later")
        assert await receiving == 5
        assert room[5:] == b"later"
        assert await loop.sock_recv(far, 0) == b""
        near.close()
        assert await loop.sock_recv(far, 10) == b""
        assert await loop.sock_recv_into(far, room) == 0
        far.close()

    world.run(main)


@each_world
def test_more_than_fits(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair(4096)
        data = bytes(range(256)) * 8192
        sending = start(loop.sock_sendall(near, data))
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(far, 1 << 20)
        assert received == data
        assert await sending is None
        sending = start(loop.sock_sendall(near, bytearray(data)))
        received = bytearray()
        while len(received) < len(data):
            received += await loop.sock_recv(far, 50_000)
        assert received == data
        await sending
        near.close()
        far.close()

    world.run(main)


@each_world
def test_datagrams(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        receiving = start(loop.sock_recvfrom(other, 100))
        await turns(3)
        assert await loop.sock_sendto(one, b"datagram", other.getsockname()) == 8
        assert await receiving == (b"datagram", one.getsockname())
        room = bytearray(20)
        receiving = start(loop.sock_recvfrom_into(other, room))
        await turns(3)
        await loop.sock_sendto(one, b"into", other.getsockname())
        assert await receiving == (4, one.getsockname())
        assert room[:4] == b"into"
        await loop.sock_sendto(one, b"cut short", other.getsockname())
        assert await loop.sock_recvfrom_into(other, room, 3) == (3, one.getsockname())
        await loop.sock_sendto(one, b"", other.getsockname())
        assert await loop.sock_recvfrom(other, 100) == (b"", one.getsockname())
        one.close()
        other.close()

    world.run(main)


@each_world
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_connect_and_accept(world: World, family: str, tmp_path: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        if family == "tcp":
            listener = socket.create_server(("127.0.0.1", 0))
            client = socket.socket()
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(tmp_path / "socket"))
            listener.listen()
            client = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        client.setblocking(False)
        accepting = start(loop.sock_accept(listener))
        await turns(3)
        assert await loop.sock_connect(client, listener.getsockname()) is None
        accepted, address = await accepting
        assert address == client.getsockname()
        assert accepted.gettimeout() == 0
        await loop.sock_sendall(accepted, b"hello")
        assert await loop.sock_recv(client, 10) == b"hello"
        for sock in (accepted, client, listener):
            sock.close()

    world.run(main)


@each_world
def test_connection_refused(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = taken.getsockname()
        for _ in range(2):
            with socket.socket() as client:
                client.setblocking(False)
                with pytest.raises(ConnectionRefusedError):
                    await loop.sock_connect(client, address)

    world.run(main)


@each_of_ours
def test_a_unix_socket_with_a_full_backlog(world: World, tmp_path: Any) -> None:
    """EAGAIN, and no event will ever say that there is room: waits all the same."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "socket"))
        listener.listen(0)
        listener.setblocking(False)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        connecting = []
        for client in clients:
            client.setblocking(False)
            connecting.append(start(loop.sock_connect(client, listener.getsockname())))
        await turns(5)
        assert not all(task.done() for task in connecting)
        accepted = [(await loop.sock_accept(listener))[0] for _ in clients]
        await asyncio.gather(*connecting)
        for sock in (listener, *clients, *accepted):
            sock.close()

    world.run(main)


@each_world
def test_cancelled_while_waiting(world: World) -> None:
    """Takes nothing, leaves nothing, and the next one works."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        for _ in range(3):
            for operation in (loop.sock_recv(far, 10), loop.sock_recv_into(far, bytearray(10))):
                waiting = start(operation)
                await turns(3)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                assert waiting.cancelled()
            if world.ours:
                assert loop.driver.idle
        near.send(b"x")
        assert await loop.sock_recv(far, 10) == b"x"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(far, 10), 0.01)
        near.send(b"y")
        assert await loop.sock_recv(far, 10) == b"y"
        near.close()
        far.close()

    world.run(main)


@each_of_ours
def test_cancelled_in_the_turn_of_the_event(world: World) -> None:
    """The data is there, the task is woken, and cancelled before it runs: the data stays for the next one."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        waiting = start(loop.sock_recv(far, 10))
        await turns(3)
        near.send(b"kept")
        loop.driver.wait(0.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await loop.sock_recv(far, 10) == b"kept"
        near.close()
        far.close()

    world.run(main)


@each_of_ours
def test_several_wait_on_one_socket(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        waiting = [start(loop.sock_recv(far, 1)) for _ in range(5)]
        await turns(3)
        waiting[2].cancel()
        near.send(b"abcd")
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [result for result in results if isinstance(result, bytes)] == [b"a", b"b", b"c", b"d"]
        near.close()
        far.close()

    world.run(main)


@each_of_ours
def test_an_operation_is_a_coroutine(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        operation = loop.sock_recv(far, 10)
        assert asyncio.iscoroutine(operation)
        assert isinstance(operation, collections.abc.Coroutine)
        assert "Receive" in repr(operation) or "sock_recv" in repr(operation)
        task = asyncio.create_task(operation)
        assert "Task" in repr(task)
        await turns(2)
        near.send(b"x")
        assert await task == b"x"
        with pytest.raises(RuntimeError, match="already awaited"):
            await operation
        for use in (asyncio.gather, asyncio.ensure_future, asyncio.shield):
            near.send(b"y")
            assert await use(loop.sock_recv(far, 10)) in (b"y", [b"y"])
        closed = loop.sock_recv(far, 10)
        closed.close()
        with pytest.raises(RuntimeError):
            await closed
        thrown = loop.sock_recv(far, 10)
        with pytest.raises(ZeroDivisionError):
            thrown.throw(ZeroDivisionError())
        near.close()
        far.close()

    world.run(main)


@each_of_ours
def test_nothing_happens_before_it_is_awaited(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        loop.sock_sendall(near, b"never sent").close()
        near.send(b"x")
        loop.sock_recv(far, 10).close()
        assert await loop.sock_recv(far, 100) == b"x"
        near.close()
        far.close()

    world.run(main)


@each_world
def test_errors(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = pair()
        for operation in (
            lambda: loop.sock_recv(near, "10"),
            lambda: loop.sock_recv_into(near, b"read-only"),
            lambda: loop.sock_recv_into(near, 5),
            lambda: loop.sock_sendall(near, "text"),
            lambda: loop.sock_sendall(near, None),
        ):
            with pytest.raises((TypeError, ValueError, BufferError)):
                await operation()
        with pytest.raises((ValueError, OSError)):
            await loop.sock_recv(near, -1)
        far.close()
        with pytest.raises(ConnectionError):
            for _ in range(3):
                await loop.sock_sendall(near, b"x")
        near.close()
        for operation in (lambda: loop.sock_recv(near, 1), lambda: loop.sock_sendall(near, b"x")):
            with pytest.raises(OSError, match="Bad file descriptor"):
                await operation()

    world.run(main)


@each_world
def test_debug_mode_wants_a_non_blocking_socket(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            await loop.sock_recv(one, 1)
        one.close()
        other.close()

    world.run(main, debug=True)


@each_of_ours
def test_a_blocking_socket_does_not_block_the_loop(world: World) -> None:
    if world.name == "selector":
        pytest.skip("through the socket's own methods a blocking socket blocks, as on asyncio")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        receiving = start(loop.sock_recv(one, 10))
        await turns(3)
        await loop.sock_sendall(other, b"x")
        assert await receiving == b"x"
        one.close()
        other.close()

    world.run(main)


@each_of_ours
def test_a_subclass_is_used_through_its_own_methods(world: World) -> None:
    class Loud(socket.socket):
        def recv(self, *args: Any) -> bytes:
            return super().recv(*args).upper()

        def send(self, data: Any, *args: Any) -> int:
            return super().send(bytes(data)[:3], *args)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = pair()
        loud = Loud(fileno=one.detach())
        loud.setblocking(False)
        await loop.sock_sendall(loud, b"in pieces of three")
        assert await loop.sock_recv(other, 100) == b"in pieces of three"
        receiving = start(loop.sock_recv(loud, 10))
        await turns(2)
        other.send(b"quiet")
        assert await receiving == b"QUIET"
        loud.close()
        other.close()

    world.run(main)


def test_python_is_one_we_know() -> None:
    """The epoll driver reads a socket's number from inside the object; where that is not possible it must have noticed."""
    epoll = pytest.importorskip("cede.drivers.epoll.waiter")
    assert epoll.reads_numbers() is (sys.implementation.name == "cpython")
    with socket.socket() as sock:
        assert epoll.number_of(sock) == sock.fileno()
    assert epoll.number_of(sock) == -1
