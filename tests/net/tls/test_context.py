"""TLS with the context as the user made it: ALPN, names, certificates, sessions. asyncio is the oracle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import cede
from tests.support.certificates import client_context, server_context

ssl = pytest.importorskip("ssl")

Run = Callable[..., Any]
from tests.support.tls_talk import Talk, pair, serving  # noqa: E402


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
