"""User code runs in the middle of the kernel's own: finalizers, callbacks, nested turns. What may crash runs in a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.support.driver_worlds import OURS, World, until

each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


def run_program(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, timeout=120, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FINALIZERS = """
import asyncio, gc, cede
loop = cede.new_event_loop()
class Calls:
    def __init__(self, function, *args):
        self.function, self.args = function, args
    def __del__(self):
        try:
            self.function(*self.args)
        except RuntimeError:
            pass  # the loop is closed
"""


@pytest.mark.parametrize("items", [1, 63, 64, 400, 5000])
def test_what_a_closing_loop_drops_wakes_its_tasks(items: int) -> None:
    program = f"""{FINALIZERS}
async def wait(future):
    await future
futures = [loop.create_future() for _ in range({items})]
tasks = [loop.create_task(wait(future)) for future in futures]
loop.call_soon(loop.stop)
loop.run_forever()
for future in futures:
    loop.call_soon(print, Calls(future.set_result, None))
    loop.call_later(60, print, Calls(future.cancel))
del future
loop.close()
for task in tasks:
    task._log_destroy_pending = False
assert all(future.done() for future in futures)
assert loop.ready_count() == 0, loop.ready_count()
"""
    run_program(program)


def test_a_finalizer_pushes_while_the_ring_grows() -> None:
    """The collector runs wherever a list is made."""
    program = f"""{FINALIZERS}
ran = []
class Cycle(Calls):
    def __init__(self, *args):
        super().__init__(*args)
        self.me = self
gc.disable()
expected = 0
for size in range(60, 70):
    for number in range(size):
        loop.call_soon(ran.append, number)
    for number in range(size):
        Cycle(loop.call_soon, ran.append, "late")
    gc.set_threshold(1)
    gc.enable()
    for number in range(size, 8 * size):
        loop.call_soon(ran.append, number)
    gc.disable()
    gc.collect()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert [item for item in ran if item != "late"] == list(range(8 * size))
    assert ran.count("late") == size, (ran.count("late"), size)
    ran.clear()
loop.close()
"""
    run_program(program)


def test_a_handle_that_ends_runs_a_turn() -> None:
    """Its arguments go when it has run; what they do then may use up the place that was kept for the handle."""
    program = f"""{FINALIZERS}
ran = []
def nested(depth):
    for number in range(300):
        loop.call_soon(ran.append, number)
    if depth:
        loop.call_soon(ran.append, Calls(nested, depth - 1))
        ran.clear()
    loop.call_soon(str)
    loop._run_once()
for _ in range(20):
    loop.call_soon(str, Calls(nested, 3))
    loop._run_once()
    loop.call_soon(str)
    loop._run_once()
while loop.ready_count() or ran:
    ran.clear()  # which may schedule more
    while loop.ready_count():
        loop._run_once()
handles = [loop.call_soon(ran.append, number) for number in range(600)]
assert len(set(map(id, handles))) == 600
loop.call_soon(loop.stop)
loop.run_forever()
assert ran == list(range(600))
loop.close()
"""
    run_program(program)


def test_a_finalizer_finds_the_handle_that_ends() -> None:
    program = f"""{FINALIZERS}
found = []
def look():
    found.extend(thing for thing in gc.get_objects() if type(thing).__name__ == "Handle")
loop.call_soon(str, Calls(look))
loop._run_once()
others = [loop.call_soon(str, "new") for _ in range(300)]
assert not any(one is other for one in found for other in others)
found.clear()
loop._run_once()
loop.close()
"""
    run_program(program)


def test_timers_are_set_and_cancelled_while_timers_are_dropped() -> None:
    program = f"""{FINALIZERS}
timers = []
for number in range(300):
    timers.append(loop.call_later(60 + number, print, Calls(lambda: [timer.cancel() for timer in timers])))
    timers.append(loop.call_later(60, print, Calls(loop.call_later, 1, print)))
loop.close()
assert loop.timer_count() == 0
timers.clear()

loop = cede.new_event_loop()
kept = [loop.call_later(60, print) for _ in range(100)]
for timer in kept:
    loop.call_later(30, print, Calls(timer.cancel))
loop.driver.close()
loop.__del__ = None
gc.collect()
loop.close()
for timer in kept:
    timer.cancel()
"""
    run_program(program)


@pytest.mark.parametrize("depth", [1, 3, 50])
def test_turns_inside_turns(depth: int) -> None:
    program = f"""
import cede
loop = cede.new_event_loop()
ran = []
def nest(left):
    ran.append(left)
    if left:
        loop.call_soon(nest, left - 1)
        loop._run_once()
        loop._run_once()
loop.call_soon(nest, {depth})
for number in range(200):
    loop.call_soon(ran.append, "x")
loop.call_soon(loop.stop)
loop.run_forever()
assert ran.count("x") == 200
assert [item for item in ran if item != "x"] == list(range({depth}, -1, -1)), ran
loop.close()
"""
    run_program(program)


@each_of_ours
@pytest.mark.parametrize("count", [2, 16])
def test_a_nested_turn_between_datagrams_mixes_no_sockets(world: World, count: int) -> None:
    """Each socket is told its own, in order, with the right sender."""
    told: dict[bytes, list[tuple[bytes, Any]]] = {b"A": [], b"B": []}

    class Named(asyncio.DatagramProtocol):
        def __init__(self, name: bytes) -> None:
            self.name = name

        def datagram_received(self, data: bytes, addr: Any) -> None:
            told[self.name].append((data, addr))
            if nested and len(told[self.name]) % 3 == 1:
                asyncio.get_running_loop()._run_once()  # type: ignore[attr-defined]

    nested = False

    async def main() -> None:
        nonlocal nested
        loop = asyncio.get_running_loop()
        ends = {}
        senders = {}
        for name in told:
            transport, _ = await loop.create_datagram_endpoint(
                lambda name=name: Named(name),  # type: ignore[misc]
                local_addr=("127.0.0.1", 0),
            )
            ends[name] = transport
            senders[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            senders[name].bind(("127.0.0.1", 0))
        for _ in range(6):  # batches grow with the traffic
            for name in told:
                for _ in range(count):
                    senders[name].sendto(b"warm", ends[name].get_extra_info("sockname"))
            wanted = len(told[b"A"]) + count
            await until(lambda: min(map(len, told.values())) >= wanted)  # noqa: B023
        for heard in told.values():
            heard.clear()
        nested = True
        for number in range(3 * count):
            for name in told:
                senders[name].sendto(name + b"%d" % number, ends[name].get_extra_info("sockname"))
        await until(lambda: min(map(len, told.values())) >= 3 * count)
        for name, heard in told.items():
            assert heard == [(name + b"%d" % number, senders[name].getsockname()) for number in range(3 * count)]
            ends[name].close()
            senders[name].close()
        await asyncio.sleep(0)

    world.run(main)


@each_of_ours
def test_whoever_lends_a_buffer_may_close_the_socket_first(world: World) -> None:
    """And its number may be another's when the data is received."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        other: list[socket.socket] = []

        class Lender(asyncio.BufferedProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def get_buffer(self, sizehint: int) -> Any:
                self.transport.abort()
                loop._run_once()
                near, far = socket.socketpair()
                near.setblocking(False)
                far.send(b"for somebody else")
                other.extend([near, far])
                return bytearray(100)

            def buffer_updated(self, nbytes: int) -> None:
                raise AssertionError("it was closed")

        near, far = socket.socketpair()
        number = near.fileno()
        near.setblocking(False)
        await loop.connect_accepted_socket(Lender, near)
        far.send(b"x")
        await until(lambda: other)
        await asyncio.sleep(0)
        assert number in [sock.fileno() for sock in other]
        assert other[0].recv(100) == b"for somebody else"
        for sock in (far, *other):
            sock.close()

    world.run(main)
