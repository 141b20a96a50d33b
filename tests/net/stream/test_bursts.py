"""What one step writes in pieces leaves as one, where the connection has shown that it writes so."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import socket
import warnings
from typing import Any

import pytest

from tests.support.bursts import BARRED, FORGIVEN, HABIT, arrived, bursts, segments
from tests.support.driver_worlds import OURS, WORLDS, Notes, World, connect, connect_tcp

pytestmark = pytest.mark.usefixtures("steps_are_short")

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


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
