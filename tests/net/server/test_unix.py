"""create_unix_server."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import Echo, skip_old_oracle


def test_unix_server(run: Callable[..., Any], tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        path = tmp_path / "socket"
        for _ in range(2):  # the second finds what an old Python's server leaves behind
            server = await loop.create_unix_server(Echo, path)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
            assert path.exists() is (sys.version_info < (3, 13))

    run(main)


def test_unix_server_replaces_a_stale_socket_only(run: Callable[..., Any], tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stale, file = str(tmp_path / "stale"), tmp_path / "file"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(stale)
        (await loop.create_unix_server(Echo, stale)).close()
        file.write_text("precious")
        with pytest.raises(OSError, match="is already in use"):
            await loop.create_unix_server(Echo, str(file))
        assert file.read_text() == "precious"

    run(main)


def test_unix_server_cleans_up_what_is_its_own(run: Callable[..., Any], tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        skip_old_oracle(loop)
        path = str(tmp_path / "socket")
        options: Any = {"cleanup_socket": True}
        server = await loop.create_unix_server(Echo, path, **options)
        server.close()
        assert not os.path.exists(path)
        server = await loop.create_unix_server(Echo, path, **options)
        os.unlink(path)
        Path(path).write_text("somebody else's")
        server.close()
        assert Path(path).read_text() == "somebody else's"
        os.unlink(path)
        server = await loop.create_unix_server(Echo, path, **options)
        os.unlink(path)
        server.close()
        options = {"cleanup_socket": False}
        server = await loop.create_unix_server(Echo, path, **options)
        server.close()
        assert os.path.exists(path)

    run(main)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="abstract names are Linux's")
def test_unix_server_with_an_abstract_name(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        name = f"\0cede-test-{os.getpid()}"
        server = await loop.create_unix_server(Echo, name)
        reader, writer = await asyncio.open_unix_connection(name)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main)


def test_unix_server_bad_arguments(run: Callable[..., Any], tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as internet:
            for error, message, arguments in (
                (ValueError, "path was not specified, and no sock specified", {}),
                (ValueError, "can not be specified at the same time", {"path": "x", "sock": internet}),
                (ValueError, "A UNIX Domain Stream Socket was expected", {"sock": internet}),
                (TypeError, "ssl argument", {"path": "x", "ssl": True}),
                (ValueError, "ssl_handshake_timeout", {"path": "x", "ssl_handshake_timeout": 1}),
                (TypeError, "PathLike", {"path": 5}),
            ):
                with pytest.raises(error, match=message):
                    await loop.create_unix_server(Echo, **arguments)
        with pytest.raises(OSError):
            await loop.create_unix_server(Echo, str(tmp_path / "no" / "such" / "folder"))
        with pytest.raises(OSError):
            await loop.create_unix_server(Echo, str(tmp_path / ("long" * 100)))

    run(main)


def test_unix_server_over_a_given_socket(run: Callable[..., Any], tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(tmp_path / "given"))
        server = await loop.create_unix_server(Echo, sock=sock)
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "given"))
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(main)
