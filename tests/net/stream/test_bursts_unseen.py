"""Nobody can tell that what one step writes in pieces leaves as one: whoever looks finds it sent, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bursts import arrived, bursts
from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, connect_tcp, read_all, reports, reset

pytestmark = pytest.mark.usefixtures("steps_are_short")

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


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
