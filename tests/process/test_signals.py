"""Signals to child processes: whom they reach, and whom they spare."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cede.process import child as child_module
from tests.support.loops import is_cede
from tests.support.processes import Told, python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
Run = Callable[..., Any]
PIPE = subprocess.PIPE


def test_signals(run: Run, watching: str) -> None:
    async def main() -> None:
        for number, send in (
            (signal.SIGTERM, lambda process: process.terminate()),
            (signal.SIGKILL, lambda process: process.kill()),
            (signal.SIGUSR1, lambda process: process.send_signal(signal.SIGUSR1)),  # not SIGHUP, which nohup has ignored
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
