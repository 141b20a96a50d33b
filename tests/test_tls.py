"""Connections over TLS: what is said, and what can be asked. asyncio is the oracle."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import select
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

ssl = pytest.importorskip("ssl")

Run = Callable[..., Any]


class Talk(asyncio.Protocol):
    """Remembers what it is told, in order."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport: Any = None
        self.told: list[str] = []
        self.data = b""
        self.changed = asyncio.Event()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        if self.told[-1] != "data":
            self.told.append("data")
        self.data += data
        self.changed.set()

    def eof_received(self) -> None:
        self.told.append("eof")

    def pause_writing(self) -> None:
        self.told.append("pause")
        self.changed.set()

    def resume_writing(self) -> None:
        self.told.append("resume")
        self.changed.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.told.append("lost")
        self.lost.set_result(exc)
        self.changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def has(self, count: int) -> bytes:
        await self.until(lambda: len(self.data) >= count)
        return self.data


class Echo(Talk):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


@contextlib.asynccontextmanager
async def serving(factory: Callable[[], Any], **options: Any) -> AsyncIterator[Any]:
    """The address of a server."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def pair(
    server_factory: Callable[[], Any] = Echo,
    client_factory: Callable[[], Any] = Talk,
    server: Any = None,
    client: Any = None,
    server_hostname: str = "localhost",
    **options: Any,
) -> AsyncIterator[tuple[Any, Any]]:
    """The protocols of both ends of a connection: the client's and the server's."""
    accepted: list[Any] = []

    def accept() -> Any:
        accepted.append(server_factory())
        return accepted[-1]

    async with serving(accept, ssl=server or server_context()) as address:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(
            client_factory, *address, ssl=client or client_context(), server_hostname=server_hostname, **options
        )
        while accepted[0].transport is None:
            await asyncio.sleep(0)
        try:
            yield protocol, accepted[0]
        finally:
            transport.close()
            await protocol.lost
            await accepted[0].lost


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("size", [1, 16384, 16385, 3_000_000])
def test_an_echo_of_any_size(run: Run, version: str, size: int, rng: random.Random) -> None:
    async def main() -> None:
        server = server_context()
        server.minimum_version = server.maximum_version = ssl.TLSVersion[version]
        data = rng.randbytes(size)
        async with pair(server=server) as (client, _):
            assert client.transport.get_extra_info("ssl_object").version() == version.replace("_", ".")
            client.transport.write(data)
            assert await client.has(size) == data

    run(main)


@pytest.mark.parametrize("module", [asyncio, cede], ids=["asyncio-streams", "cede-streams"])
def test_streams(run: Run, module: Any, tmp_path: Path, rng: random.Random) -> None:
    data = rng.randbytes(700_000)

    async def answer(reader: Any, writer: Any) -> None:
        text = await reader.readline()
        writer.writelines([b"you said ", text])
        writer.write(await reader.readexactly(len(data)))
        await writer.drain()
        assert await reader.read() == b""
        writer.close()

    async def converse(reader: Any, writer: Any) -> None:
        writer.write(b"hello\n")
        assert await reader.readline() == b"you said hello\n"
        writer.write(data)
        await writer.drain()
        assert await reader.readexactly(len(data)) == data
        assert not writer.can_write_eof()
        with pytest.raises(NotImplementedError):
            writer.write_eof()
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await module.start_server(answer, "127.0.0.1", 0, ssl=server_context())
        address = server.sockets[0].getsockname()
        await converse(*await module.open_connection(*address, ssl=client_context(), server_hostname="localhost"))
        sock = socket.create_connection(address)
        await converse(*await module.open_connection(sock=sock, ssl=client_context(), server_hostname="localhost"))
        server.close()
        await server.wait_closed()
        path = str(tmp_path / "socket")
        server = await module.start_unix_server(answer, path, ssl=server_context())
        await converse(*await module.open_unix_connection(path, ssl=client_context(), server_hostname="localhost"))
        server.close()
        await server.wait_closed()

    run(main)


def test_what_a_protocol_is_told(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            client.transport.write(b"x")
            await client.has(1)
            ours = isinstance(asyncio.get_running_loop(), cede.EventLoop)
        # To asyncio the end of what was said is worth telling to the one who closed.
        assert client.told == ["made", "data", "lost"] if ours else ["made", "data", "eof", "lost"]
        assert server.told == ["made", "data", "eof", "lost"]
        assert client.lost.result() is None
        assert server.lost.result() is None

    run(main)


def test_what_can_be_asked(run: Run) -> None:
    async def main() -> None:
        tls = client_context()
        async with pair(client=tls) as (client, server):
            transport = client.transport
            assert isinstance(transport, asyncio.Transport)
            assert transport.get_extra_info("sslcontext") is tls
            assert isinstance(transport.get_extra_info("ssl_object"), ssl.SSLObject)
            assert transport.get_extra_info("peercert")["subject"] == ((("commonName", "localhost"),),)
            assert transport.get_extra_info("cipher")[2] >= 128
            assert transport.get_extra_info("compression") is None
            assert transport.get_extra_info("socket").type == socket.SOCK_STREAM
            assert transport.get_extra_info("sockname") == server.transport.get_extra_info("peername")
            assert transport.get_extra_info("peername") == server.transport.get_extra_info("sockname")
            assert server.transport.get_extra_info("peercert") is None
            assert transport.get_extra_info("weather") is None
            assert transport.get_extra_info("weather", "fine") == "fine"
            assert transport.get_protocol() is client
            assert transport.is_reading()
            assert not transport.is_closing()
            assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
            assert transport.get_write_buffer_size() == 0
            assert repr(transport)
            transport.close()
            assert transport.is_closing()

    run(main)


@pytest.mark.parametrize("wrong", ["a string", 5, None])
def test_only_bytes_can_be_written(run: Run, wrong: Any) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            with pytest.raises(TypeError):
                client.transport.write(wrong)
            for right in (b"", b"a", bytearray(b"b"), memoryview(b"c")):
                client.transport.write(right)
            assert await client.has(3) == b"abc"

    run(main)


def test_what_is_written_may_be_changed_afterwards(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, server):
            server.transport.pause_reading()
            data = bytearray(b"a" * 4_000_000)
            view = memoryview(bytearray(b"b" * 1_000_000))
            client.transport.write(data)
            client.transport.write(view)
            data[:] = b"x" * len(data)
            view[:] = b"x" * len(view)
            server.transport.resume_reading()
            assert await client.has(5_000_000) == b"a" * 4_000_000 + b"b" * 1_000_000

    run(main)


def test_many_pieces_at_once(run: Run, rng: random.Random) -> None:
    async def main() -> None:
        pieces: list[Any] = [rng.randbytes(rng.choice([0, 1, 10, 1000, 6500, 16384, 70_000])) for _ in range(200)]
        expected = b"".join(pieces)
        pieces[1::3] = [bytearray(piece) for piece in pieces[1::3]]
        pieces[2::3] = [memoryview(piece) for piece in pieces[2::3]]
        async with pair() as (client, _):
            client.transport.writelines(pieces)
            client.transport.writelines([])
            client.transport.writelines(iter([b"the ", b"end"]))
            assert await client.has(len(expected) + 7) == expected + b"the end"

    run(main)


class Lender(Talk, asyncio.BufferedProtocol):
    """Lends a buffer of a size that it chooses each time."""

    sizes = (1 << 16,)

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.buffer = bytearray()

    def get_buffer(self, sizehint: int) -> Any:
        size = self.sizes[self.asked % len(self.sizes)]
        self.asked += 1
        self.buffer = bytearray(size)
        # A slice of anything but a memoryview is a copy, and then asyncio loses data.
        return self.buffer if self.asked % 2 and "cede" in type(self.transport).__module__ else memoryview(self.buffer)

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.buffer)
        data = bytes(self.buffer[:nbytes])
        if "cede" in type(self.transport).__module__:
            self.buffer.clear()  # would fail, were it still lent, as it is by asyncio
        self.data_received(data)


@pytest.mark.parametrize("sizes", [(1 << 16,), (16384,), (100_000,), (1, 5000, 16384, 17), (3000,)])
def test_a_protocol_with_its_own_buffer(run: Run, sizes: tuple[int, ...], rng: random.Random) -> None:
    async def main() -> None:
        data = rng.randbytes(300_000)
        lender = type("Sized", (Lender,), {"sizes": sizes})
        async with pair(client_factory=lender) as (client, _):
            client.transport.write(data)
            assert await client.has(len(data)) == data
            for count in range(20):
                client.transport.write(b"%02d" % count)
            assert (await client.has(len(data) + 40))[-40:] == b"".join(b"%02d" % count for count in range(20))

    run(main)


def test_an_empty_buffer_is_an_error(run: Run) -> None:
    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        empty = type("Empty", (Lender,), {"sizes": (0,)})
        async with pair(client_factory=empty) as (client, _):
            if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
                return  # asyncio takes it for the end of the stream
            client.transport.write(b"x")
            assert isinstance(await client.lost, RuntimeError)
        assert "get_buffer() returned an empty buffer" in str(reports[0]["exception"])

    run(main)


def test_another_protocol_takes_over(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.transport.write(b"one")
            assert await client.has(3) == b"one"
            lender = Lender()
            lender.connection_made(client.transport)
            client.transport.set_protocol(lender)
            assert client.transport.get_protocol() is lender
            client.transport.write(b"two")
            assert await lender.has(3) == b"two"
            third = Talk()
            third.connection_made(client.transport)
            client.transport.set_protocol(third)
            client.transport.write(b"three")
            assert await third.has(5) == b"three"
            assert client.data == b"one"
            assert lender.data == b"two"
            client.transport.set_protocol(client)

    run(main)


def test_a_lender_of_no_class(run: Run) -> None:
    """A protocol that has get_buffer and no data_received can only mean one thing, whatever it derives from."""

    class Bare(asyncio.BaseProtocol):
        def __init__(self) -> None:
            self.memory = bytearray(10)
            self.told = asyncio.get_running_loop().create_future()
            self.lost = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.memory

        def buffer_updated(self, count: int) -> None:
            self.told.set_result(bytes(self.memory[:count]))

        def eof_received(self) -> None:
            pass

        def connection_lost(self, error: BaseException | None) -> None:
            self.lost.set_result(error)

    async def main() -> None:
        if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
            return  # asyncio looks for data_received
        async with pair(client_factory=Bare) as (client, server):
            server.transport.write(b"hello")
            assert await client.told == b"hello"

    run(main)


def test_what_was_scheduled_before_resuming_comes_first(run: Run) -> None:
    async def main() -> None:
        if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
            return  # asyncio trips over what waited
        async with pair() as (client, server):
            server.transport.pause_reading()
            client.transport.write(b"hello")
            while not select.select([server.transport.get_extra_info("socket").fileno()], [], [], 10)[0]:
                pass
            asyncio.get_running_loop().call_soon(server.transport.close)
            server.transport.resume_reading()
            assert await server.lost is None  # the peer's goodbye was heard, behind what waited
            assert server.data == b""

    run(main)


def test_another_protocol_takes_over_when_it_is_asked_for_a_buffer(run: Run) -> None:
    """Nothing is put into the buffer of one and told to the other."""

    async def main() -> None:
        if not isinstance(asyncio.get_running_loop(), cede.EventLoop):
            return  # asyncio mixes them up
        heir = Lender()

        class Leaver(Lender):
            def get_buffer(self, sizehint: int) -> Any:
                self.transport.set_protocol(heir)
                return super().get_buffer(sizehint)

        async with pair(client_factory=Leaver) as (client, _):
            heir.connection_made(client.transport)
            client.transport.write(b"for the heir")
            assert await heir.has(12) == b"for the heir"
            assert client.data == b""
            client.transport.set_protocol(client)

    run(main)


def test_an_error_of_the_protocol(run: Run) -> None:
    class Broken(Talk):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        reports: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        async with pair(client_factory=Broken) as (client, _):
            client.transport.write(b"x")
            assert isinstance(await client.lost, ZeroDivisionError)
        assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]

    run(main)


# -- the context as the user made it


def test_alpn(run: Run) -> None:
    async def main() -> None:
        server, client = server_context(), client_context()
        server.set_alpn_protocols(["h2", "http/1.1"])
        client.set_alpn_protocols(["http/1.1", "h3"])
        async with pair(server=server, client=client) as (one, other):
            for protocol in (one, other):
                assert protocol.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"

    run(main)


def test_a_server_with_several_names(run: Run) -> None:
    async def main() -> None:
        front, other = server_context(), server_context("other.test")
        asked: list[Any] = []

        def choose(tls: Any, name: str, context: Any) -> None:
            asked.append((name, context))
            if name == "other.test":
                tls.context = other

        front.sni_callback = choose
        trusting = client_context("localhost", "other.test")
        async with pair(server=front, client=trusting, server_hostname="other.test") as (client, _):
            assert client.transport.get_extra_info("peercert")["subject"] == ((("commonName", "other.test"),),)
        async with pair(server=front, client=trusting) as (client, _):
            assert client.transport.get_extra_info("peercert")["subject"] == ((("commonName", "localhost"),),)
        assert asked == [("other.test", front), ("localhost", front)]

    run(main)


def test_client_certificates(run: Run) -> None:
    async def main() -> None:
        server = server_context(clients="client.test")
        async with pair(server=server, client=client_context(own="client.test")) as (client, other):
            client.transport.write(b"x")
            await client.has(1)
            assert other.transport.get_extra_info("peercert")["subject"] == ((("commonName", "client.test"),),)

    run(main)


def test_a_client_without_its_certificate(run: Run) -> None:
    async def main() -> None:
        server = server_context(clients="client.test")
        server.maximum_version = ssl.TLSVersion.TLSv1_2  # where the handshake ends after the server has looked
        async with serving(Talk, ssl=server) as address:
            with pytest.raises((ssl.SSLError, ConnectionError)) as caught:
                await asyncio.get_running_loop().create_connection(Talk, *address, ssl=client_context(), server_hostname="localhost")
            if isinstance(asyncio.get_running_loop(), cede.EventLoop):
                # The alert says what is wrong; asyncio drops it.
                assert "handshake failure" in str(caught.value).replace("_", " ").lower()

    run(main)


def test_a_session_is_resumed(run: Run) -> None:
    async def main() -> None:
        class Resuming(ssl.SSLContext):  # type: ignore[name-defined,misc]
            kept = None

            def wrap_bio(self, *args: Any, **options: Any) -> Any:
                return super().wrap_bio(*args, session=self.kept, **options)

        client = Resuming(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(cadata=client_context().get_ca_certs(binary_form=True)[0])
        server = server_context()
        async with pair(server=server, client=client) as (talk, _):
            talk.transport.write(b"x")
            await talk.has(1)
            tls = talk.transport.get_extra_info("ssl_object")
            assert not tls.session_reused
            client.kept = tls.session
        async with pair(server=server, client=client) as (talk, _):
            assert talk.transport.get_extra_info("ssl_object").session_reused

    run(main)


def test_an_object_class_of_ones_own(run: Run) -> None:
    async def main() -> None:
        read: list[int] = []

        class Counting(ssl.SSLObject):  # type: ignore[name-defined,misc]
            def read(self, *args: Any) -> Any:
                read.append(1)
                return super().read(*args)

        client = client_context()
        client.sslobject_class = Counting
        async with pair(client=client) as (talk, _):
            talk.transport.write(b"hello")
            assert await talk.has(5) == b"hello"
            assert type(talk.transport.get_extra_info("ssl_object")) is Counting
            assert read

    run(main)


def test_a_wrong_certificate(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[Any] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        made: list[Any] = []

        class Client(Talk):
            def connection_made(self, transport: Any) -> None:
                made.append(transport)

        async with serving(Talk, ssl=server_context()) as address:
            with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed"):
                await loop.create_connection(Client, *address, ssl=client_context("other.test"), server_hostname="localhost")
            with pytest.raises(ssl.CertificateError, match="Hostname mismatch"):
                await loop.create_connection(Client, *address, ssl=client_context(), server_hostname="other.test")
            with pytest.raises(ssl.SSLCertVerificationError):
                await loop.create_connection(Client, *address, ssl=True, server_hostname="localhost")
        assert made == []
        assert reports == []

    run(main)


# -- contexts of execution, order


def test_callbacks_run_in_one_context(run: Run) -> None:
    where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")
    seen: list[tuple[str, str]] = []

    class Looking(Talk):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            seen.append(("made", where.get()))

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            seen.append(("data", where.get()))
            where.set("changed by data")

        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            seen.append(("lost", where.get()))

    async def main() -> None:
        where.set("main")
        async with pair(client_factory=Looking) as (client, _):
            client.transport.write(b"x")
            await client.has(1)
            client.transport.write(b"x")
            await client.has(2)
            assert where.get() == "main"
            if isinstance(asyncio.get_running_loop(), cede.EventLoop):
                assert seen == [("made", "main"), ("data", "main"), ("data", "changed by data")]
        assert [name for name, _ in seen] == ["made", "data", "data", "lost"]

    run(main)


def test_debug_mode(run: Run) -> None:
    async def main() -> None:
        async with pair() as (client, _):
            client.transport.write(b"x" * 100_000)
            assert len(await client.has(100_000)) == 100_000

    run(main, debug=True)
