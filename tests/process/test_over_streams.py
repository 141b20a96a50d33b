"""Child processes through asyncio's own functions, whose streams are on the loop's pipes and watch its children."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


def test_communicate(run: Run) -> None:
    code = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); sys.stderr.write('said'); sys.exit(7)"

    async def main() -> None:
        for size in (0, 1, 65_537, 1_000_000):
            data = os.urandom(size)
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=-1, stdout=-1, stderr=-1)
            out, err = await process.communicate(data)
            assert (out, err, process.returncode) == (data[::-1], b"said", 7)

    run(main)


def test_shell(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_shell("echo $((20 + 22)); exit 3", stdout=-1)
        out, _ = await process.communicate()
        assert (out, process.returncode) == (b"42\n", 3)

    run(main)


def test_kill_and_wait(run: Run) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
        process.terminate()
        assert await process.wait() == -15
        with contextlib.suppress(ProcessLookupError):  # older Pythons say so
            process.kill()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
        process.kill()
        assert await process.wait() == -9

    run(main)


def test_many_children_at_once(run: Run) -> None:
    async def child(number: int) -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {number}")
        return await process.wait()

    async def main() -> list[int]:
        return await asyncio.gather(*(child(number) for number in range(30)))

    assert run(main) == list(range(30))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
def test_programs_that_do_not_exist_leave_no_descriptor(run: Run) -> None:
    async def main() -> None:
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            with pytest.raises(FileNotFoundError):
                await asyncio.create_subprocess_exec("/no/such/program", stdin=-1, stdout=-1)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before

    run(main)


def test_a_loop_in_a_thread_has_children_too(loop_factory: Any) -> None:
    """cpython 125502: communicate cancelled, SIGCHLD ignored, a loop in a thread."""
    import threading

    results: list[int] = []

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        results.append(await process.wait())

    def elsewhere() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert results == [5]


def test_a_child_that_somebody_else_collected(run: Run, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["loop_factory"] == "asyncio":
        pytest.skip("tells it in its own words")

    async def main() -> None:
        ear, mouth = os.pipe()
        process = await asyncio.create_subprocess_exec("sh", "-c", "read line; exit 5", stdin=ear)
        os.close(ear)
        os.close(mouth)
        os.waitpid(process.pid, 0)
        with pytest.warns(RuntimeWarning, match="status already read"):
            assert await process.wait() == 255

    run(main)


def test_subprocess_bad_arguments(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for call in (
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", shell=True),  # type: ignore[arg-type]
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", text=True),  # type: ignore[arg-type]
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", encoding="utf-8"),  # type: ignore[arg-type]
            lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "true", bufsize=1),  # type: ignore[arg-type]
            lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, ["true"]),  # type: ignore[arg-type]
            lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, "true", shell=False),  # type: ignore[arg-type]
            lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, "true", universal_newlines=True),  # type: ignore[arg-type]
        ):
            with pytest.raises(ValueError, match="must be"):
                await call()

    run(main)
