"""What a protocol sends while it is told of datagrams may leave a little later, together: nobody is to notice."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import socket
import time
from asyncio import selector_events
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.datagram_endpoints import Datagrams, endpoint, finish
from tests.support.driver_worlds import WORLDS, World, turns

each_world = pytest.mark.parametrize("world", WORLDS, ids=repr)

BURST = 48


class Burst:
    """A plain socket that sends a burst to `transport` at once, so that it is told in batches, and looks at what comes back."""

    def __init__(self, transport: Any) -> None:
        self.there = transport.get_extra_info("sockname")
        self.sock = socket.socket(socket.AF_INET6 if len(self.there) == 4 else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind((self.there[0], 0))

    def send(self, count: int = BURST) -> None:
        for number in range(count):
            self.sock.sendto(b"%d" % number, self.there)

    def came(self) -> list[bytes]:
        """What is there now, without any waiting."""
        found = []
        while True:
            try:
                found.append(self.sock.recv(100_000))
            except BlockingIOError:
                return found

    def __enter__(self) -> Burst:
        return self

    def __exit__(self, *args: object) -> None:
        self.sock.close()


def counts_headers_for_ever() -> bool:
    """Whether this is one of the releases whose selector transport grows its buffer's size with each datagram that ever waited."""
    source = inspect.getsource(selector_events._SelectorDatagramTransport)  # type: ignore[attr-defined]
    return "+= len(data) + 8" in source and "-= len(data) + 8" not in source


class Answering(Datagrams):
    """Calls `answer` for each datagram."""

    def __init__(self, answer: Callable[[Any, bytes, Any], None]) -> None:
        super().__init__()
        self.answer = answer
        self.count = 0
        self.seen: list[Any] = []
        self.all = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.count += 1
        try:
            self.answer(self, data, address)
        finally:
            if self.count == BURST:
                asyncio.get_running_loop().call_soon(lambda: self.all.done() or self.all.set_result(None))


def answered(world: World, answer: Callable[[Any, bytes, Any], None], *, host: str = "127.0.0.1") -> tuple[Any, list[bytes]]:
    """One burst, answered: the protocol, and what came back at the very moment when all was told."""

    async def main() -> tuple[Any, list[bytes]]:
        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=(host, 0))
        with Burst(transport) as burst:
            burst.send()
            await protocol.all
            came = burst.came()
        await finish(transport)
        return protocol, came

    return world.run(main)  # type: ignore[no-any-return]


@each_world
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_arrive_whole_and_in_order(world: World, host: str) -> None:
    """Of one size or of many, empty and large ones: each is a datagram of its own."""
    sizes = [5, 5, 5, 3, 5, 0, 0, 1, 1, 1200, 1200, 1200, 1199, 1233, 1233, 1400, 1400, 9000, 1, 20_000]
    if not world.ours:
        sizes = [size or 1 for size in sizes]  # asyncio drops empty ones before Python 3.13

    def answer(protocol: Any, data: bytes, address: Any) -> None:
        protocol.sent = getattr(protocol, "sent", [])
        protocol.sent.append(bytes([protocol.count]) * sizes[protocol.count % len(sizes)])
        protocol.transport.sendto(protocol.sent[-1], address)

    protocol, came = answered(world, answer, host=host)
    assert came == protocol.sent


@each_world
def test_every_kind_of_data_keeps_its_place(world: World) -> None:
    def answer(protocol: Any, data: bytes, address: Any) -> None:
        kind = (bytes, bytearray, memoryview)[protocol.count % 3]
        protocol.transport.sendto(kind(data), address)
        if protocol.count % 5 == 0:
            protocol.transport.sendto(b"by name", ("localhost", address[1]))

    _, came = answered(world, answer)
    expected = []
    for number in range(BURST):
        expected.append(b"%d" % number)
        if (number + 1) % 5 == 0:
            expected.append(b"by name")
    assert came == expected


@each_world
def test_many_answers_to_one_datagram(world: World) -> None:
    def answer(protocol: Any, data: bytes, address: Any) -> None:
        if protocol.count == 2:
            for number in range(150):
                protocol.transport.sendto(b"%03d" % number, address)

    _, came = answered(world, answer)
    assert came == [b"%03d" % number for number in range(150)]


@each_world
def test_answers_to_several_receivers_reach_each(world: World) -> None:
    async def main() -> None:
        others = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
        for sock in others:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        names = [sock.getsockname() for sock in others]

        def answer(protocol: Any, data: bytes, address: Any) -> None:
            protocol.transport.sendto(data, names[0 if protocol.count % 3 else 1])

        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))
        with Burst(transport) as burst:
            burst.send()
            await protocol.all
        for index, sock in enumerate(others):
            wanted = [number for number in range(BURST) if ((number + 1) % 3 == 0) == bool(index)]
            assert [int(sock.recv(100)) for _ in wanted] == wanted
            sock.close()
        await finish(transport)

    world.run(main)


LOOKS: dict[str, Callable[[Any], Any]] = {
    "size": lambda transport: transport.get_write_buffer_size() == 0,
    "its name": lambda transport: transport._buffer_size == 0 and not transport._buffer,
    "socket": lambda transport: transport.get_extra_info("socket") is not None,
    "inner socket": lambda transport: transport._sock is not None,
    "limits": lambda transport: transport.set_write_buffer_limits(high=0) is None,
    "protocol": lambda transport: transport.set_protocol(transport.get_protocol()) is None,
    "text": lambda transport: "bufsize=0" in repr(transport),
}


@each_world
@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_finds_it_sent(world: World, look: str) -> None:
    if not world.ours and look == "text":
        pytest.skip("asyncio's says it in other words")

    async def main() -> None:
        def answer(protocol: Any, data: bytes, address: Any) -> None:
            protocol.transport.sendto(data, address)
            assert LOOKS[look](protocol.transport)
            assert burst.came() == [data]

        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))
        with Burst(transport) as burst:
            burst.send()
            await protocol.all
        await finish(transport)

    world.run(main)


@each_world
@pytest.mark.parametrize("way", ["close", "abort"])
def test_what_was_sent_before_the_end_is_sent(world: World, way: str) -> None:
    async def main() -> None:
        def answer(protocol: Any, data: bytes, address: Any) -> None:
            protocol.transport.sendto(data, address)
            if protocol.count == 20:
                getattr(protocol.transport, way)()
                protocol.seen = burst.came()
                protocol.transport.sendto(b"late", address)

        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))
        with Burst(transport) as burst:
            burst.send()
            assert await protocol.lost is None
            # asyncio sends what comes after close() as well, if there is room, and cede does so too.
            assert protocol.seen == [b"%d" % number for number in range(20)]
        await turns(3)
        assert protocol.count == 20

    world.run(main)


@each_world
def test_an_error_in_the_protocol_keeps_nothing_back(world: World) -> None:
    class Oops(Exception):
        pass

    def answer(protocol: Any, data: bytes, address: Any) -> None:
        protocol.transport.sendto(data, address)
        if protocol.count % 7 == 0:
            raise Oops

    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context["exception"]))
        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))
        with Burst(transport) as burst:
            burst.send()
            if world.ours:
                await protocol.all
                assert burst.came() == [b"%d" % number for number in range(BURST)]
                assert [type(error) for error in reports] == [Oops] * (BURST // 7)
                transport.close()
            # For asyncio such an error is the end of the transport.
            await protocol.lost

    if world.ours:
        world.run(main)


@each_world
def test_an_interrupt_keeps_nothing_back(world: World) -> None:
    def answer(protocol: Any, data: bytes, address: Any) -> None:
        protocol.transport.sendto(data, address)
        if protocol.count in (5, 9, 20):
            raise KeyboardInterrupt

    async def start() -> Any:
        return await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))

    loop = world.new_loop()
    transport, protocol = loop.run_until_complete(start())
    interrupts = []
    came: list[bytes] = []
    with Burst(transport) as burst:
        burst.send()
        while protocol.count < BURST:
            try:
                loop.call_soon(loop.stop)
                loop.run_forever()
            except KeyboardInterrupt:
                came += burst.came()
                interrupts.append(len(came))
        loop.run_until_complete(protocol.all)
        came += burst.came()
    assert interrupts == [5, 9, 20]
    assert came == [b"%d" % number for number in range(BURST)]
    transport.close()
    loop.run_until_complete(protocol.lost)
    loop.close()


@each_world
def test_what_is_no_address_is_said_at_once(world: World) -> None:
    def answer(protocol: Any, data: bytes, address: Any) -> None:
        protocol.transport.sendto(data, address)
        junks: list[tuple[Any, type[Exception]]] = [((address[0], 70_000), OverflowError), ((address[0], "1"), TypeError), (5, TypeError)]
        for junk, error in junks:
            with pytest.raises(error):
                protocol.transport.sendto(b"x", junk)
            protocol.seen.append(1)

    if world.ours:  # asyncio takes this for the end of the transport
        protocol, came = answered(world, answer)
        assert came == [b"%d" % number for number in range(BURST)]
        assert len(protocol.seen) == 3 * BURST


@each_world
def test_a_refusal_is_told_and_the_others_are_sent(world: World) -> None:
    """Too large a datagram, and one to a port that is none, among small ones that are sent together."""

    def answer(protocol: Any, data: bytes, address: Any) -> None:
        protocol.transport.sendto(data, address)
        if protocol.count % 6 == 0:
            protocol.transport.sendto(bytes(65_510), address)
        if protocol.count % 6 == 3:
            protocol.transport.sendto(data, (address[0], 0))
            protocol.transport.sendto(data, (address[0], 0))

    protocol, came = answered(world, answer)
    assert came == [b"%d" % number for number in range(BURST)]
    errors = [protocol.errors.get_nowait().errno for _ in range(protocol.errors.qsize())]
    assert errors == [errno.EINVAL, errno.EINVAL, errno.EMSGSIZE] * (BURST // 6)


@each_world
def test_who_answers_a_refusal_is_heard(world: World) -> None:
    class Stubborn(Answering):
        def error_received(self, error: Exception) -> None:
            super().error_received(error)
            self.transport.sendto(b"sorry", self.whom)

    def answer(protocol: Any, data: bytes, address: Any) -> None:
        protocol.whom = address
        protocol.transport.sendto(bytes(65_510), address)

    async def main() -> None:
        transport, protocol = await endpoint(lambda: Stubborn(answer), local_addr=("127.0.0.1", 0))
        with Burst(transport) as burst:
            burst.send()
            await protocol.all
            await turns(3)
            assert burst.came() == [b"sorry"] * BURST
            # And nothing is left behind that a later one would wait for.
            transport.sendto(b"last", protocol.whom)
            assert burst.came() == [b"last"]
        await finish(transport)

    world.run(main)


@each_world
def test_a_peer_that_is_gone(world: World) -> None:
    """The system says so once for each time that it was told: the datagram that hears it is not sent, those around it are."""

    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            transport, protocol = await endpoint(lambda: Answering(answer), remote_addr=peer.getsockname())
            peer.connect(transport.get_extra_info("sockname"))
            for number in range(BURST):
                peer.send(b"%d" % number)
        await protocol.all
        await turns(3)
        assert protocol.errors.qsize()
        while protocol.errors.qsize():
            assert isinstance(protocol.errors.get_nowait(), ConnectionRefusedError)
        assert transport.get_write_buffer_size() == 0
        await finish(transport)

    def answer(protocol: Any, data: bytes, address: Any) -> None:
        protocol.transport.sendto(data)

    world.run(main)


@each_world
def test_a_full_buffer_asks_the_protocol_to_pause(world: World, tmp_path: Any) -> None:
    """A receiver that does not read: what it has no room for waits in order, and is counted."""
    if repr(world) == "asyncio" and counts_headers_for_ever():
        pytest.skip("this asyncio adds 8 bytes for each datagram that waits and never takes them off again")

    async def main() -> None:
        target = str(tmp_path / "target")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sink, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as source:
            sink.bind(target)
            sink.setblocking(False)

            def answer(protocol: Any, data: bytes, address: Any) -> None:
                for _ in range(20):
                    protocol.transport.sendto(b"%d" % len(protocol.seen) + bytes(500), target)
                    protocol.seen.append(protocol.transport.get_write_buffer_size())

            here = str(tmp_path / "here")
            transport, protocol = await endpoint(lambda: Answering(answer), local_addr=here, family=socket.AF_UNIX)
            transport.set_write_buffer_limits(high=5000)
            sent = 0
            came = []
            source.setblocking(False)
            while len(came) < 20 * BURST:
                await asyncio.sleep(0)
                with contextlib.suppress(BlockingIOError):
                    if sent < BURST:
                        source.sendto(b"go", here)
                        sent += 1
                with contextlib.suppress(BlockingIOError):
                    if protocol.count == BURST:
                        came.append(int(sink.recv(1000).rstrip(b"\0")))
            assert came == list(range(20 * BURST))
            await turns(3)
            assert [word for word in protocol.told if word in ("pause", "resume")] == ["pause", "resume"]
            assert protocol.seen == sorted(protocol.seen)
            assert protocol.seen[-1] > 5000
            assert transport.get_write_buffer_size() == 0
            await finish(transport)

    world.run(main)


@each_world
def test_who_takes_long_keeps_nobody_waiting(world: World) -> None:
    """After the first slow answer of a transport, each is on its way while the next one is made."""

    async def main() -> None:
        def answer(protocol: Any, data: bytes, address: Any) -> None:
            protocol.seen += burst.came()
            if protocol.count > 20:
                assert protocol.seen == [b"%d" % number for number in range(protocol.count - 1)]
            protocol.transport.sendto(data, address)
            until = time.perf_counter() + 0.0005
            while time.perf_counter() < until:
                pass

        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))
        with Burst(transport) as burst:
            burst.send()
            await protocol.all
        await finish(transport)

    world.run(main)


@each_world
def test_in_debug_mode_each_leaves_at_once(world: World) -> None:
    async def main() -> None:
        def answer(protocol: Any, data: bytes, address: Any) -> None:
            protocol.transport.sendto(data, address)
            assert burst.came() == [data]

        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))
        with Burst(transport) as burst:
            burst.send()
            await protocol.all
        await finish(transport)

    world.run(main, debug=True)


@each_world
def test_sockets_that_cannot_share(world: World) -> None:
    """The system cannot cut up what it computes no checksums for: each datagram leaves by itself."""

    async def main() -> None:
        def answer(protocol: Any, data: bytes, address: Any) -> None:
            protocol.transport.sendto(data, address)

        transport, protocol = await endpoint(lambda: Answering(answer), local_addr=("127.0.0.1", 0))
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK
        with Burst(transport) as burst:
            burst.send()
            await protocol.all
            assert burst.came() == [b"%d" % number for number in range(BURST)]
        assert protocol.errors.empty()
        await finish(transport)

    world.run(main)
