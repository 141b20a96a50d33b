"""Where Python puts every import off (3.15, ``-X lazy_imports=all``), cede's names are cede's all the same, and asyncio's are asyncio's."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.version_info < (3, 15), reason="lazy imports are new in 3.15")

PROGRAMS = {
    "names": """
        import asyncio, cede
        same = {*cede._stock.__all__, "BrokenBarrierError", "QueueEmpty", "QueueFull", "QueueShutDown", "ALL_COMPLETED", "FIRST_COMPLETED",
                "FIRST_EXCEPTION", "FrameCallGraphEntry", "FutureCallGraph"}
        wrong = [name for name in cede.__all__ if name not in same and getattr(cede, name) is getattr(asyncio, name, None)]
        assert not wrong, wrong
        for name in cede.__all__:
            found = getattr(cede, name)
            assert getattr(found, "__module__", "cede").startswith(("cede", "asyncio", "_asyncio", "builtins", "concurrent")), name
        assert cede.subprocess.Process is not asyncio.subprocess.Process
        try:
            cede.no_such_name
        except AttributeError:
            pass
        else:
            raise AssertionError
    """,
    "run": """
        import cede
        async def main():
            import asyncio
            return type(asyncio.get_running_loop())
        assert cede.run(main()) is cede.EventLoop
    """,
    "accelerate": """
        import asyncio, sys, cede
        cede.accelerate()
        async def main():
            queue = asyncio.Queue()
            assert type(queue) is cede.Queue
            await queue.put(1)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(queue.get())
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
            assert isinstance(process, cede.subprocess.Process)
            assert await process.wait() == 0
            return task.result(), type(asyncio.get_running_loop())
        assert asyncio.run(main()) == (1, cede.EventLoop)
    """,
    "offload": """
        import cede
        async def main():
            async with cede.ThreadPool(1) as pool:
                return await pool.run(len, "abc"), await cede.to_thread(len, "ab")
        assert cede.run(main()) == (3, 2)
    """,
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_program(name: str) -> None:
    command = [sys.executable, "-W", "ignore", "-X", "lazy_imports=all", "-c", textwrap.dedent(PROGRAMS[name])]
    quiet = {**os.environ, "CEDE_QUIET": "1"}  # about an uncompiled cede
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
