"""What one step writes in pieces leaves as one, where the connection has shown that it writes so; and nobody can tell otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import socket
import struct
import tempfile
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clocks import slow_down
from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, connect_tcp, read_all, reports, reset

pytestmark = pytest.mark.usefixtures("steps_are_short")

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)

HABIT = 2
FORGIVEN = 64
BARRED = 1024


@pytest.fixture
def steps_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is too long, however long the machine does something else."""
    monkeypatch.setattr(World, "run", lambda world, main, **options: run(world, lambda: by_slow_clock(main), **options))


run = World.run


async def by_slow_clock(main: Callable[[], Any]) -> Any:
    slow_down(asyncio.get_running_loop())
    return await main()


def arrived(far: socket.socket) -> bytes:
    """What the other end can read at this moment."""
    with contextlib.suppress(BlockingIOError):
        return far.recv(1 << 20)
    return b""


def segments(far: socket.socket) -> int:
    """TCP segments with data that the other end got: tcpi_data_segs_in."""
    return int(struct.unpack_from("I", far.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)[0])


async def bursts(transport: Any, far: socket.socket, count: int = HABIT) -> None:
    """So many steps that write twice."""
    for _ in range(count):
        transport.write(b"head")
        transport.write(b"body")
        await asyncio.sleep(0)
        assert arrived(far) == b"headbody"


@each_world
def test_who_writes_once_a_step_writes_at_once(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        for _ in range(5):
            transport.write(b"at once")
            assert arrived(far) == b"at once"
            await asyncio.sleep(0)
        transport.write(b"at once")
        assert arrived(far) == b"at once"
        transport.write(b"and this")
        assert arrived(far) == b"and this"
        transport.close()
        far.close()

    world.run(main)


@each_of_ours
@pytest.mark.parametrize("lines", [False, True], ids=["write", "writelines"])
def test_a_habit_joins_what_a_step_writes(world: World, lines: bool) -> None:
    async def main() -> None:
        transport, far = await connect_tcp(Notes())
        far.setblocking(False)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        await bursts(transport, far)
        before = segments(far)
        for _ in range(10):
            if lines:
                transport.writelines([b"he", b"ad"])
                transport.writelines([b"body"])
            else:
                transport.write(b"head")
                transport.write(bytearray(b"body"))
            assert arrived(far) == b""
            await asyncio.sleep(0)
            assert arrived(far) == b"headbody"
        assert segments(far) == before + 10
        transport.close()
        far.close()

    world.run(main)


@each_of_ours
def test_a_call_of_the_protocol_is_a_step(world: World) -> None:
    class Answering(Notes):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            for _ in data:  # each byte is a request
                self.transport.write(b"head")
                self.transport.write(b"body")

    async def main() -> None:
        transport, far = await connect_tcp(Answering())
        far.setblocking(False)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        loop = asyncio.get_running_loop()
        counts = []
        for _ in range(HABIT + 3):
            await loop.sock_sendall(far, b"?")
            answer = b""
            while len(answer) < 8:
                answer += await loop.sock_recv(far, 100)
            assert answer == b"headbody"
            counts.append(segments(far))
        assert [later - earlier for earlier, later in itertools.pairwise(counts)] == [2] * (HABIT - 1) + [1] * 3
        transport.close()
        far.close()

    world.run(main)


@each_of_ours
def test_held_in_vain_is_a_lesson(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        transport.write(b"alone")
        assert arrived(far) == b""
        await asyncio.sleep(0)
        assert arrived(far) == b"alone"
        await bursts(transport, far, FORGIVEN - 1)
        transport.write(b"head")
        assert arrived(far) == b"head"
        transport.write(b"body")
        await asyncio.sleep(0)
        assert arrived(far) == b"body"
        await bursts(transport, far)
        transport.write(b"held again")
        assert arrived(far) == b""
        transport.close()
        assert arrived(far) == b"held again"
        far.close()

    world.run(main)


@each_of_ours
def test_a_step_that_blocks_is_a_lesson_for_long(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        transport.write(b"working on it")
        clock = asyncio.get_running_loop().time
        now = clock() + 0.002
        asyncio.get_running_loop().time = lambda: now  # type: ignore[method-assign]
        transport.write(b"done")
        await asyncio.sleep(0)
        asyncio.get_running_loop().time = clock  # type: ignore[method-assign]
        assert arrived(far) == b"working on itdone"
        for _ in range(BARRED - 1):  # the step itself was the first
            transport.write(b"head")
            assert arrived(far) == b"head"
            transport.write(b"body")
            assert arrived(far) == b"body"
            await asyncio.sleep(0)
        transport.write(b"held again")
        assert arrived(far) == b""
        transport.close()
        far.close()

    world.run(main)


@each_world
@pytest.mark.parametrize("size", [2, 12])
def test_what_many_steps_of_a_turn_write_leaves_with_each(world: World, size: int) -> None:
    async def main() -> None:
        pairs = [await connect(Notes()) for _ in range(size)]
        for _ in range(3):
            seen: list[list[bytes]] = []

            async def step(place: int) -> None:
                pairs[place][0].write(b"%d" % place)
                seen.append([arrived(far) for _, far in pairs])  # noqa: B023

            await asyncio.wait([asyncio.ensure_future(step(place)) for place in range(size)])
            assert seen == [[b"%d" % place if place == step else b"" for place in range(size)] for step in range(size)]
        for transport, far in pairs:
            transport.close()
            far.close()

    world.run(main)


@each_of_ours
def test_what_a_step_holds_leaves_before_the_next_step_of_the_turn(world: World) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, far = await connect(Notes())
        await bursts(transport, far)
        seen: list[bytes] = []

        def write() -> None:
            transport.write(b"head")
            transport.write(b"body")
            seen.append(arrived(far))

        loop.call_soon(write)
        loop.call_soon(lambda: seen.append(arrived(far)))
        await asyncio.sleep(0)
        assert seen == [b"", b"headbody"]
        transport.close()
        far.close()

    world.run(main)


@each_world
def test_no_more_is_held_than_may_be_queued(world: World) -> None:
    async def main() -> None:
        notes = Notes()
        transport, far = await connect(notes, buffer=1 << 20)
        await bursts(transport, far)
        transport.set_write_buffer_limits(high=10)
        transport.write(b"a" * 11)
        assert arrived(far) == b"a" * 11
        await asyncio.sleep(0)
        await bursts(transport, far)
        transport.write(b"a" * 6)
        transport.write(b"b" * 6)
        assert arrived(far) == b"a" * 6 + b"b" * 6
        assert not notes.paused.is_set()
        await asyncio.sleep(0)
        # What finds no room pauses the protocol in the `write` that goes beyond the mark.
        await bursts(transport, far)
        while not notes.paused.is_set():
            transport.write(b"a" * 10)
            assert notes.paused.is_set() or transport.get_write_buffer_size() <= 10
        transport.abort()
        far.close()

    world.run(main)


@each_of_ours
def test_many_pieces(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes(), buffer=1 << 20)
        await bursts(transport, far)
        transport.writelines([b"%4d" % place for place in range(1500)])
        assert transport.get_write_buffer_size() == 0
        assert arrived(far) == b"".join(b"%4d" % place for place in range(1500))
        await asyncio.sleep(0)
        await bursts(transport, far, FORGIVEN + 1)
        for place in range(600):
            transport.write(b"%4d" % place)
        assert transport.get_write_buffer_size() == 0
        assert arrived(far) == b"".join(b"%4d" % place for place in range(600))
        transport.close()
        far.close()

    world.run(main)


@each_world
def test_a_turn_by_hand_does_not_sleep_on_what_is_held(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        transport, far = await connect(Notes())
        await bursts(transport, far)
        came: list[bytes] = []
        loop.add_reader(far, lambda: came.append(far.recv(100)))
        transport.write(b"question")
        while not came:
            loop._run_once()
        assert came == [b"question"]
        loop.remove_reader(far)
        transport.close()
        far.close()

    world.run(main)


@each_world
def test_after_the_loop_is_closed(world: World) -> None:
    kept: list[Any] = []

    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        kept.extend([transport, far])

    world.run(main)
    transport, far = kept
    transport.write(b"late")
    transport.writelines([b" and", b" later"])
    assert arrived(far) == b"late and later"
    far.close()
    transport._sock.close()
    kept.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del transport
        gc.collect()


@each_of_ours
def test_too_much_is_not_held(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes(), buffer=1 << 20)
        await bursts(transport, far)
        transport.write(b"a" * 65537)
        assert len(arrived(far)) == 65537
        transport.write(b"b")
        assert arrived(far) == b"b"
        await asyncio.sleep(0)
        await bursts(transport, far)
        transport.write(b"a" * 65536)
        assert arrived(far) == b""
        transport.write(b"b")
        assert len(arrived(far)) == 65537
        transport.write(b"c")
        assert arrived(far) == b"c"
        transport.close()
        far.close()

    world.run(main)


@each_world
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_in_the_middle_of_a_step(world: World) -> None:
    """What was written before it has left, once: the child may end, or become another program, at once."""

    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        transport.write(b"before")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other tests have left threads
            pid = os.fork()
        if not pid:
            os._exit(0 if arrived(far) == b"before" else 1)
        assert os.waitpid(pid, 0)[1] == 0
        transport.write(b"behind")
        await asyncio.sleep(0)
        assert arrived(far) == b"behind"
        transport.close()
        far.close()

    world.run(main)


class Wild(socket.socket):
    """Sends by way of the program."""

    hook: Callable[[], None]

    def send(self, data: Any, *flags: Any) -> int:
        self.hook()
        return super().send(data, *flags)

    def sendmsg(self, *args: Any) -> int:
        self.hook()
        return super().sendmsg(*args)


async def connect_wild() -> tuple[Any, Wild, socket.socket]:
    """A transport over a wild socket, which does nothing yet, that socket, and the other end; pieces are held."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    wild = Wild(fileno=near.detach())
    wild.hook = lambda: None
    transport, _ = await asyncio.get_running_loop().create_connection(Notes, sock=wild)
    await bursts(transport, far)
    return transport, wild, far


@each_of_ours
def test_a_send_that_takes_its_time_is_no_lesson(world: World) -> None:
    """Where the receiver gets the CPU at once the sender has to wait for it, and the step was over before."""

    async def main() -> None:
        transport, wild, far = await connect_wild()
        loop: Any = asyncio.get_running_loop()
        clock = loop.time

        def hook() -> None:
            loop.time = lambda: clock() + 1

        wild.hook = hook
        await bursts(transport, far, 1)
        transport.write(b"held")
        assert arrived(far) == b""
        transport.close()
        far.close()

    world.run(main)


@each_of_ours
def test_a_clock_that_fails_loses_nothing(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        loop: Any = asyncio.get_running_loop()
        told: list[Any] = []
        loop.set_exception_handler(lambda _, context: told.append(type(context["exception"])))
        clock = loop.time

        def broken() -> float:
            loop.time = clock
            raise ZeroDivisionError

        transport.write(b"head")
        transport.write(b"body")
        loop.time = broken
        await asyncio.sleep(0)
        assert arrived(far) == b"headbody"
        assert told == [ZeroDivisionError]
        transport.close()
        far.close()

    world.run(main)


@each_of_ours
def test_what_is_sent_between_two_steps_may_run_the_program(world: World) -> None:
    """It may write, and run a turn by hand: what others have held leaves meanwhile, and in order."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, wild, gate = await connect_wild()
        (second, one), (third, other) = [await connect(Notes()) for _ in range(2)]
        for transport, far in ((second, one), (third, other)):
            await bursts(transport, far)
        seen: list[Any] = []

        def hook() -> None:
            wild.hook = lambda: None
            third.write(b"3")
            seen.append((arrived(one), arrived(other)))
            loop._run_once()
            seen.append((arrived(one), arrived(other)))
            first.write(b" behind")

        wild.hook = hook
        first.write(b"held")
        second.write(b"2")
        loop.call_soon(lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == [(b"", b""), (b"2", b"3")]
        assert arrived(gate) == b" behindheld"  # as on asyncio: it was written before the other was sent
        for transport, far in ((first, gate), (second, one), (third, other)):
            transport.close()
            far.close()

    world.run(main)


@each_of_ours
def test_a_turn_by_hand_does_not_sleep_on_what_sending_has_made_ready(world: World) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        transport, wild, gate = await connect_wild()
        ran: list[int] = []
        wild.hook = lambda: loop.call_soon(ran.append, 1)
        transport.write(b"held")
        loop._run_once()
        assert ran == [1]
        assert arrived(gate) == b"held"
        transport.close()
        gate.close()

    world.run(main)


LOOKS: dict[str, Callable[[Any], Any]] = {
    "size": lambda transport: transport.get_write_buffer_size(),
    "socket": lambda transport: transport.get_extra_info("socket"),
    "buffer": lambda transport: transport._buffer,
    "its own socket": lambda transport: transport._sock,
    "limits": lambda transport: transport.set_write_buffer_limits(high=0),
    "eof": lambda transport: transport.write_eof(),
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
}


@each_world
@pytest.mark.parametrize("name", LOOKS)
def test_who_looks_finds_it_sent(world: World, name: str) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        transport.write(b"held")
        found = LOOKS[name](transport)
        assert arrived(far) == b"held"
        assert name not in ("size", "buffer") or not found
        transport.abort()
        far.close()

    world.run(main)


@each_world
def test_a_file_comes_after_what_was_held(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        with tempfile.TemporaryFile() as file:
            file.write(b"file")
            file.flush()
            transport.write(b"head ")
            await asyncio.get_running_loop().sendfile(transport, file, 0)
        transport.close()
        assert await read_all(far) == b"head file"

    world.run(main)


@each_world
def test_outside_of_the_loop(world: World) -> None:
    loop = world.new_loop()
    with contextlib.closing(loop):

        async def begin() -> tuple[Any, socket.socket]:
            transport, far = await connect(Notes())
            await bursts(transport, far)
            return transport, far

        transport, far = loop.run_until_complete(begin())
        transport.write(b"at once")
        assert arrived(far) == b"at once"
        transport.close()
        far.close()
        loop.run_until_complete(asyncio.sleep(0))


@each_world
@pytest.mark.parametrize("how", ["stop", "interrupt"])
def test_the_step_that_ends_the_run(world: World, how: str) -> None:
    loop = world.new_loop()

    async def begin() -> tuple[Any, socket.socket]:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        return transport, far

    def last() -> None:
        transport.write(b"last words")
        if how == "interrupt":
            raise KeyboardInterrupt
        loop.stop()

    with contextlib.closing(loop):
        transport, far = loop.run_until_complete(begin())
        loop.call_soon(last)
        if how == "interrupt":
            with pytest.raises(KeyboardInterrupt):
                loop.run_forever()
        else:
            loop.run_forever()
        assert arrived(far) == b"last words"
        transport.close()
        far.close()
        loop.run_until_complete(asyncio.sleep(0))


@each_world
def test_another_thread_writes_at_once(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        found = []

        def write() -> None:
            transport.write(b"from a thread")
            found.append(arrived(far))

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert found == [b"from a thread"]
        transport.close()
        far.close()

    world.run(main)


@each_world
def test_debug_mode_sends_at_once(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far, 5)
        transport.write(b"at once")
        assert arrived(far) == b"at once"
        transport.close()
        far.close()

    world.run(main, debug=True)


@each_world
def test_what_the_system_does_not_take_is_queued_and_the_protocol_paused(world: World) -> None:
    async def main() -> None:
        notes = Notes()
        transport, far = await connect(notes, buffer=4096)
        transport.set_write_buffer_limits(high=0)
        await bursts(transport, far)
        sent = [b"a" * 20_000, b"b" * 20_000, b"c" * 20_000]
        for piece in sent:
            transport.write(piece)
        await asyncio.sleep(0)
        assert notes.paused.is_set()
        assert transport.get_write_buffer_size() > 0
        transport.close()
        assert await read_all(far) == b"".join(sent)
        assert await notes.lost is None

    world.run(main)


@each_world
def test_a_peer_that_is_gone(world: World) -> None:
    async def main() -> None:
        notes = Notes()
        transport, far = await connect_tcp(notes)
        far.setblocking(False)
        await bursts(transport, far)
        transport.pause_reading()
        reset(far)
        with reports():
            transport.write(b"head")
            transport.write(b"body")
            error = await notes.lost
        assert isinstance(error, ConnectionError)
        assert transport.is_closing()

    world.run(main)


@each_of_ours
@pytest.mark.parametrize("look", ["none", "look", "close", "much"])
def test_a_task_is_itself_after_it_found_the_peer_gone(world: World, look: str) -> None:
    async def main() -> None:
        me = asyncio.current_task()
        notes = Notes()
        transport, far = await connect(notes)
        await bursts(transport, far)
        far.close()
        transport.pause_reading()
        with reports():
            transport.write(b"head")
            if look == "look":
                transport.get_write_buffer_size()
            elif look == "close":
                transport.close()
            elif look == "much":
                transport.write(b"x" * 70_000)
            assert asyncio.current_task() is me
            await asyncio.sleep(0)
            assert asyncio.current_task() is me
            await notes.lost
        transport.close()

    world.run(main)


@each_of_ours
def test_the_transport_may_be_forgotten_while_it_holds(world: World) -> None:
    async def main() -> None:
        transport, far = await connect(Notes())
        await bursts(transport, far)
        transport.write(b"head")
        transport.write(b"body")
        transport.close()
        del transport
        assert await read_all(far) == b"headbody"

    world.run(main)


@each_of_ours
def test_a_step_may_hold_on_many(world: World) -> None:
    async def main() -> None:
        pairs = [await connect(Notes()) for _ in range(20)]
        for transport, far in pairs:
            await bursts(transport, far)
        for transport, _ in pairs:
            transport.write(b"head")
        for transport, _ in pairs:
            transport.write(b"body")
        assert [arrived(far) for _, far in pairs] == [b""] * 20
        await asyncio.sleep(0)
        assert [arrived(far) for _, far in pairs] == [b"headbody"] * 20
        for transport, far in pairs:
            transport.close()
            far.close()

    world.run(main)


NAMES = ["write", "write", "write", "crowd", "big", "lines", "step", "step", "wait", "look", "view", "debug"]
ACTIONS = st.lists(st.sampled_from(NAMES), max_size=60)
ENDS = st.sampled_from(["close", "abort", "eof", "eof, close"])


@each_world
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS, end=ENDS)
def test_nothing_is_lost_and_the_order_kept(world: World, actions: list[str], end: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        notes = Notes()
        transport, far = await connect(notes, buffer=1 << 22)
        await bursts(transport, far)
        expected = bytearray()

        def piece(size: int) -> bytes:
            data = struct.pack("I", len(expected)) * (size // 4)
            expected.extend(data)
            return data

        for action in actions:
            match action:
                case "write":
                    transport.write(piece(8))
                case "crowd":
                    for _ in range(4):
                        loop.call_soon(lambda: transport.write(piece(8)))
                case "big":
                    transport.write(piece(40_000) if len(expected) < 100_000 else b"")
                case "lines":
                    transport.writelines([piece(4), bytearray(piece(4))])
                case "step":
                    await asyncio.sleep(0)
                case "wait":
                    await asyncio.sleep(1e-6)
                case "look":
                    transport.get_write_buffer_size()
                case "view":
                    transport.get_extra_info("socket")
                case "debug":
                    loop.set_debug(not loop.get_debug())
        await asyncio.sleep(0)
        for name in end.split(", "):
            getattr(transport, "write_eof" if name == "eof" else name)()
        if end == "eof":
            await asyncio.sleep(0)
            transport.close()
        assert await read_all(far) == bytes(expected)
        assert await notes.lost is None

    world.run(main)


