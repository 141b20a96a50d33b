"""Sub-interpreters: compiled, cede refuses them before anything is loaded; uncompiled, it runs in each (cpython 84474, cpython 96336)."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

import cede.core.scheduler.kernel
from tests.support.scripts import run_script

COMPILED = not cede.core.scheduler.kernel.__file__.endswith(".py")

PRELUDE = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def create(kind):
    if kind == "own":
        return interpreters.create()
    try:
        return interpreters.create("legacy")
    except TypeError:
        return interpreters.create(isolated=False)

def execute(code):
    # Raises, or prints, what went wrong in there; which of the two depends on the version.
    interpreter = create(KIND)
    try:
        said = interpreters.run_string(interpreter, code)
        if said is not None:
            print(said)
    finally:
        interpreters.destroy(interpreter)
"""

IMPORTING = """
try:
    import cede
except ImportError as error:
    print("refused:", "compiled" in str(error) and "main interpreter" in str(error) and "sub-interpreter" in str(error))
    import sys
    print("cede" in sys.modules, "asyncio" in sys.modules)
"""

RUNNING = """
import asyncio, socket
import cede

async def main():
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    receiving = asyncio.create_task(loop.sock_recv(one, 10))
    await asyncio.sleep(0.001)
    await loop.sock_sendall(other, b"data")
    one_had = await receiving
    server = await cede.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await cede.open_connection(*server.sockets[0].getsockname())
    end = await reader.read()
    writer.close()
    server.close()
    await server.wait_closed()
    one.close()
    other.close()
    extra = THREADED and (await asyncio.to_thread(int, "5"), len(await loop.getaddrinfo("localhost", 80)) > 0)
    return one_had, end, extra

print(cede.run(main()))
"""


def module_there() -> Any:
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


pytestmark = pytest.mark.skipif(module_there() is None, reason="this Python makes no sub-interpreters")
KINDS = ["legacy", "own"]  # one that shares everything with the main one, and one that is isolated, with a lock of its own since 3.12


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="uncompiled it runs there")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("main_first", [False, True])
def test_a_compiled_cede_refuses_and_the_main_interpreter_is_none_the_worse(kind: str, main_first: bool) -> None:
    """cpython 84474, cpython 96336: import and run in several sub-interpreters."""
    script = f"""
    IMPORTING = {IMPORTING!r}
    if {main_first}:
        import cede
    for _ in range(3):
        execute(IMPORTING)
        sys.stdout.flush()
    import asyncio, cede
    print(cede.run(asyncio.sleep(0.001, "main runs")))
    """
    assert run_script(script, f"KIND = {kind!r}\n", PRELUDE) == (0, "refused: True\nFalse False\n" * 3 + "main runs\n", "")


@pytest.mark.skipif(COMPILED, reason="compiled it refuses")
@pytest.mark.parametrize("kind", KINDS)
def test_an_uncompiled_cede_runs_in_each(kind: str) -> None:
    """cpython 84474: import and run in several sub-interpreters."""
    threaded = kind == "legacy" or sys.version_info >= (3, 12)  # an isolated one of 3.11 has no threads at all
    code = RUNNING.replace("THREADED", str(threaded))
    script = f"""
    RUNNING = {code!r}
    for _ in range(3):
        execute(RUNNING)
        sys.stdout.flush()
    exec(RUNNING)
    """
    expected = "(b'data', b'', (5, True))\n" if threaded else "(b'data', b'', False)\n"
    assert run_script(script, f"KIND = {kind!r}\n", PRELUDE) == (0, expected * 4, "")
