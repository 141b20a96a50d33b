"""The end of the process with a loop that nobody closed: what was never told is told, in words, and nothing else is printed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ended(script: str, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return answer.returncode, answer.stdout, answer.stderr


# Whose dictionary holds the futures decides when they go: some before logging is taken apart, some after, some after `sys`.
HOLDERS = ["__main__", "cede", "asyncio", "logging", "os", "encodings", "sys", "builtins"]


@pytest.mark.parametrize("holder", HOLDERS)
def test_failures_that_nobody_fetched(holder: str) -> None:
    status, said, errors = ended(
        """
        import asyncio, importlib, sys
        import cede

        async def fail():
            raise ValueError("never fetched")

        async def main():
            loop = asyncio.get_running_loop()
            tasks = [loop.create_task(fail()) for _ in range(3)]
            await asyncio.wait(tasks)
            future = loop.create_future()
            future.set_exception(OSError("nor this"))
            return [future, *tasks]

        importlib.import_module(sys.argv[1]).kept = cede.new_event_loop().run_until_complete(main())
        """,
        holder,
    )
    assert (status, said) == (0, "")
    if holder in ("__main__", "cede") or errors:  # later the streams may be gone as well, depending on the version
        assert errors.count("Task exception was never retrieved") == 3
        assert errors.count("ValueError: never fetched") == 3
        assert errors.count("Future exception was never retrieved") == 1
        assert errors.count("OSError: nor this") == 1
    for noise in ("excepthook", "NoneType", "KeyError", "Exception ignored", "default exception handler"):
        assert noise not in errors


@pytest.mark.parametrize("holder", ["__main__", "asyncio", "os", "sys", "nobody"])
@pytest.mark.parametrize("way", ["end", "raise", "daemon"])
def test_many_live_tls_connections(way: str, holder: str) -> None:
    pytest.importorskip("ssl")
    status, said, errors = ended(
        """
        import asyncio, importlib, sys, threading
        import cede
        from tests.support.certificates import client_context, server_context

        way, holder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
        ready = threading.Event()

        async def serve(reader, writer):
            while data := await reader.read(100):
                writer.write(data)

        async def main():
            server = await cede.start_server(serve, "127.0.0.1", 0, ssl=server_context(), backlog=count)
            port, context = server.sockets[0].getsockname()[1], client_context()
            ends = [await cede.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost") for _ in range(count)]
            for reader, writer in ends:
                writer.write(b"x" * 50)
            if way == "daemon":
                ready.set()
                while True:
                    await asyncio.sleep(0)
            return server, ends

        def run():
            loop = cede.new_event_loop()
            kept = loop.run_until_complete(main())
            if holder != "nobody":
                importlib.import_module(holder).kept = kept, loop

        if way == "daemon":
            threading.Thread(target=run, daemon=True).start()
            ready.wait()
        else:
            run()
        if way == "raise":
            raise ValueError("the end")
        """,
        way,
        holder,
        "200" if holder == "__main__" else "40",
    )
    lines = [line for line in errors.splitlines() if not line.startswith("task: <Task pending")]
    if way == "raise":
        assert status == 1
        assert "ValueError: the end" in errors
        lines = lines[next(number for number, line in enumerate(lines) if line == "ValueError: the end") + 1 :]
    else:
        assert status == 0
    assert [line for line in lines if line != "Task was destroyed but it is pending!"] == []
    assert said == ""


@pytest.mark.parametrize("holder", ["nobody", "asyncio", "sys"])
@pytest.mark.parametrize("closed", [False, True])
def test_transports_that_nobody_closed(closed: bool, holder: str) -> None:
    """Their finalizers run when the interpreter has let go of its modules; what fails in one of them then ends as an error does."""
    status, said, errors = ended(
        """
        import asyncio, gc, importlib, os, socket, sys
        import cede

        closed, holder = sys.argv[1:]
        gc.disable()

        class Keeps(asyncio.Protocol, asyncio.DatagramProtocol, asyncio.SubprocessProtocol):
            def connection_made(self, transport):
                self.transport = transport

        def make():
            made.append(Keeps())
            return made[-1]

        made = []

        async def main():
            loop = asyncio.get_running_loop()
            server = await loop.create_server(make, "127.0.0.1", 0)
            for paused in (False, True):
                await loop.create_connection(make, *server.sockets[0].getsockname())
            await loop.create_datagram_endpoint(make, ("127.0.0.1", 0))
            for end, connect in zip(os.pipe(), (loop.connect_read_pipe, loop.connect_write_pipe)):
                await connect(make, os.fdopen(end, "rb" if connect == loop.connect_read_pipe else "wb", 0))
            await loop.subprocess_exec(make, "true")
            while len(made) < 8:
                await asyncio.sleep(0)
            made[0].transport.pause_reading()
            made[1].transport.write(bytes(20_000_000))
            return server

        loop = cede.new_event_loop()
        kept = loop.run_until_complete(main())
        if closed == "True":
            loop.close()
        if holder != "nobody":
            importlib.import_module(holder).kept = kept, loop, made
        """,
        str(closed),
        holder,
    )
    assert (status, said) == (0, ""), errors
    assert "Fatal" not in errors
