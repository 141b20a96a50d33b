"""Workers end with their program, however that ends. Each case is a program of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.processes import is_running

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

HEAD = """
import asyncio, os, signal, sys, time
import cede

def own_pid():
    return os.getpid()

def spin(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    while True:
        pass

def make(loop):
    return cede.new_event_loop() if loop == "cede" else asyncio.SelectorEventLoop()

async def appears(path):
    while not (os.path.exists(path) and open(path).read()):
        await asyncio.sleep(0.005)
"""


def gone(pid: int) -> bool:
    """Whether it ends within half a minute."""
    for _ in range(6000):
        if not is_running(pid):
            return True
        time.sleep(0.005)
    return False


@pytest.fixture(params=["cede", "asyncio"])
def program(request: pytest.FixtureRequest, tmp_path: Path):
    """program(text) starts a script; it is killed after the test if it has to be."""
    started: list[subprocess.Popen[str]] = []

    def start(text: str) -> subprocess.Popen[str]:
        script = tmp_path / "script.py"
        script.write_text(HEAD + textwrap.dedent(text))
        process = subprocess.Popen(
            [sys.executable, str(script), request.param, str(tmp_path / "begun")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended, as it should have
        process.communicate()


def wait_for(path: Path) -> int:
    for _ in range(6000):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.005)
    raise AssertionError("the work did not begin")


SPINNING = """
async def main():
    await cede.to_process(spin, sys.argv[2])

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=lambda: make(sys.argv[1])) as runner:
        runner.run(main())
"""


def test_a_program_that_is_killed_takes_its_busy_worker_along(program, tmp_path: Path) -> None:
    """The worker runs Python code without a pause, and is not asked."""
    process = program(SPINNING)
    pid = wait_for(tmp_path / "begun")
    process.kill()
    process.wait()
    assert gone(pid)


def test_a_program_that_is_killed_takes_along_what_its_workers_have_started(program, tmp_path: Path) -> None:
    """A process that was forked off, and one that runs a program of its own."""
    process = program(
        f"""
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.support import offloaded

        async def main():
            await cede.to_process(offloaded.start_helpers_and_wait, sys.argv[2])

        if __name__ == "__main__":
            with asyncio.Runner(loop_factory=lambda: make(sys.argv[1])) as runner:
                runner.run(main())
        """
    )
    begun = tmp_path / "begun"
    for _ in range(6000):
        if begun.exists():
            break
        time.sleep(0.005)
    pids = [int(each) for each in begun.read_text().split()]
    assert len(pids) == 3
    process.kill()
    process.wait()
    assert [pid for pid in pids if not gone(pid)] == []


def test_ctrl_c_stops_the_work_and_is_told_once(program, tmp_path: Path) -> None:
    process = program(SPINNING)
    pid = wait_for(tmp_path / "begun")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert stderr.splitlines().count("KeyboardInterrupt") == 1
    assert "offload/worker.py" not in stderr
    assert gone(pid)


def test_a_worker_does_not_hear_the_terminal(program, tmp_path: Path) -> None:
    process = program(SPINNING)
    pid = wait_for(tmp_path / "begun")
    assert os.getpgid(pid) == pid != os.getpgid(process.pid)


def test_a_loop_that_is_never_closed(program) -> None:
    process = program(
        """
        if __name__ == "__main__":
            loop = make(sys.argv[1])
            print(loop.run_until_complete(cede.to_process(own_pid)), flush=True)
            sys.stdout.flush()
            del loop
        """
    )
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert gone(int(stdout))


def test_a_main_module_without_a_guard_is_told(program) -> None:
    process = program(
        """
        async def main():
            try:
                await cede.to_process(own_pid)
            except RuntimeError as error:
                print(error, "|", type(error.__cause__).__name__)
                print(str(error.__cause__) + str(error.__cause__.__cause__))
                raise SystemExit(3)

        asyncio.run(main())
        """
    )
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    assert "the main module of the program cannot be imported there" in stdout
    assert "if __name__ == '__main__':" in stdout


def test_a_forked_child_leaves_the_workers_alone(program) -> None:
    process = program(
        """
        import warnings

        async def main():
            pid = await cede.to_process(own_pid)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            if sys.argv[1] == "cede":  # asyncio's own loop cannot be left in a child
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    child = os.fork()
                if child == 0:
                    sys.exit(0)  # with all that an interpreter does at its end
                os.waitpid(child, 0)
            print(pid == await cede.to_process(own_pid))

        if __name__ == "__main__":
            with asyncio.Runner(loop_factory=lambda: make(sys.argv[1])) as runner:
                runner.run(main())
        """
    )
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (0, "True\n"), stderr


def test_what_a_worker_prints_is_seen(program) -> None:
    process = program(
        """
        async def main():
            await cede.to_process(print, "from the worker")
            print("from the program", flush=True)

        if __name__ == "__main__":
            with asyncio.Runner(loop_factory=lambda: make(sys.argv[1])) as runner:
                runner.run(main())
        """
    )
    stdout, _ = process.communicate(timeout=60)
    assert stdout == "from the worker\nfrom the program\n"
