"""Child processes: what the protocol is told, whom a signal reaches, what is left behind, and every option of Popen."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cede.process import child as child_module

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
Run = Callable[..., Any]
PIPE = subprocess.PIPE


def is_cede(loop: asyncio.AbstractEventLoop) -> bool:
    return "cede" in type(loop).__module__


def python(code: str) -> tuple[str, ...]:
    return sys.executable, "-I", "-S", "-c", textwrap.dedent(code)


class Told(asyncio.SubprocessProtocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.events.append("made")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.events.append((fd, data))

    def pipe_connection_lost(self, fd: int, exc: Any) -> None:
        self.events.append((fd, exc))

    def process_exited(self) -> None:
        self.events.append("exited")

    def connection_lost(self, exc: Any) -> None:
        self.events.append("lost")
        self.lost.set_result(exc)


@pytest.fixture(params=["pidfd", "thread"])
def watching(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways in which the end of a process is noticed."""
    if request.param == "thread":
        monkeypatch.setattr(child_module, "_open_pidfd", None)
    return request.param


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
    """uvloop#311: a full pipe is no error; the writer waits, and hears that the child is gone."""

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
    """cpython#125502 and its kin."""

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


# -- whom a signal reaches


def test_signals(run: Run, watching: str) -> None:
    async def main() -> None:
        for number, send in (
            (signal.SIGTERM, lambda process: process.terminate()),
            (signal.SIGKILL, lambda process: process.kill()),
            (signal.SIGHUP, lambda process: process.send_signal(signal.SIGHUP)),
        ):
            process = await asyncio.create_subprocess_exec(*python("input()"), stdin=PIPE)
            send(process)
            assert await process.wait() == -number

    run(main)


def test_bad_signals(run: Run, watching: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*python("input()"), stdin=PIPE)
        with pytest.raises(OSError):
            process.send_signal(10_000)
        with pytest.raises(TypeError):
            process.send_signal("SIGTERM")  # type: ignore[arg-type]
        process.kill()
        await process.wait()

    run(main)


def test_signals_from_another_thread(run: Run, watching: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(*python("input()"), stdin=PIPE)
        killer = threading.Thread(target=process.kill)
        killer.start()
        killer.join()
        assert await process.wait() == -signal.SIGKILL

    run(main)


def test_a_signal_after_the_end_is_not_sent(run: Run, watching: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """cpython#127049: once the child is collected its number may be anybody's."""
    sent: list[Any] = []
    ends: list[int] = []

    class Late(Told):
        def process_exited(self) -> None:
            super().process_exited()
            ends.append(1)
            monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))
            monkeypatch.setattr(child_module, "_signal_pidfd", lambda *args: sent.append(args))
            self.transport.kill()

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.transport = transport

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop) and sys.version_info < (3, 14):
            pytest.skip("asyncio may send it before Python 3.14")
        transport, protocol = await loop.subprocess_exec(Late, *python(""), stdin=None, stdout=None, stderr=None)
        await protocol.lost
        with pytest.raises(ProcessLookupError):
            transport.kill()
        transport.close()

    run(main)
    assert (sent, ends) == ([], [1])


def test_a_child_that_took_the_number_over_is_spared(run: Run) -> None:
    """cpython#127049, for real: somebody collects the child, and its number is given to the next process."""
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    if not os.access(last_pid, os.W_OK) or not hasattr(os, "pidfd_open"):
        pytest.skip("needs pidfds and the right to choose the next process number")

    async def main() -> None:
        if not is_cede(asyncio.get_running_loop()):
            pytest.skip("asyncio kills the other one")
        process = await asyncio.create_subprocess_exec(*python("input()"), stdin=PIPE)
        assert process.stdin is not None
        # Nobody may be told of the end yet, so the loop does not run meanwhile.
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        for _ in range(50):
            try:
                last_pid.write_text(str(process.pid - 1))
            except OSError:
                pytest.skip("the next process number cannot be chosen here")
            other = subprocess.Popen(python("input()"), stdin=PIPE)
            if other.pid == process.pid:
                break
            other.kill()
            other.communicate()
        else:
            pytest.skip("another process was always faster")
        process.kill()
        process.terminate()
        with pytest.warns(RuntimeWarning, match="exit status already read"):
            assert await process.wait() == 255
        assert other.communicate(b"\n") == (None, None)
        assert other.returncode == 0, "the wrong process was killed"

    run(main)


# -- what is left behind


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return {name: target for name, target in found.items() if not target.startswith("/proc/")}


@contextlib.contextmanager
def leaves_no_descriptor() -> Iterator[None]:
    gc.collect()
    before = descriptors()
    yield
    gc.collect()
    assert descriptors() == before


@needs_proc
def test_ten_thousand_failures_to_start_leave_no_descriptor(run: Run) -> None:
    """uvloop#185."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(10_000 if is_cede(loop) else 100):
            with pytest.raises(FileNotFoundError):
                await asyncio.create_subprocess_exec("/no/such/program", stdin=PIPE, stdout=PIPE, stderr=PIPE)

    with leaves_no_descriptor():
        run(main)


@needs_proc
def test_other_failures_to_start_leave_no_descriptor(run: Run, tmp_path: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    not_a_program = tmp_path / "file"
    not_a_program.write_text("")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)  # what asyncio says of its own half-made transports
        for error, options in (
            (PermissionError, {"program": str(not_a_program)}),
            (FileNotFoundError, {"cwd": str(tmp_path / "nowhere")}),
            (subprocess.SubprocessError, {"preexec_fn": fail}),
            (TypeError, {"no_such_option": 1}),
            (ValueError, {"process_group": 0, "start_new_session": True, "program": "true\0"}),
        ):
            program = options.pop("program", "true")
            with pytest.raises(error):
                await loop.subprocess_exec(Told, program, **options)  # type: ignore[arg-type]

    with leaves_no_descriptor():
        run(main)


@needs_proc
def test_running_out_of_descriptors() -> None:
    """Wherever the limit strikes: an OSError, no descriptor left, no child left, and the next start works."""
    code = """
        import asyncio, os, resource, sys
        import cede

        async def main():
            loop = asyncio.get_running_loop()
            await loop.getaddrinfo("127.0.0.1", 80)
            base = len(os.listdir("/proc/self/fd"))
            failed = 0
            for spare in range(0, 14):
                highest = max(map(int, os.listdir("/proc/self/fd")))
                resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, 4096))
                try:
                    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1, stderr=-1)
                except OSError as error:
                    failed += 1
                else:
                    assert await process.communicate(b"x") == (b"x", b"")
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert len(os.listdir("/proc/self/fd")) == base, (spare, os.listdir("/proc/self/fd"))
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
            else:
                raise AssertionError("a child is left")
            return 0 < failed < 14
        print(cede.run(main()))
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@needs_proc
def test_many_children_leave_nothing(run: Run) -> None:
    """uvloop#414: many children while threads open and close files of their own."""
    stop = threading.Event()
    wrong: list[BaseException] = []

    def churn() -> None:
        try:
            while not stop.is_set():
                with open(os.devnull, "rb") as file:
                    os.fstat(file.fileno())
        except BaseException as error:
            wrong.append(error)

    async def one(number: int) -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        data = str(number).encode() * 100
        assert await process.communicate(data) == (data, None)

    async def main() -> None:
        for _ in range(3):
            await asyncio.gather(*map(one, range(25)))

    with leaves_no_descriptor():
        threads = [threading.Thread(target=churn) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            run(main)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert wrong == []


# -- what a child inherits

INHERITED = """
import os, stat
for fd in range(3, 400):
    try:
        print(fd, stat.S_IFMT(os.fstat(fd).st_mode))
    except OSError:
        pass
"""


@needs_proc
def test_a_child_inherits_no_descriptor_of_ours(run: Run) -> None:
    """Even where it asks for all that can be inherited."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        _reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        await asyncio.to_thread(int)
        await loop.getaddrinfo("localhost", 1)
        other = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        process = await asyncio.create_subprocess_exec(*python(INHERITED), stdout=PIPE, close_fds=False)
        out, _ = await process.communicate()
        assert out == expected
        await other.communicate(b"")
        writer.close()
        datagrams.close()
        server.close()
        await server.wait_closed()

    expected = subprocess.run(python(INHERITED), stdout=PIPE, close_fds=False).stdout
    run(main)


@needs_proc
def test_a_forked_multiprocessing_child_holds_no_descriptor_of_the_loop() -> None:
    code = """
        import asyncio, multiprocessing, os, sys, warnings
        warnings.simplefilter("ignore")
        import cede

        def look(connection):
            ours = []
            for name in os.listdir("/proc/self/fd"):
                try:
                    target = os.readlink(f"/proc/self/fd/{name}")
                except OSError:
                    continue
                if "anon_inode" in target:  # epoll, eventfd, pidfd
                    ours.append(target)
            connection.send(ours)

        async def main():
            child = await asyncio.create_subprocess_exec("cat", stdin=-1)
            answers = []
            for method in ("fork", "spawn"):
                context = multiprocessing.get_context(method)
                here, there = context.Pipe()
                process = context.Process(target=look, args=(there,))
                process.start()
                answers.append(here.recv())
                process.join()
                assert process.exitcode == 0
            await child.communicate(b"")
            return answers

        if __name__ == "__main__":
            print(cede.run(main()))
    """
    path = Path(os.environ.get("PYTEST_TMP", "/tmp"), f"cede-multiprocessing-{os.getpid()}.py")
    path.write_text(textwrap.dedent(code))
    try:
        done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60)
    finally:
        path.unlink()
    assert (done.returncode, done.stdout, done.stderr) == (0, "[[], []]\n", "")


# -- options


def test_every_option_of_popen(run: Run, tmp_path: Path) -> None:
    show = """
        import os, sys
        mask = os.umask(0)
        print(os.getcwd(), os.environ.get("NAME"), oct(mask), os.getpgid(0) == os.getpid(), os.getsid(0) == os.getpid(), sys.argv[0])
    """

    async def ask(**options: Any) -> list[str]:
        process = await asyncio.create_subprocess_exec(*python(show), stdout=PIPE, **options)
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode().split()

    async def main() -> None:
        mask = os.umask(0)
        os.umask(mask)
        plain = [os.getcwd(), str(os.environ.get("NAME")), oct(mask), "False", "False", "-c"]
        assert await ask() == plain

        async def changes(place: int, value: str, **options: Any) -> None:
            answer = await ask(**options)
            assert answer[place] == value, options

        await changes(0, str(tmp_path), cwd=tmp_path)
        await changes(1, "value", env={"NAME": "value"})
        await changes(2, "0o77", umask=0o77)
        await changes(3, "True", process_group=0)
        await changes(4, "True", start_new_session=True)
        await changes(3, "True", preexec_fn=lambda: os.setpgid(0, 0))
        assert await ask(restore_signals=False, close_fds=False, pipesize=1 << 16, executable=sys.executable) == plain

    run(main)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become somebody else")
def test_becoming_somebody_else(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell("id -u; id -g; id -G", stdout=PIPE, user=12345, group=54321, extra_groups=[777])
        assert await process.communicate() == (b"12345\n54321\n54321 777\n", None)

    run(main)


def test_descriptors_passed_on(run: Run) -> None:
    async def main() -> None:
        ear, mouth = os.pipe()
        process = await asyncio.create_subprocess_exec(*python(f"import os; os.write({mouth}, b'through')"), pass_fds=[mouth])
        os.close(mouth)
        assert os.read(ear, 100) == b"through"
        os.close(ear)
        await process.wait()

    run(main)


def test_files_and_devices_for_pipes(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "in").write_bytes(b"from a file")
        with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as target:
            process = await asyncio.create_subprocess_shell("cat; echo error >&2", stdin=source, stdout=target, stderr=subprocess.STDOUT)
            assert await process.wait() == 0
        assert (tmp_path / "out").read_bytes() == b"from a fileerror\n"
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.DEVNULL, stdout=PIPE, stderr=subprocess.DEVNULL)
        assert await process.communicate() == (b"", None)

    run(main)


