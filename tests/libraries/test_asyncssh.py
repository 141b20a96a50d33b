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


@contextlib.asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[Any]:
    """A client of a server in the same loop, each with a key of its own."""
    host, user = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    keys = asyncssh.import_authorized_keys(user.export_public_key().decode())
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[host], authorized_client_keys=keys, **options)
    known = asyncssh.import_known_hosts(f"* {host.export_public_key().decode()}")
    login = {"username": "somebody", "client_keys": [user], "known_hosts": known, "config": None, "agent_path": None}
    try:
        async with asyncssh.connect("127.0.0.1", server.get_port(), **login) as connection:
            yield connection
    finally:
        server.close()
        await server.wait_closed()


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

        class Allowing(asyncssh.SSHServer):  # type: ignore[misc]
            def connection_requested(self, *_: Any) -> bool:
                return True

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
