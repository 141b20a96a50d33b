"""Child processes: what the protocol is told, their pipes, and how the end is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.loops import is_cede
from tests.support.processes import Told, leaves_no_descriptor, needs_proc, python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
Run = Callable[..., Any]
PIPE = subprocess.PIPE


def test_what_the_protocol_is_told(run: Run, watching: str) -> None:
    code = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.write('e'); sys.exit(3)"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Told, *python(code))
        assert isinstance(transport, asyncio.SubprocessTransport)
        assert transport.get_returncode() is None
        assert transport.get_protocol() is protocol
        assert transport.get_extra_info("subprocess").pid == transport.get_pid()
        assert transport.get_pipe_transport(3) is None
        stdin = transport.get_pipe_transport(0)
        stdin.write(b"x" * 10)
        stdin.close()
        assert await protocol.lost is None
        events = protocol.events
        assert (events[0], events[-1]) == ("made", "lost")
        assert sorted(map(str, events[1:-1])) == sorted(map(str, [(1, b"x" * 10), (2, b"e"), (0, None), (1, None), (2, None), "exited"]))
        assert events.index((1, b"x" * 10)) < events.index((1, None))
        assert events.index((2, b"e")) < events.index((2, None))
        assert transport.get_returncode() == 3
        transport.close()
        assert transport.is_closing()

    run(main)


def test_an_error_of_the_protocol_is_reported_and_changes_nothing(run: Run) -> None:
    class Bad(Told):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise ZeroDivisionError("made")

        def pipe_data_received(self, fd: int, data: bytes) -> None:
            super().pipe_data_received(fd, data)
            raise ZeroDivisionError("data")

        def process_exited(self) -> None:
            super().process_exited()
            raise ZeroDivisionError("exited")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        errors: list[str] = []
        loop.set_exception_handler(lambda loop, context: errors.append(str(context["exception"])))
        code = "import sys; sys.stdout.write('one'); sys.stdout.flush(); sys.stdin.read(1); sys.stdout.write('two')"
        transport, protocol = await loop.subprocess_exec(Bad, *python(code), stderr=None)
        while (1, b"one") not in protocol.events:
            await asyncio.sleep(0)
        transport.get_pipe_transport(0).write(b"x")
        await protocol.lost
        assert (1, b"two") in protocol.events
        assert errors[:2] == ["made", "data"]
        assert sorted(errors) == ["data", "data", "exited", "made"]
        transport.close()

    run(main)


def test_the_protocol_may_close_at_once(run: Run) -> None:
    class Hasty(Told):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.close()
            transport.close()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Hasty, *python("input()"))
        await protocol.lost
        assert transport.get_returncode() == -signal.SIGKILL
        assert (protocol.events[0], protocol.events[-1]) == ("made", "lost")
        assert protocol.events.count("exited") == 1

    run(main)


@needs_proc
def test_close_kills_collects_and_tells(run: Run, watching: str) -> None:
    """uvloop 128: closing a child's transport collects it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(Told, *python("print('up', flush=True); input()"))
        while (1, b"up\n") not in protocol.events:
            await asyncio.sleep(0)
        transport.get_pipe_transport(0).write(bytes(1 << 20))  # more than the pipe holds, and nobody reads it
        transport.close()
        assert transport.is_closing()
        await protocol.lost
        assert transport.get_returncode() == -signal.SIGKILL
        assert not os.path.exists(f"/proc/{transport.get_pid()}")
        assert [protocol.events.count((fd, None)) for fd in (1, 2)] == [1, 1]

    run(main)


def test_events_before_the_protocol_has_its_transport_are_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio never tells connection_lost then")
        connect = loop.connect_read_pipe

        async def slow(*args: Any) -> Any:
            result = await connect(*args)
            with contextlib.suppress(ChildProcessError):  # raised once the child has been collected
                while True:
                    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                    await asyncio.sleep(0.001)
            return result

        loop.connect_read_pipe = slow
        transport, protocol = await loop.subprocess_exec(Told, *python("print('x')"), stdin=None, stderr=None)
        await protocol.lost
        assert (protocol.events[0], protocol.events[-1]) == ("made", "lost")
        assert sorted(map(str, protocol.events[1:-1])) == sorted(map(str, ["exited", (1, b"x\n"), (1, None)]))
        transport.close()

    run(main)


# -- pipes


def test_the_pipes_are_pipes(run: Run) -> None:
    code = "import os, stat; print([stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in range(3)])"

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*python(code), stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert await process.communicate() == (b"[True, True, True]\n", b"")

    run(main)


@needs_proc
def test_a_child_may_open_its_output_by_name(run: Run) -> None:
    """uvloop#505: with a socket pair for a pipe, /proc/self/fd/1 cannot be opened."""

    async def main() -> None:
        process = await asyncio.create_subprocess_shell("echo again > /proc/self/fd/1; cat < /proc/self/fd/0", stdin=PIPE, stdout=PIPE)
        assert await process.communicate(b"and in") == (b"again\nand in", None)

    run(main)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 5_000_000])
def test_communicate_of_any_size(run: Run, size: int) -> None:
    """uvloop#363: more than a pipe holds, both ways at once."""

    async def main() -> None:
        data = os.urandom(size)
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        out, _ = await process.communicate(data)
        assert (out == data, process.returncode) == (True, 0)

    run(main)


def test_writing_to_a_child_that_does_not_read(run: Run) -> None:
    """uvloop#311: a full pipe is no error; the writer waits, and hears that the child is gone (uvloop 317, uvloop 34, aioconsole 62)."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*python("import time; time.sleep(1000)"), stdin=PIPE)
        assert process.stdin is not None
        process.stdin.write(bytes(1 << 22))
        draining = asyncio.ensure_future(process.stdin.drain())
        await asyncio.sleep(0.01)
        assert not draining.done()
        process.kill()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await draining
        assert await process.wait() == -signal.SIGKILL

    run(main)


def test_a_child_that_closes_its_input(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell("exec <&-; echo closed; exec sleep 1000", stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        assert await process.stdout.readline() == b"closed\n"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                process.stdin.write(bytes(1 << 16))
                await process.stdin.drain()
        process.kill()
        await process.communicate()

    run(main)


def test_wait_does_not_wait_for_who_else_holds_the_pipe(run: Run) -> None:
    """cpython#119710: the child is gone, its own child still holds the output."""

    async def main() -> None:
        if not is_cede(asyncio.get_running_loop()) and sys.version_info < (3, 14):
            pytest.skip("asyncio waits for the pipes as well before Python 3.14")
        process = await asyncio.create_subprocess_shell("sleep 1000 & echo $!; exit 4", stdout=PIPE)
        assert process.stdout is not None
        grandchild = int(await process.stdout.readline())
        assert await process.wait() == 4
        os.kill(grandchild, signal.SIGKILL)
        assert await process.stdout.read() == b""

    run(main)


# -- the end of a child


def test_waiting_from_many_sides(run: Run, watching: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*python("input()"), stdin=PIPE)
        assert process.stdin is not None
        waits = [asyncio.ensure_future(process.wait()) for _ in range(5)]
        await asyncio.sleep(0)
        waits[2].cancel()
        process.stdin.write(b"\n")
        results = await asyncio.gather(*waits, return_exceptions=True)
        assert [result for result in results if not isinstance(result, asyncio.CancelledError)] == [0] * 4
        assert await process.wait() == 0

    run(main)


def test_a_cancelled_communicate_leaves_the_process_usable(run: Run) -> None:
    """cpython#125502 and its kin (cpython 86276, cpython 76296)."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        talking = asyncio.ensure_future(process.communicate(None))
        reading = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0.001)
        for task in (talking, reading):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        with contextlib.suppress(ProcessLookupError):  # from Python 3.12 on communicate(None) has closed the input, and cat may be gone
            process.kill()
        await process.wait()
        out, _ = await process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
        assert out == b""

    run(main)


@needs_proc
def test_cancelling_the_start_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio leaves its pipes open")
        started = asyncio.Event()
        connect = loop.connect_read_pipe

        async def never(*args: Any) -> Any:
            await connect(*args)
            started.set()
            await loop.create_future()

        loop.connect_read_pipe = never
        starting = asyncio.ensure_future(loop.subprocess_exec(Told, *python("input()")))
        await started.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    with leaves_no_descriptor():
        run(main)


def test_a_program_that_ignores_sigchld(run: Run, watching: str) -> None:
    """cpython#95899: the system collects the children then; the status is lost, the end is not."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:

        async def main() -> None:
            if not is_cede(asyncio.get_running_loop()):
                pytest.skip("tells it in its own words")
            process = await asyncio.create_subprocess_exec(*python("input()"), stdin=PIPE)
            assert process.stdin is not None
            process.stdin.close()
            with pytest.warns(RuntimeWarning, match="exit status already read"):
                assert await process.wait() == 255

        run(main)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_status_that_the_program_collected_is_taken_from_its_popen(run: Run, watching: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio reports 255")
        transport, protocol = await loop.subprocess_exec(Told, *python("raise SystemExit(6)"), stdin=None, stdout=None, stderr=None)
        assert transport.get_extra_info("subprocess").wait() == 6
        await protocol.lost
        assert transport.get_returncode() == 6

    run(main)


def test_no_thread_and_no_handler_is_needed(run: Run) -> None:
    async def main() -> None:
        if not is_cede(asyncio.get_running_loop()) or not hasattr(os, "pidfd_open"):
            pytest.skip("asyncio's own way")
        process = await asyncio.create_subprocess_exec(*python("input()"), stdin=PIPE)
        assert [thread.name for thread in threading.enumerate() if "waitpid" in thread.name] == []
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        process.kill()
        await process.wait()

    run(main)


def test_closing_the_loop_gives_the_descriptors_of_running_children_back(loop_factory: Any) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("looks into /proc")

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio leaves it to the collector")
        transport, _ = await loop.subprocess_exec(Told, *python("input()"), stdout=None, stderr=None)
        return transport

    with leaves_no_descriptor(), pytest.warns(ResourceWarning) as caught:
        runner = asyncio.Runner(loop_factory=loop_factory)
        try:
            transport = runner.run(main())
        finally:
            runner.close()
        popen = transport.get_extra_info("subprocess")
        del transport
        gc.collect()
        assert popen.wait() == -signal.SIGKILL
        popen.stdin.close()
        del popen
        gc.collect()
    assert "unclosed transport <SubprocessTransport" in "\n".join(str(warning.message) for warning in caught)
