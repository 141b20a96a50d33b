"""Child processes whose pipes are streams: cede's functions on cede's loop and on asyncio's, beside asyncio's own on both."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import pytest

import cede

PIPE, STDOUT, DEVNULL = cede.subprocess.PIPE, cede.subprocess.STDOUT, cede.subprocess.DEVNULL


@pytest.fixture(params=["cede", "asyncio"])
def lib(request: pytest.FixtureRequest) -> Any:
    """Whose functions are used."""
    return {"cede": cede, "asyncio": asyncio}[request.param]


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


def test_communicate(run: Any, lib: Any) -> None:
    async def main() -> None:
        code = "import sys; data = sys.stdin.read(); print(data.upper(), end=''); print(len(data), file=sys.stderr, end='')"
        process = await lib.create_subprocess_exec(*python(code), stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert process.returncode is None
        assert process.pid > 0
        assert await process.communicate(b"some words") == (b"SOME WORDS", b"10")
        assert process.returncode == 0
        assert await process.wait() == 0
        assert repr(process) == f"<Process {process.pid}>"

    run(main)


def test_communicate_more_than_the_pipes_hold(run: Any, lib: Any) -> None:
    async def main() -> None:
        code = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.buffer.write(data[::-1])"
        process = await lib.create_subprocess_exec(*python(code), stdin=PIPE, stdout=PIPE, stderr=PIPE)
        data = bytes(range(256)) * 4096
        assert await process.communicate(data) == (data, data[::-1])

    run(main)


def test_communicate_with_what_is_no_pipe(run: Any, lib: Any) -> None:
    async def main() -> None:
        process = await lib.create_subprocess_exec(*python("print('out')"), stdout=PIPE)
        assert process.stdin is process.stderr is None
        assert await process.communicate() == (b"out\n", None)
        process = await lib.create_subprocess_exec(*python("import sys; print('err', file=sys.stderr)"), stderr=STDOUT, stdout=PIPE)
        assert await process.communicate() == (b"err\n", None)
        process = await lib.create_subprocess_exec(*python("import sys; print('err', file=sys.stderr)"), stderr=PIPE)
        assert await process.communicate() == (None, b"err\n")
        process = await lib.create_subprocess_exec(*python("input()"), stdin=DEVNULL, stderr=DEVNULL)
        assert await process.communicate() == (None, None)
        assert process.returncode == 1

    run(main)


def test_input_that_nobody_can_get_is_refused(run: Any) -> None:
    async def main() -> None:
        process = await cede.create_subprocess_exec(*python("print(1)"), stdout=PIPE)
        with pytest.raises(ValueError, match="stdin is no pipe"):
            await process.communicate(b"words")
        assert await process.communicate(b"") == (b"1\n", None)

    run(main)


def test_no_input_is_an_end(run: Any) -> None:
    """As since 3.12: a child that reads is not waited for without end."""

    async def main() -> None:
        process = await cede.create_subprocess_exec(*python("import sys; print(len(sys.stdin.read()))"), stdin=PIPE, stdout=PIPE)
        assert await process.communicate() == (b"0\n", None)

    run(main)


def test_child_that_does_not_want_its_input(run: Any, lib: Any) -> None:
    async def main() -> None:
        process = await lib.create_subprocess_exec(*python("import os; os.close(0); print('enough')"), stdin=PIPE, stdout=PIPE)
        assert await process.communicate(b"x" * 1_000_000) == (b"enough\n", None)
        assert await process.wait() == 0

    run(main)


def test_conversation(run: Any, lib: Any) -> None:
    async def main() -> None:
        code = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"
        process = await lib.create_subprocess_exec(*python(code), stdin=PIPE, stdout=PIPE)
        for word in (b"one", b"two", b"three"):
            process.stdin.write(word + b"\n")
            await process.stdin.drain()
            assert await process.stdout.readline() == word[::-1] + b"\n"
        process.stdin.close()
        await process.stdin.wait_closed()
        assert await process.stdout.read() == b""
        assert await process.wait() == 0

    run(main)


def test_lines_are_limited(run: Any, lib: Any) -> None:
    async def main() -> None:
        process = await lib.create_subprocess_exec(*python("print('x' * 100); print('y')"), stdout=PIPE, limit=20)
        with pytest.raises(ValueError, match="chunk"):
            await process.stdout.readline()
        await process.communicate()

    run(main)


def test_writer_of_a_child_that_is_gone(run: Any) -> None:
    async def main() -> None:
        process = await cede.create_subprocess_exec(*python("pass"), stdin=PIPE)
        await process.wait()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                process.stdin.write(b"x" * 65536)
                await process.stdin.drain()
        try:
            await process.stdin.wait_closed()
        except (BrokenPipeError, ConnectionResetError):
            pass  # asyncio's loop tells what the pipe was lost with, where it saw that

    run(main)


def test_signals(run: Any, lib: Any) -> None:
    async def main() -> None:
        for stop, number in (("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)):
            process = await lib.create_subprocess_exec(*python("print(flush=True); input()"), stdin=PIPE, stdout=PIPE)
            assert await process.stdout.readline() == b"\n"
            getattr(process, stop)()
            assert await process.wait() == process.returncode == -number
            await process.communicate()
        process = await lib.create_subprocess_exec(*python("print(flush=True); input()"), stdin=PIPE, stdout=PIPE)
        await process.stdout.readline()
        process.send_signal(signal.SIGUSR1)
        assert await process.wait() == -signal.SIGUSR1
        await process.communicate()

    run(main)


def test_cancelled_wait_leaves_the_child_alone(run: Any, lib: Any) -> None:
    async def main() -> None:
        process = await lib.create_subprocess_exec(*python("print(input())"), stdin=PIPE, stdout=PIPE)
        waiting = asyncio.create_task(process.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert process.returncode is None
        assert await process.communicate(b"still there\n") == (b"still there\n", None)

    run(main)


def test_shell(run: Any, lib: Any) -> None:
    async def main() -> None:
        process = await lib.create_subprocess_shell("cat; exit 7", stdin=PIPE, stdout=PIPE)
        assert await process.communicate(b"words") == (b"words", None)
        assert process.returncode == 7

    run(main)


def test_what_cannot_be_run(run: Any, lib: Any) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await lib.create_subprocess_exec("/no/such/program")
        with pytest.raises(ValueError, match="universal_newlines"):
            await lib.create_subprocess_exec(sys.executable, universal_newlines=True)
        with pytest.raises(ValueError, match="cmd must be a"):
            await lib.create_subprocess_shell(3)

    run(main)


def test_classes_are_asyncios_to_those_who_ask(run: Any) -> None:
    async def main() -> None:
        process = await cede.create_subprocess_exec(*python("input()"), stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert isinstance(process, asyncio.subprocess.Process)
        assert isinstance(process, cede.subprocess.Process)
        assert isinstance(process.stdin, asyncio.StreamWriter)
        assert type(process.stdin) is cede.StreamWriter
        assert isinstance(process.stdout, asyncio.StreamReader)
        assert type(process.stderr) is cede.StreamReader
        protocol = process._transport.get_protocol()
        assert isinstance(protocol, asyncio.SubprocessProtocol)
        assert repr(protocol).startswith("<SubprocessStreamProtocol stdin=<StreamWriter")
        await process.communicate(b"\n")

    run(main)
