"""Gunicorn: uvicorn's worker with cede as its loop, Gunicorn's own ASGI worker under `cede run`, and aiohttp's worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.libraries.served import APP, LOOPS, Program, ends_gracefully, get, library

library("starlette", "gunicorn")

WORKERS = """
from uvicorn_worker import UvicornWorker

class OnCede(UvicornWorker):
    CONFIG_KWARGS = {"loop": "cede:new_event_loop", "http": "auto", "ws": "none"}

class OnAsyncio(UvicornWorker):
    CONFIG_KWARGS = {"loop": "asyncio", "http": "auto", "ws": "none"}
"""


def serve(folder: Path, *command: str, app: str = APP) -> Program:
    """Its control socket goes to the folder."""
    options = ["--bind", "127.0.0.1:0", "--workers", "2", "--graceful-timeout", "20", app]
    return Program(*command, *options, XDG_RUNTIME_DIR=str(folder))


def port_of(server: Program) -> int:
    port = int(server.expect(r"Listening at: http://127.0.0.1:(\d+)")[1])
    for _ in range(2):
        server.expect("application started")
    return port


@pytest.mark.parametrize("loop", LOOPS)
def test_uvicorns_worker(loop: str, tmp_path: Path) -> None:
    library("uvicorn_worker")
    (tmp_path / "own_workers.py").write_text(WORKERS)
    name = {"asyncio": "OnAsyncio", "cede": "OnCede"}[loop]
    with serve(tmp_path, "-m", "gunicorn", "--worker-class", f"own_workers.{name}", "--pythonpath", str(tmp_path)) as server:
        port = port_of(server)
        for _ in range(10):
            assert get(port, "/loop").decode() == loop
        ends_gracefully(server, port)
        assert server.output.count("application stopped") == 2


@pytest.mark.parametrize("loop", LOOPS)
def test_its_own_asgi_worker(loop: str, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn.workers.gasgi", reason="Gunicorn has an ASGI worker since version 24")
    prefix = {"asyncio": ["-m", "gunicorn"], "cede": ["-m", "cede", "run", "-m", "gunicorn"]}[loop]
    with serve(tmp_path, *prefix, "--worker-class", "asgi", "--asgi-loop", "asyncio") as server:
        port = port_of(server)
        for _ in range(10):
            assert get(port, "/loop").decode() == loop
        assert len(get(port, "/stream?count=100&size=10000")) == 1_000_000
        server.terminate()
        assert server.end() == 0
        assert server.output.count("application stopped") == 2
        assert "Traceback" not in server.text()


AIOHTTP = """
import asyncio, os
from aiohttp import web
async def which_loop(request):
    return web.Response(text=type(asyncio.get_running_loop()).__module__.partition(".")[0])
async def started(app):
    os.write(1, b"application started\\n")
async def stopped(app):
    os.write(1, b"application stopped\\n")
app = web.Application()
app.add_routes([web.get("/loop", which_loop)])
app.on_startup.append(started)
app.on_cleanup.append(stopped)
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_aiohttps_worker(loop: str, tmp_path: Path) -> None:
    library("aiohttp")
    (tmp_path / "own_app.py").write_text(AIOHTTP)
    prefix = {"asyncio": ["-m", "gunicorn"], "cede": ["-m", "cede", "run", "-m", "gunicorn"]}[loop]
    options = ["--worker-class", "aiohttp.GunicornWebWorker", "--pythonpath", str(tmp_path)]
    with serve(tmp_path, *prefix, *options, app="own_app:app") as server:
        port = port_of(server)
        for _ in range(10):
            assert get(port, "/loop").decode() == loop
        server.terminate()
        assert server.end() == 0
        assert server.output.count("application stopped") == 2
        assert "Traceback" not in server.text()
