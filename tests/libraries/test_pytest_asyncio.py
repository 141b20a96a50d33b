"""pytest-asyncio: tests on cede by its hook for loop factories, and by a policy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.libraries.served import library

library("pytest_asyncio")

TESTS = """
import asyncio, pytest, pytest_asyncio, cede

@pytest_asyncio.fixture
async def server():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()

@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared():
    yield asyncio.get_running_loop()

@pytest.mark.asyncio
async def test_on_cede():
    assert isinstance(asyncio.get_running_loop(), cede.EventLoop)

@pytest.mark.asyncio
async def test_a_fixture(server):
    reader, writer = await asyncio.open_connection(*server)
    writer.write(b"line\\n")
    assert await reader.read() == b"line\\n"
    writer.close()
    await writer.wait_closed()

@pytest.mark.asyncio(loop_scope="module")
async def test_one_loop_a_module(shared):
    assert asyncio.get_running_loop() is shared
    assert isinstance(shared, cede.EventLoop)

@pytest.mark.asyncio
async def test_left_running():
    asyncio.create_task(asyncio.sleep(60))

@pytest.mark.asyncio
async def test_a_failure():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        raise ZeroDivisionError
"""

HOOK = """
import cede
def pytest_asyncio_loop_factories():
    return {"cede": cede.new_event_loop}
"""


def pytest_run(folder: Path, *options: str) -> str:
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("-o", "asyncio_mode=auto"), ("-o", "asyncio_debug=true")], ids=["strict", "auto", "debug"])
def test_the_hook(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "conftest.py").write_text(HOOK)
    said = pytest_run(tmp_path, *options)
    assert "1 failed, 4 passed" in said, said
    assert "ZeroDivisionError" in said


def test_cede_run(tmp_path: Path) -> None:
    """`cede run -m pytest`: no line of configuration."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n")
    command = [sys.executable, "-m", "cede", "run", "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "1 failed, 4 passed" in done.stdout, done.stdout + done.stderr
