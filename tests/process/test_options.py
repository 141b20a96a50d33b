"""Every option of Popen, with real children."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
Run = Callable[..., Any]
PIPE = subprocess.PIPE


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
