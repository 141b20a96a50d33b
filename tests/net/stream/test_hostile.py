"""Stream transports under fire: resets at every moment, callbacks that close what calls them, descriptors that change owner."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import socket
from typing import Any

import pytest

from tests.support.driver_worlds import (
    OURS,
    WORLDS,
    Notes,
    World,
    connect,
    connect_tcp,
    read_all,
    reports,
    reset,
    turns,
    until,
)

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)
each_of_ours = pytest.mark.parametrize("world", OURS, ids=repr)


@each_world
@pytest.mark.parametrize("how", ["close", "abort"])
def test_closed_in_resume_writing(world: World, how: str) -> None:
    """connection_lost comes exactly once (cpython 156512)."""
    if not world.ours:
        pytest.skip("asyncio calls connection_lost twice")

    class Closing(Notes):
        def resume_writing(self) -> None:
            super().resume_writing()
            getattr(self.transport, how)()

    async def main() -> None:
        protocol = Closing()
        transport, far = await connect(protocol, buffer=4096)
        transport.set_write_buffer_limits(high=100_000, low=0)
        transport.write(b"x" * (1 << 20))
        assert await read_all(far) == b"x" * (1 << 20)
        assert await protocol.lost is None
        await turns(5)
        assert protocol.told == ["made", "pause", "resume", "lost"]

    world.run(main)


@each_world
def test_writing_in_resume_writing(world: World) -> None:
    """To this transport and to another (uvloop 496, uvloop 498)."""

    class Writing(Notes):
        def resume_writing(self) -> None:
            super().resume_writing()
            if self.told.count("resume") < 4:
                self.transport.write(b"y" * (1 << 19))
                other.write(b"z" * 10)

    other: Any = None

    async def main() -> None:
        nonlocal other
        other, other_far = await connect(Notes())
        protocol = Writing()
        transport, far = await connect(protocol, buffer=4096)
        transport.write(b"x" * (1 << 19))
        reading = asyncio.create_task(read_all(far))
        await until(lambda: protocol.told.count("resume") == 4)
        transport.close()
        other.close()
        assert await reading == b"x" * (1 << 19) + b"y" * (3 << 19)
        assert await read_all(other_far) == b"z" * 30
        assert protocol.told == ["made", *["pause", "resume"] * 4, "lost"]

    world.run(main)


@each_world
def test_pause_writing_may_close(world: World) -> None:
    class Closing(Notes):
        def pause_writing(self) -> None:
            super().pause_writing()
            self.transport.abort()

    async def main() -> None:
        protocol = Closing()
        transport, far = await connect(protocol, buffer=4096)
        transport.write(b"x" * (1 << 20))
        transport.write(b"dropped")
        await protocol.lost
        assert protocol.told == ["made", "pause", "lost"]
        far.close()

    world.run(main)


@each_world
def test_data_received_may_do_anything(world: World) -> None:
    class Fickle(Notes):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            transport = self.transport
            transport.pause_reading()
            transport.write(data)
            transport.resume_reading()
            transport.set_protocol(self)
            if data == b"close":
                transport.close()
                transport.pause_reading()
                transport.resume_reading()
                transport.write(b"dropped")
                transport.abort()

    async def main() -> None:
        protocol = Fickle()
        _, far = await connect(protocol)
        far.send(b"stay")
        await until(lambda: protocol.data)
        far.send(b"close")
        assert await protocol.lost is None
        assert await read_all(far) == b"stayclose"

    world.run(main)


@each_world
@pytest.mark.parametrize("moment", ["before made", "after made", "paused", "queued", "closing", "half closed", "during data"])
def test_reset_by_peer(world: World, moment: str) -> None:
    class Resetting(Notes):
        far: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if moment == "before made":
                transport.write(b"x")

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if moment == "during data":
                reset(self.far)
                for _ in range(3):
                    self.transport.write(b"y" * 1000)

    async def main() -> None:
        protocol = Resetting()
        with socket.create_server(("127.0.0.1", 0)) as server:
            far = socket.create_connection(server.getsockname())
            near, _ = server.accept()
        near.setblocking(False)
        protocol.far = far
        if moment == "before made":
            reset(far)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, near)
        if moment == "after made":
            reset(far)
        elif moment == "paused":
            transport.pause_reading()
            reset(far)
            await turns(20)
            assert protocol.told == ["made"]  # nobody is told of it while nothing is read or written
            transport.resume_reading()
        elif moment in ("queued", "closing"):
            transport.write(b"x" * (1 << 24))
            assert transport.get_write_buffer_size() > 0
            if moment == "closing":
                transport.close()
            reset(far)
        elif moment == "half closed":
            transport.write_eof()
            reset(far)
        elif moment == "during data":
            far.send(b"now")
        error = await protocol.lost
        await turns(3)
        assert protocol.told.count("lost") == 1
        assert protocol.told[0] == "made"
        assert protocol.told[-1] == "lost"
        assert error is None or isinstance(error, ConnectionError)
        if moment in ("after made", "paused", "queued", "closing"):
            assert isinstance(error, ConnectionError)
        if moment != "half closed":
            transport.write(b"dropped")
        assert transport.get_write_buffer_size() == 0

    world.run(main)


@each_world
def test_paused_and_hung_up_costs_no_turns(world: World) -> None:
    """Errors and hang-ups are told by epoll whatever one asks for: a paused transport must not spin on them."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        protocol = Notes()
        transport, far = await connect_tcp(protocol)
        transport.pause_reading()
        reset(far)
        looks = 0
        if world.ours:
            before = loop.steps  # type: ignore[attr-defined]
            await asyncio.sleep(0.05)
            looks = loop.steps - before  # type: ignore[attr-defined]
            assert looks < 10
            assert loop.driver.idle  # type: ignore[attr-defined]
        transport.abort()
        await protocol.lost

    world.run(main)


@each_world
def test_close_while_the_start_is_scheduled(world: World) -> None:
    """uvloop 68: closed while the start of reading is scheduled."""

    async def main() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        protocol = Notes()
        loop: Any = asyncio.get_running_loop()
        if world.ours:
            transport = loop._start_stream(near, protocol)
        else:
            transport = loop._make_socket_transport(near, protocol)
        transport.close()
        transport.pause_reading()
        transport.resume_reading()
        far.send(b"never heard")
        await protocol.lost
        assert protocol.told == ["made", "lost"]
        far.close()

    world.run(main)


@each_of_ours
def test_a_stale_event_of_the_same_batch(world: World) -> None:
    """One protocol closes another's socket and takes its number, while an event for it stands in the same batch."""

    class Closer(Notes):
        victim: Any = None
        successor: Any = None

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.victim.transport.is_closing():
                return
            number = self.victim.transport._sock_fd
            self.victim.transport.abort()
            stream = self.victim.transport
            stream._call_connection_lost(None)  # at once, as no program can: the number is free now
            near, self.successor_far = socket.socketpair()
            near.setblocking(False)
            if near.fileno() != number:
                os.dup2(near.fileno(), number)
                near.close()
                near = socket.socket(fileno=number)
                near.setblocking(False)
            self.successor = Notes()
            loop: Any = asyncio.get_running_loop()
            loop._start_stream(near, self.successor)

    async def main() -> None:
        first, second = Closer(), Closer()
        _, first_far = await connect(first)
        _, second_far = await connect(second)
        first.victim, second.victim = second, first
        with reports():  # the scheduled connection_lost finds no protocol any more
            first_far.send(b"1")
            second_far.send(b"2")
            await until(lambda: first.successor or second.successor)
            await turns(5)
        closer = first if first.successor else second
        assert not closer.victim.data
        assert closer.successor.told == ["made"]
        closer.successor_far.send(b"mine")
        await until(lambda: closer.successor.data)
        for protocol in (closer, closer.successor):
            protocol.transport.abort()
            await protocol.lost
        for sock in (first_far, second_far, closer.successor_far):
            sock.close()

    world.run(main)


@each_of_ours
def test_socket_closed_behind_the_transport(world: World) -> None:
    """The number goes to somebody else, who gets neither our bytes nor our events; the transport learns what happened."""

    async def main() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        protocol = Notes()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, near)
        number = near.fileno()
        with open(os.devnull, "w+b", buffering=0) as stranger:
            near.close()
            os.dup2(stranger.fileno(), number)
            transport.write(b"not for the stranger")
            error = await protocol.lost
            assert isinstance(error, OSError)
            assert protocol.told == ["made", "lost"]
            os.fstat(number)  # still open: we did not close what is not ours
            os.close(number)
        far.close()

    world.run(main)


@each_of_ours
def test_number_taken_over_by_another_transport(world: World) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        first, second = Notes(), Notes()
        loop: Any = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: first, near)
        number = near.fileno()
        near.close()
        again, again_far = socket.socketpair()
        if again.fileno() != number:
            os.dup2(again.fileno(), number)
            again.close()
            again = socket.socket(fileno=number)
        again.setblocking(False)
        await loop.connect_accepted_socket(lambda: second, again)
        assert isinstance(await first.lost, OSError)
        again_far.send(b"hello")
        await until(lambda: second.data)
        second.transport.write(b"answer")
        assert again_far.recv(100) == b"answer"
        second.transport.close()
        await second.lost
        assert first.told == ["made", "lost"]
        far.close()
        again_far.close()

    world.run(main)


@each_of_ours
def test_two_transports_over_one_socket(world: World) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        protocol = Notes()
        loop: Any = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: protocol, near)
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop._start_stream(near, Notes())
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.sock_recv(near, 1)
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.sock_sendall(near, b"x")
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop.add_reader(near, print)
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop.driver.remove_writer(near.fileno())
        far.send(b"x")
        await until(lambda: protocol.data)
        protocol.transport.close()
        await protocol.lost
        far.close()

    world.run(main)


@each_of_ours
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_middle_of_a_batch(world: World, interrupt: type[BaseException]) -> None:
    """It leaves the run at once; the events behind it are served by the next run."""

    class Interrupting(Notes):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if data == b"now":
                raise interrupt

    loop = world.new_loop()
    try:
        protocols: list[Interrupting] = []
        fars = []

        async def start() -> None:
            for _ in range(10):
                protocols.append(Interrupting())
                fars.append((await connect(protocols[-1]))[1])

        loop.run_until_complete(start())
        for far in fars:
            far.send(b"now")
        for served in range(1, 11):
            with pytest.raises(interrupt):
                loop.run_forever()
            assert sum(bool(protocol.data) for protocol in protocols) == served
        assert not any(protocol.transport.is_closing() for protocol in protocols)

        async def finish() -> None:
            for protocol, far in zip(protocols, fars, strict=True):
                protocol.transport.close()
                await protocol.lost
                far.close()

        loop.run_until_complete(finish())
    finally:
        loop.close()


@each_of_ours
def test_no_room_for_an_accepted_connection(world: World) -> None:
    """Out of descriptors: one report, no busy loop, and the waiting connection is served when there is room again (cpython 151615)."""
    import resource

    async def main() -> None:
        loop = asyncio.get_running_loop()
        from cede.drivers import accepting

        accepted: list[Notes] = []

        def factory() -> Notes:
            accepted.append(Notes())
            return accepted[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        client = socket.socket()
        client.setblocking(False)
        gc.collect()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
        hoard = []
        try:
            with reports() as told:
                with contextlib.suppress(OSError):
                    while True:
                        hoard.append(os.dup(0))
                await loop.sock_connect(client, address)
                await until(lambda: told)
                steps = loop.steps  # type: ignore[attr-defined]
                await asyncio.sleep(accepting.RETRY_SECONDS * 1.2)
                assert loop.steps - steps < 30  # type: ignore[attr-defined]
                assert len(told) == 1
                assert told[0]["message"] == "socket.accept() out of system resource"
                for number in hoard:
                    os.close(number)
                hoard.clear()
                await until(lambda: accepted and accepted[0].transport)
                assert len(told) == 1
        finally:
            for number in hoard:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.close()
        client.close()
        await accepted[0].lost
        await server.wait_closed()

    world.run(main)


@each_of_ours
def test_random_abuse(world: World, rng: random.Random) -> None:
    """Many connections, and whatever their owners may do to them in any order: each ends, exactly once, with nothing told after it."""

    async def main() -> None:
        def act(protocol: Notes, far: socket.socket) -> None:
            transport = protocol.transport
            action = rng.randrange(12)
            if action == 0:
                transport.pause_reading()
            elif action <= 2:
                transport.resume_reading()
            elif action == 3 and not transport._eof:
                transport.write(b"x" * rng.choice([1, 1000, 1 << 18]))
            elif action == 4 and not transport._eof:
                transport.writelines([b"y" * rng.randrange(20_000) for _ in range(rng.randrange(20))])
            elif action == 5:
                transport.write_eof()
            elif action == 6:
                transport.set_write_buffer_limits(rng.choice([0, 100, 1 << 16, 1 << 20]))
            elif action == 7 and rng.random() < 0.3:
                rng.choice([transport.close, transport.abort])()
            elif action == 8 and far.fileno() >= 0 and rng.random() < 0.2:
                rng.choice([reset, socket.socket.close])(far)
            elif far.fileno() >= 0:
                with contextlib.suppress(OSError):
                    far.recv(1 << rng.randrange(20))
                with contextlib.suppress(OSError):
                    far.send(b"z" * (1 << rng.randrange(16)))

        class Acting(Notes):
            far: Any = None

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                act(self, self.far)

            def pause_writing(self) -> None:
                super().pause_writing()
                if rng.random() < 0.5:
                    act(self, self.far)

            def resume_writing(self) -> None:
                super().resume_writing()
                act(self, self.far)

        connections = []
        for _ in range(20):
            protocol = Acting()
            transport, far = await connect_tcp(protocol)
            protocol.far = far
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            connections.append((protocol, far))
        for _ in range(600):
            act(*rng.choice(connections))
            await asyncio.sleep(0)
        for protocol, far in connections:
            far.close()
            protocol.transport.abort()
            await protocol.lost
        await turns(3)
        for protocol, _ in connections:
            told = [word for word in protocol.told if word != "data"]
            assert told[0] == "made"
            assert told[-1] == "lost"
            assert told.count("lost") == told.count("made") == 1
            assert told.count("eof") <= 1
            flow = [word for word in told if word in ("pause", "resume")]
            assert flow == (["pause", "resume"] * len(flow))[: len(flow)]
        assert asyncio.get_running_loop().driver.idle  # type: ignore[attr-defined]

    world.run(main)
