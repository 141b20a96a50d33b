"""Descriptors and child processes: what a failed start leaves behind, and what a child inherits."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.loops import is_cede
from tests.support.processes import Told, leaves_no_descriptor, needs_proc, python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
Run = Callable[..., Any]
PIPE = subprocess.PIPE


INHERITED = """
import os, stat
for fd in range(3, 400):
    try:
        print(fd, stat.S_IFMT(os.fstat(fd).st_mode))
    except OSError:
        pass
"""


@needs_proc
def test_thousands_of_failures_to_start_leave_no_descriptor(run: Run) -> None:
    """uvloop#185: programs that cannot be run leave descriptors."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2_000 if is_cede(loop) else 100):
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
