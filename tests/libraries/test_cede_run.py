"""Servers under `cede run`: on cede and with its names without an option of theirs, workers and reloaded children included, though uvloop
is installed; and one line in each process that runs another loop all the same.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.libraries.served import APP, Program, free_port, get, library, listening

library("starlette", "uvloop")

RUN = ["-m", "cede", "run"]
LINE = "this process was put on cede but runs "
# Server -> the command, and how many processes serve. PORT is one that is free.
# hypercorn sends SIGTERM to the other workers as soon as one has ended, so only one is sure to stop its application.
SERVERS = {
    "uvicorn": ("uvicorn --ws none --port PORT APP", 1),
    "uvicorn's workers": ("uvicorn --ws none --port PORT --workers 2 APP", 2),
    "uvicorn, reloaded": ("uvicorn --ws none --port PORT --reload --reload-dir tests/libraries APP", 1),
    "gunicorn, uvicorn's worker": ("gunicorn --bind 127.0.0.1:PORT --workers 2 -k uvicorn_worker.UvicornWorker APP", 2),
    "gunicorn, uvicorn's worker with h11": ("gunicorn --bind 127.0.0.1:PORT --workers 2 -k uvicorn_worker.UvicornH11Worker APP", 2),
    "gunicorn's own worker": ("gunicorn --bind 127.0.0.1:PORT --workers 2 -k asgi APP", 2),
    "hypercorn": ("hypercorn --bind 127.0.0.1:PORT --workers 0 APP", 1),
    "hypercorn's workers": ("hypercorn --bind 127.0.0.1:PORT --workers 2 APP", 2),
    "granian": ("granian --interface asgi --port PORT --workers 2 APP", 2),
}


def command(text: str, port: int) -> list[str]:
    return ["-m", *text.replace("PORT", str(port)).replace("APP", APP).split()]


def serve(text: str, port: int, folder: Path, *before: str) -> Program:
    return Program(*before, *command(text, port), XDG_RUNTIME_DIR=str(folder))


def needed(text: str) -> None:
    library(text.split()[0])
    for module in ("uvicorn_worker",) if "uvicorn_worker" in text else ("gunicorn.workers.gasgi",) if "-k asgi" in text else ():
        library(module)


def asked(server: Program, port: int, processes: int, path: str) -> set[bytes]:
    """What the processes answer, once all of them serve."""
    for _ in range(processes):
        server.expect("application started")
    listening(port)
    return {get(port, path) for _ in range(10)}


@pytest.mark.parametrize("server", SERVERS)
def test_no_option_is_needed(server: str, tmp_path: Path) -> None:
    text, processes = SERVERS[server]
    needed(text)
    port = free_port()
    with serve(text, port, tmp_path, *RUN) as program:
        assert asked(program, port, processes, "/loop") == {b"cede"}
        assert {get(port, "/names") for _ in range(10)} == {b"cede"}
        program.terminate()
        program.end()
        sure = 1 if server == "hypercorn's workers" else processes
        assert sure <= program.output.count("application stopped") <= processes
        assert LINE not in program.text()
        assert "Traceback" not in program.text()


def test_stock_leaves_the_names(tmp_path: Path) -> None:
    port = free_port()
    with serve(SERVERS["uvicorn's workers"][0], port, tmp_path, *RUN, "--stock") as program:
        assert asked(program, port, 2, "/loop") == {b"cede"}
        assert get(port, "/names") == b"asyncio"


def test_without_children_the_workers_are_plain(tmp_path: Path) -> None:
    """Which then choose as they would, and are told nothing: nobody put them on cede."""
    port = free_port()
    with serve(SERVERS["uvicorn's workers"][0], port, tmp_path, *RUN, "--no-children") as program:
        assert asked(program, port, 2, "/loop") == {b"uvloop"}
        assert get(port, "/names") == b"asyncio"
        assert LINE not in program.text()


def test_a_reloaded_server_is_on_cede_again(tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    watched = tmp_path / "watched" / "reloaded_app.py"
    watched.write_text(f"from {APP.partition(':')[0]} import app\n")
    port = free_port()
    words = ["uvicorn", "--ws", "none", "--port", str(port), "--reload", "--reload-dir", str(tmp_path / "watched")]
    with Program(*RUN, "-m", *words, "--app-dir", str(tmp_path / "watched"), "reloaded_app:app") as program:
        for turn in range(2):
            program.expect("application started")
            listening(port)
            assert (get(port, "/loop"), get(port, "/names")) == (b"cede", b"cede")
            if not turn:
                # The reloader compares with what it saw when it looked first, which nothing tells of: a change before that is none for it.
                while not program.seen("Reloading", 1.0):
                    watched.write_text(watched.read_text() + "# changed\n")


IN_CODE = "import uvicorn; uvicorn.run({app!r}, port={port}, ws='none', {options})"


def test_a_program_that_starts_uvicorn_itself() -> None:
    port = free_port()
    with Program(*RUN, "-c", IN_CODE.format(app=APP, port=port, options="")) as program:
        assert asked(program, port, 1, "/loop") == {b"cede"}
        assert get(port, "/names") == b"cede"
        assert LINE not in program.text()


# --- whoever names a loop gets it, and is told ------------------------------------------------------------------------------------

OTHERS = {
    "uvicorn --loop uvloop": ("uvicorn --ws none --port PORT --loop uvloop APP", 1, "uvloop", "leave out its --loop"),
    "uvicorn --loop asyncio": ("uvicorn --ws none --port PORT --loop asyncio APP", 1, "asyncio", "--loop cede:new_event_loop"),
    "uvicorn's workers": ("uvicorn --ws none --port PORT --loop uvloop --workers 2 APP", 2, "uvloop", "leave out its --loop"),
    "uvicorn, reloaded": ("uvicorn --ws none --port PORT --loop asyncio --reload --reload-dir tests/libraries APP", 1, "asyncio", "--loop"),
    "gunicorn's own worker": ("gunicorn --bind 127.0.0.1:PORT --workers 2 -k asgi --asgi-loop uvloop APP", 2, "uvloop", "--asgi-loop"),
    "hypercorn": ("hypercorn --bind 127.0.0.1:PORT --workers 0 -k uvloop APP", 1, "uvloop", "--worker-class asyncio"),
    "hypercorn's workers": ("hypercorn --bind 127.0.0.1:PORT --workers 2 -k uvloop APP", 2, "uvloop", "--worker-class asyncio"),
    "granian": ("granian --interface asgi --port PORT --loop uvloop APP", 1, "uvloop", "--loop asyncio"),
}


@pytest.mark.parametrize("server", OTHERS)
def test_a_loop_that_was_named_is_told_of_once_a_process(server: str, tmp_path: Path) -> None:
    text, processes, loop, remedy = OTHERS[server]
    needed(text)
    port = free_port()
    with serve(text, port, tmp_path, *RUN) as program:
        assert asked(program, port, processes, "/loop") == {loop.encode()}
        program.terminate()
        program.end()
        told = [line for line in program.output if LINE in line]
        assert len(told) == processes, program.text()
        for line in told:
            name = "asyncio's own event loop" if loop == "asyncio" else "uvloop.Loop"
            assert re.search(rf"^cede: {LINE}{re.escape(name)}, started at /.*\.py:\d+: to be on cede's, .*{re.escape(remedy)}", line)


UVLOOPS_WAYS = {
    "uvloop.run": "uvloop.run(main())",
    "its policy": "asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\nasyncio.run(main())",
    "its factory": "with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:\n    runner.run(main())",
    "AnyIO's option": "import anyio\nanyio.run(main, backend_options={'use_uvloop': True})",
}


@pytest.mark.parametrize("way", UVLOOPS_WAYS)
def test_a_program_that_asks_for_uvloop_is_told(way: str) -> None:
    if way.startswith("AnyIO"):
        library("anyio")
    source = f"import asyncio, uvloop\nasync def main():\n    print(type(asyncio.get_running_loop()).__module__)\n{UVLOOPS_WAYS[way]}\n"
    with Program("-W", "ignore::DeprecationWarning", *RUN, "-c", source) as program:
        assert program.end() == 0, program.text()
        assert program.output.count("uvloop") == 1
        assert [line for line in program.output if LINE in line] == [line for line in program.output if line.startswith("cede: ")]
        assert sum("runs uvloop.Loop" in line for line in program.output) == 1


def test_no_line_where_nothing_was_put_on_cede() -> None:
    port = free_port()
    with Program("-m", "uvicorn", "--ws", "none", "--port", str(port), "--loop", "cede:new_event_loop", APP) as program:
        assert asked(program, port, 1, "/loop") == {b"cede"}
        assert get(port, "/names") == b"asyncio"
        assert "cede:" not in program.text()
