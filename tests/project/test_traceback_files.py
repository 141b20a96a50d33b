"""Tracebacks name the files that are installed, and show their lines, wherever the program runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.core import build

HOME = Path(cede.__file__).parent

# What fails in compiled code, in each of its layers.
FAILURES: dict[str, str] = {
    "lock": "cede.Lock().release()",
    "queue": "cede.Queue().get_nowait()",
    "task": "cede.run(fail())",
    "future": "loop.create_future().result()",
    "timer": "loop.call_later('x', print)",
    "operation": "loop.run_until_complete(read())",
    "wait_for": "loop.run_until_complete(cede.wait_for(5, 1))",
    "group": "loop.run_until_complete(group())",
    "scope": "cede.CancelScope(deadline='x')",
    "driver": "loop.run_until_complete(loop.sock_recv(5, 5))",
    "transport": "loop.run_until_complete(connect())",
}
PROGRAM = """
    import asyncio, json, sys, traceback, cede

    loop = cede.new_event_loop()

    async def fail():
        raise cede.Future(loop=loop).exception()

    async def read():
        reader = cede.StreamReader(loop=loop)
        reader.feed_eof()
        await reader.readexactly(3)

    async def group():
        async with cede.TaskGroup() as group:
            group.create_task(5)

    async def connect():
        server = await cede.start_server(lambda *streams: None, "127.0.0.1", 0)
        reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
        try:
            writer.write(5)
        finally:
            server.close()
            writer.close()

    try:
        FAILURE
    except Exception as error:
        found, text = [], traceback.format_exc()
        for frame, line in traceback.walk_tb(error.__traceback__):
            found.append((frame.f_globals.get("__name__"), frame.f_code.co_filename, line))
        print(json.dumps([found, text]))
    loop.close()
"""


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A folder with other files of the names that ours had when they were compiled, as somebody's own checkout may have."""
    for path in HOME.rglob("*.p*"):
        if path.suffix in (".py", ".pyx", ".pxd"):
            decoy = tmp_path / "src/cede" / path.relative_to(HOME)
            decoy.parent.mkdir(parents=True, exist_ok=True)
            decoy.write_text("DECOY\n" * 900)
    return tmp_path


@pytest.mark.parametrize("name", list(FAILURES))
def test_frames_name_installed_files(name: str, decoys: Path) -> None:
    program = textwrap.dedent(PROGRAM).replace("FAILURE", FAILURES[name])
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=decoys, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found, text = json.loads(done.stdout)
    assert "DECOY" not in text
    ours = [(module, file, line) for module, file, line in found if module.startswith("cede.")]
    assert ours
    for module, file, line in ours:
        path = Path(file)
        assert path.is_absolute()
        assert path.is_relative_to(HOME)
        assert path.stem in (module.rpartition(".")[2], "__init__")
        shown = path.read_text().splitlines()[line - 1].strip()
        assert shown
        assert shown in text


def test_a_program_under_cede_run(decoys: Path) -> None:
    program = decoys / "program.py"
    program.write_text("import asyncio\n\nasyncio.Lock().release()\n")
    command = [sys.executable, "-m", "cede", "run", str(program)]
    done = subprocess.run(command, cwd=decoys, capture_output=True, text=True, timeout=60, check=False)
    assert "Lock is not acquired" in done.stderr
    assert "asyncio.Lock().release()" in done.stderr
    assert "DECOY" not in done.stderr


def test_every_line_that_is_shown_is_the_line_that_raised() -> None:
    def raising(call: Callable[[], Any]) -> list[str]:
        try:
            call()
        except Exception as error:
            return [entry.line or "" for entry in traceback.extract_tb(error.__traceback__)]
        return []

    assert raising(lambda: cede.Lock().release())[-1] == 'raise RuntimeError("Lock is not acquired.")'
    assert "raise" in raising(lambda: cede.Barrier(0))[-1]
    assert "raise" in raising(lambda: cede.Semaphore(-1))[-1]
    assert raising(lambda: cede.Queue().task_done())[-1] == 'raise ValueError("task_done() called too many times")'


@pytest.mark.skipif(not os.path.exists("/proc"), reason="the process's folder is changed by the program itself")
def test_a_changed_folder_changes_nothing(decoys: Path) -> None:
    program = f"""
        import os, traceback, cede
        os.chdir({str(decoys)!r})
        try:
            cede.Lock().release()
        except RuntimeError:
            traceback.print_exc()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False)
    assert str(HOME / "sync") in done.stderr
    assert "DECOY" not in done.stderr


def test_the_sources_are_installed() -> None:
    for name in build.compiled_modules():
        base = HOME.joinpath(*name.split(".")[1:])
        assert base.with_suffix(".py").exists() or base.with_suffix(".pyx").exists()


def test_what_asyncio_says_of_it_is_our_own_file_too() -> None:
    """In debug mode a handle tells where it was made, by frames as well."""
    loop = cede.new_event_loop()
    loop.set_debug(True)
    try:
        with pytest.raises(TypeError) as caught:
            loop.call_soon(asyncio.sleep)  # a coroutine function
    finally:
        loop.close()
    for entry in traceback.extract_tb(caught.value.__traceback__):
        assert Path(entry.filename).is_absolute()
