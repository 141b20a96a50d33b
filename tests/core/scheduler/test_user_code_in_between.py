"""User code runs in the middle of the kernel's own: finalizers, callbacks, nested turns. What may crash runs in a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from cede.loop.config import driver_names
from tests.support.driver_worlds import OURS, World, until

each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


def run_program(program: str, *arguments: str) -> str:
    command = [sys.executable, "-X", "faulthandler", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ)
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


NESTED_TLS = """
import asyncio, socket, sys, cede
from tests.support.certificates import client_context, server_context
from cede.loop.config import make_driver
from cede.loop.event_loop import EventLoop

loop = EventLoop(make_driver(sys.argv[1]))
reports = []
loop.set_exception_handler(lambda loop, context: reports.append(context))

def nested():
    for _ in range(3):
        loop.call_soon(str)  # or it would sleep where nothing is ready
        loop._run_once()

class Talker(asyncio.Protocol):
    def __init__(self):
        self.got = b""
        self.lost = 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.got += data
        ACT

    def eof_received(self):
        nested()

    def resume_writing(self):
        nested()

    def connection_lost(self, error):
        nested()
        self.lost += 1

async def main():
    one, other = socket.socketpair()
    near, far = Talker(), Talker()
    await asyncio.gather(
        loop.create_connection(lambda: near, sock=one, ssl=client_context(), server_hostname="localhost"),
        loop.connect_accepted_socket(lambda: far, other, ssl=server_context()),
    )
    BODY
    for _ in range(2000):
        if near.lost and far.lost:
            break
        await asyncio.sleep(0.001)
    assert (near.lost, far.lost) == (1, 1), (near.lost, far.lost)

loop.run_until_complete(main())
loop.close()
assert not reports, reports
"""


@pytest.mark.parametrize("driver", driver_names())
@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("self.transport.abort(); nested()", "near.transport.write(b'x')"),
        ("self.transport.close(); nested()", "near.transport.write(b'x')"),
        (
            "self.transport.pause_reading(); self.transport.resume_reading(); nested(); self.transport.close()",
            "near.transport.write(b'x' * 70_000)",
        ),
        ("nested()", "near.transport.write(bytes(3 << 20)); near.transport.close()"),
    ],
    ids=["abort", "close", "resume", "flood"],
)
def test_turns_inside_of_a_protocol_over_tls_lose_nothing(driver: str, act: str, body: str) -> None:
    """What the transport has on the ring, the turn finds there while the protocol is being called."""
    run_program(NESTED_TLS.replace("ACT", act).replace("BODY", body), driver)


@pytest.mark.parametrize("driver", driver_names())
def test_a_turn_inside_of_a_protocol_tells_of_the_end_and_of_room(driver: str) -> None:
    """`eof_received` and `resume_writing` come while `data_received` runs."""
    program = """
import asyncio, socket, sys, cede
from cede.loop.config import make_driver
from cede.loop.event_loop import EventLoop

loop = EventLoop(make_driver(sys.argv[1]))
reports = []
loop.set_exception_handler(lambda loop, context: reports.append(context))
told = []

class Told(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        told.append("data")
        self.transport.write(bytes(8 << 20))
        told.append("written")
        far.setblocking(True)
        far.settimeout(10)
        far.shutdown(socket.SHUT_WR)
        left = 8 << 20
        while left:
            left -= len(far.recv(1 << 20)) if ready(far) else 0
            loop.call_soon(str)
            loop._run_once()
        for _ in range(3):
            loop.call_soon(str)
            loop._run_once()
        told.append("over")

    def pause_writing(self):
        told.append("pause")

    def resume_writing(self):
        told.append("resume")

    def eof_received(self):
        told.append("end")
        return True

def ready(sock):
    import select
    return bool(select.select([sock], [], [], 0)[0])

near, far = socket.socketpair()

async def main():
    transport, _ = await loop.create_connection(Told, sock=near)
    far.send(b"x")
    while "over" not in told:
        await asyncio.sleep(0.001)
    transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

loop.run_until_complete(main())
loop.close()
far.close()
assert not reports, reports
assert sorted(told) == ["data", "end", "over", "pause", "resume", "written"], told
assert told[-1] == "over"
"""
    run_program(program, driver)


@pytest.mark.parametrize("module", ["cede", "asyncio"])
@pytest.mark.parametrize("kind", ["task", "future"])
def test_an_exit_that_a_finalizer_raises_ends_no_process(module: str, kind: str) -> None:
    """As in asyncio, the hook for what nobody can catch is told of it."""
    program = f"""
import gc, sys, asyncio
import {module}
unraisable = []
sys.unraisablehook = lambda what: unraisable.append(type(what.exc_value))
sys.excepthook = lambda *what: unraisable.append("twice")
loop = {module}.new_event_loop()
def handler(loop, context):
    raise SystemExit(7)
loop.set_exception_handler(handler)
async def fail():
    raise ValueError
if {kind == "task"}:
    task = loop.create_task(fail())
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.call_soon(loop.stop)
    loop.run_forever()
else:
    task = loop.create_future()
    task.set_exception(ValueError())
del task
gc.collect()
assert unraisable == [SystemExit], unraisable
loop.close()
print("still here")
"""
    assert run_program(program) == "still here\n"


@each_of_ours
@pytest.mark.parametrize("kind", ["stream", "lent", "datagrams"])
def test_a_turn_between_the_system_call_and_the_sink_overtakes_nothing(world: World, kind: str) -> None:
    """As a finalizer runs one where an object for what came is made. Here the socket's own method does."""
    count = 20
    depth = 0

    def within(data: Any) -> Any:
        nonlocal depth
        if depth < 3:
            depth += 1
            send()
            for _ in range(3):  # the first one takes over what the outer turn has begun
                loop.call_soon(str)  # or it would sleep where nothing is ready
                loop._run_once()
            depth -= 1
        return data

    class Turns(socket.socket):
        def recv(self, *args: Any) -> Any:
            return within(super().recv(*args))

        def recv_into(self, *args: Any) -> Any:
            return within(super().recv_into(*args))

        def recvfrom(self, *args: Any) -> Any:
            return within(super().recvfrom(*args))

    class Plain(asyncio.Protocol):
        def data_received(self, data: bytes, addr: Any = None) -> None:
            got.append(data)

        datagram_received = data_received

    class Lender(asyncio.BufferedProtocol):
        def get_buffer(self, sizehint: int) -> Any:
            self.buffer = bytearray(100)
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            got.append(bytes(self.buffer[:nbytes]))

    def send() -> None:
        for number in left:
            far.send(b"%d." % number)
            break

    got: list[bytes] = []
    left = iter(range(count))
    near, far = socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM)
    near = Turns(fileno=near.detach())
    near.setblocking(False)
    loop: Any = None

    async def main() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        if kind == "datagrams":
            transport, _ = await loop.create_datagram_endpoint(Plain, sock=near)
        else:
            transport, _ = await loop.connect_accepted_socket(Lender if kind == "lent" else Plain, near)
        for _ in range(count):
            send()
            await asyncio.sleep(0)
        await until(lambda: sum(map(len, got)) >= len(whole))
        transport.close()
        await asyncio.sleep(0)

    whole = b"".join(b"%d." % number for number in range(count))
    world.run(main)
    far.close()
    assert b"".join(got) == whole, got
