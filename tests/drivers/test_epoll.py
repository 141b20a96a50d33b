"""The drivers themselves: waiting, waking, registrations."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, turns, until

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@each_of_ours
def test_quiet_while_nothing_is_wanted(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        driver = loop.driver
        assert driver.idle
        protocol = Notes()
        transport, far = await connect(protocol)
        await turns(2)
        assert not driver.idle
        transport.pause_reading()
        assert driver.idle
        transport.resume_reading()
        assert not driver.idle
        transport.close()
        assert driver.idle
        await protocol.lost
        far.setblocking(False)
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        waiting = asyncio.create_task(loop.sock_recv(one, 10))
        await turns(2)
        assert not driver.idle
        await loop.sock_sendall(other, b"x")
        assert await waiting == b"x"
        assert driver.idle  # though the socket stays registered
        loop.add_reader(one, print)
        assert not driver.idle
        loop.remove_reader(one)
        assert driver.idle
        for sock in (one, other, far):
            sock.close()
        del sock, one, other
        gc.collect()
        assert not driver.channels

    world.run(main)


@each_of_ours
def test_a_closed_loop_leaves_no_descriptor(world: World) -> None:
    before = descriptors()
    for _ in range(3):
        loop = world.new_loop()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        loop.close()
    assert descriptors() == before


@each_of_ours
def test_wake_from_other_threads(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        count = 0
        done = asyncio.Event()

        def arrived() -> None:
            nonlocal count
            count += 1
            if count == 2000:
                done.set()

        def post() -> None:
            for _ in range(500):
                loop.call_soon_threadsafe(arrived)

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        await done.wait()
        for thread in threads:
            thread.join()

    world.run(main)


@each_of_ours
def test_wake_is_idempotent_and_survives_close(world: World) -> None:
    loop = world.new_loop()
    driver = loop.driver
    for _ in range(100_000):
        driver.wake()
    driver.wait(-1.0)
    driver.wake()
    driver.wait(-1.0)
    loop.close()
    driver.wake()
    driver.close()
    assert driver.wait.__self__ is driver


@each_of_ours
def test_timers_are_never_early(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (0.0, 0.00005, 0.0003, 0.001, 0.0017, 0.01):
            began = loop.time()
            await asyncio.sleep(delay)
            assert loop.time() - began >= delay

    world.run(main)


@each_of_ours
def test_a_signal_interrupts_the_wait(world: World) -> None:
    """One that this thread gets, and one that another thread gets while the loop sleeps."""
    loop = world.new_loop()
    try:
        for blocked in (False, True):
            loop.call_soon(
                lambda blocked=blocked: threading.Timer(0.05, send, (blocked,)).start()  # type: ignore[misc]
            )

            def send(blocked: bool) -> None:
                if blocked:
                    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
                else:
                    os.kill(os.getpid(), signal.SIGINT)

            with pytest.raises(KeyboardInterrupt):
                loop.run_forever()
    finally:
        loop.close()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(5)


@each_of_ours
def test_readers_and_writers(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        one.setblocking(False)
        told: list[str] = []
        loop.add_reader(one, told.append, "first")
        loop.add_reader(one, told.append, "second")  # replaces
        loop.add_writer(one.fileno(), told.append, "writer")
        await turns(3)
        assert set(told) == {"writer"}
        assert loop.remove_writer(one)
        assert not loop.remove_writer(one)
        told.clear()
        other.send(b"x")
        await turns(5)
        assert set(told) == {"second"}
        assert len(told) >= 3  # told as long as it can be read: levels, not edges
        one.recv(10)
        await turns(2)
        told.clear()
        await turns(3)
        assert told == []
        assert loop.remove_reader(one)
        assert not loop.remove_reader(one)
        one.close()
        other.close()

    world.run(main)


@each_of_ours
def test_reader_and_operations_on_one_socket(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        told: list[int] = []
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await turns(2)
        loop.add_reader(one, told.append, 1)  # from edges to levels while an operation waits
        other.send(b"x")
        assert await receiving == b"x"
        assert told
        other.send(b"y")
        await turns(3)
        assert loop.remove_reader(one)
        assert await loop.sock_recv(one, 10) == b"y"
        receiving = asyncio.create_task(loop.sock_recv(one, 10))
        await turns(2)
        other.send(b"z")
        assert await receiving == b"z"
        one.close()
        other.close()

    world.run(main)


@each_of_ours
def test_what_cannot_be_watched(world: World, tmp_path: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with open(tmp_path / "file", "w+") as file:
            with pytest.raises(PermissionError):
                loop.add_reader(file, print)
            with pytest.raises(PermissionError):
                loop.add_writer(file, print)
        with pytest.raises(ValueError, match="Invalid file descriptor"):
            loop.driver.add_reader(-1, None)
        with pytest.raises(OSError, match="Bad file descriptor"):
            loop.add_reader(10**6, print)
        assert not loop.driver.channels
        assert loop.driver.idle

    world.run(main)


@each_of_ours
def test_a_reader_of_a_number_that_was_closed_and_reused(world: World) -> None:
    """Closed without remove_reader: the new owner of the number gets its own events, and no old callback."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        one, other = socket.socketpair()
        number = one.fileno()
        loop.add_reader(one, told.append, "old")
        one.close()
        again, again_other = socket.socketpair()
        if again.fileno() != number:
            os.dup2(again.fileno(), number)
            again.close()
            again = socket.socket(fileno=number)
        loop.add_reader(again, told.append, "new")
        other.close()
        await turns(3)
        assert told == []
        loop.add_reader(again, told.append, "new")
        again_other.send(b"x")
        await until(lambda: told)
        assert set(told) == {"new"}
        loop.remove_reader(again)
        again.close()
        again_other.close()

    world.run(main)


@each_of_ours
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_leaves_the_parents_registrations(world: World) -> None:
    """The child closes the inherited loop; the parent's transport still hears."""

    script = f"""
import asyncio, os, socket, sys, warnings
from tests.support.driver_worlds import Notes, connect, on_driver, until
warnings.simplefilter("ignore")
async def main():
    protocol = Notes()
    transport, far = await connect(protocol)
    child = os.fork()
    if not child:
        try:
            transport.abort()
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    far.send(b"x")
    await until(lambda: protocol.data)
    transport.close()
    await protocol.lost
    print("heard")
on_driver({world.name!r}).run(main)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert result.stdout == "heard\n", result.stderr
