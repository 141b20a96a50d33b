"""AsyncSSH: sessions, forwarded connections and files, with child processes and pipes behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.libraries.served import library

asyncssh = library("asyncssh")


class Allowing(asyncssh.SSHServer):  # type: ignore[misc,name-defined]
    """Lets its clients connect to others through it."""

    def connection_requested(self, *_: Any) -> bool:
        return True


@contextlib.asynccontextmanager
async def serving(user: Any = None, **options: Any) -> AsyncIterator[tuple[int, dict[str, Any], Any]]:
    """(A server's port, what a client needs to log in, the server's key.)"""
    host, user = asyncssh.generate_private_key("ssh-ed25519"), user or asyncssh.generate_private_key("ssh-ed25519")
    keys = asyncssh.import_authorized_keys(user.export_public_key().decode())
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[host], authorized_client_keys=keys, **options)
    known = asyncssh.import_known_hosts(f"* {host.export_public_key().decode()}")
    login = {"username": "somebody", "client_keys": [user], "known_hosts": known, "config": None, "agent_path": None}
    try:
        yield server.get_port(), login, host
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[Any]:
    """A client of a server in the same loop, each with a key of its own."""
    async with serving(**options) as (port, login, _), asyncssh.connect("127.0.0.1", port, **login) as connection:
        yield connection


async def shell(process: Any) -> None:
    """Runs the command by /bin/sh, its standard streams tied to the session's."""
    child = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", process.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    process.exit(await child.wait())


@pytest.mark.filterwarnings(
    # AsyncSSH drops this coroutine of its own, on any loop, when a pipe that output is redirected to ends first.
    "ignore:coroutine 'Queue.join' was never awaited:RuntimeWarning"
)
def test_commands_with_real_pipes(run: Any) -> None:
    async def main() -> None:
        async with connected(process_factory=shell, encoding=None) as connection:
            results = await asyncio.gather(
                *(connection.run(f"cat; echo {n} >&2; exit {n}", input=b"%d\n" % n * 50_000, encoding=None) for n in range(5))
            )
            for n, result in enumerate(results):
                assert result.stdout == b"%d\n" % n * 50_000
                assert result.stderr == b"%d\n" % n
                assert result.exit_status == n

    run(main)


def test_files(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(range(256)) * 8_000)

    async def main() -> None:
        async with connected(sftp_factory=True) as connection, connection.start_sftp_client() as files:
            await files.get(str(tmp_path / "there"), str(tmp_path / "here"))
            await files.put(str(tmp_path / "here"), str(tmp_path / "back"))
            assert await files.listdir(str(tmp_path)) != []

    run(main)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


def test_a_forwarded_port(run: Any) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
            ended.set()

        ended = asyncio.Event()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as far:
            async with connected(server_factory=Allowing) as connection:
                listener = await connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", far.sockets[0].getsockname()[1])
                reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
                for n in range(50):
                    writer.write(b"%d" % n * 5_000)
                    assert await reader.readexactly(len(b"%d" % n) * 5_000) == b"%d" % n * 5_000
                writer.close()
                await writer.wait_closed()
                await ended.wait()
                listener.close()
                await listener.wait_closed()

    run(main)


def test_a_stranger_is_refused(run: Any) -> None:
    async def main() -> None:
        async with connected() as connection:
            port = connection.get_extra_info("peername")[1]
            stranger = asyncssh.generate_private_key("ssh-ed25519")
            with pytest.raises(asyncssh.PermissionDenied):
                await asyncssh.connect(
                    "127.0.0.1", port, username="x", client_keys=[stranger], known_hosts=None, config=None, agent_path=None
                )

    run(main)


async def answer(process: Any) -> None:
    """Says what it was asked, and what it is told."""
    process.stdout.write(f"{process.command}: {await process.stdin.read()}")
    process.exit(7)


def test_a_connection_through_a_connection(run: Any) -> None:
    """And another one through that: each of them has the one before as its transport."""

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            enter = stack.enter_async_context
            hops = [await enter(serving(server_factory=Allowing, process_factory=answer)) for _ in range(3)]
            connection = await enter(asyncssh.connect("127.0.0.1", hops[0][0], **hops[0][1]))
            for port, login, _ in hops[1:]:
                connection = await enter(connection.connect_ssh("127.0.0.1", port, **login))
                results = await asyncio.gather(*(connection.run(f"{n}", input=f"{n}" * 20_000) for n in range(10)))
                for n, result in enumerate(results):
                    assert result.stdout == f"{n}: " + f"{n}" * 20_000
                    assert result.exit_status == 7

    run(main)


def test_a_jump_host(run: Any, tmp_path: Path) -> None:
    """By its name, as in OpenSSH's ProxyJump."""

    async def main() -> None:
        user = asyncssh.generate_private_key("ssh-ed25519")
        user.write_private_key(str(tmp_path / "key"))
        async with (
            serving(user, server_factory=Allowing) as (jump, _, first),
            serving(user, process_factory=answer) as (far, _, second),
        ):
            known = [f"[127.0.0.1]:{port} {key.export_public_key().decode()}" for port, key in ((jump, first), (far, second))]
            (tmp_path / "known").write_text("".join(known))
            settings = ["Host *", "User somebody", f"IdentityFile {tmp_path / 'key'}", f"UserKnownHostsFile {tmp_path / 'known'}"]
            (tmp_path / "config").write_text("\n".join([*settings, "IdentityAgent none", ""]))
            for _ in range(3):
                through = {"tunnel": f"127.0.0.1:{jump}", "config": [str(tmp_path / "config")]}
                async with asyncssh.connect("127.0.0.1", far, **through) as connection:
                    assert (await connection.run("there", input="and back")).stdout == "there: and back"

    run(main)
