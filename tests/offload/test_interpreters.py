"""Work in sub-interpreters: as in processes, in one process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cede
from cede.core.scheduler.kernel import COMPILED
from tests.support import offloaded

needs_interpreters = pytest.mark.skipif(sys.version_info < (3, 14), reason="interpreters for work need Python 3.14")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there are interpreters")
def test_a_clear_error_where_there_are_none(run) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"interpreters for work need Python 3\.14, and this is 3"):
            await cede.to_interpreter(int)

    run(main)


@needs_interpreters
def test_results_errors_and_what_cannot_travel(run) -> None:
    async def main() -> None:
        assert await cede.to_interpreter(offloaded.add, {"a": [1]}.get("a"), other=[2]) == [1, 2]
        assert await cede.to_interpreter(offloaded.own_pid) == await cede.to_thread(offloaded.own_pid)
        with pytest.raises(LookupError, match="no luck") as caught:
            await cede.to_interpreter(offloaded.fail, "no luck")
        assert "in deeper" in str(caught.value.__cause__)
        with pytest.raises(cede.Unpicklable, match="cannot be pickled: it has to be found by its name"):
            await cede.to_interpreter(lambda: None)
        with pytest.raises(cede.Unpicklable, match="give_function returned a function"):
            await cede.to_interpreter(offloaded.give_function)
        [told] = [each for each in cede.pools() if each.kind != "thread"]
        assert (told.kind, told.done, told.busy) == ("interpreter", 2, 0)

    run(main)


@needs_interpreters
def test_cancelled_it_works_on_and_keeps_its_place(run, tmp_path: Path) -> None:
    async def main() -> None:
        async with cede.InterpreterPool(1) as pool:
            begun, done = tmp_path / "begun", tmp_path / "done"
            task = asyncio.create_task(pool.run(offloaded.note_and_wait, str(begun), str(done), 0.3))
            async with asyncio.timeout(30):
                while not begun.exists():
                    await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert pool.statistics().busy == 1
            assert not done.exists()
            assert await pool.run(offloaded.add, 1) == 1
            assert done.exists()

    run(main)


@needs_interpreters
def test_closing_never_holds_the_loop(run, tmp_path: Path) -> None:
    """An interpreter ends when its threads have. The loop, meanwhile, does what it has to: here, end that thread."""
    begun = tmp_path / "begun"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with cede.InterpreterPool(1) as pool:
            await pool.run(offloaded.leave_a_thread_behind, str(begun))
            loop.call_later(0.05, begun.unlink)
        assert not begun.exists()
        pool = cede.InterpreterPool(1)
        await pool.run(offloaded.leave_a_thread_behind, str(begun))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.aclose()
        begun.unlink()

    run(main)


@needs_interpreters
def test_what_is_to_end_its_process_ends_its_interpreter(run) -> None:
    async def main() -> None:
        async with cede.InterpreterPool(1) as pool:
            for code, status in ((3, 3), (None, 0), ("why", 1)):
                with pytest.raises(cede.WorkerDied, match="leave was to end the worker it ran in") as caught:
                    await pool.run(offloaded.leave, code)
                assert (caught.value.pid, caught.value.exitcode) == (None, status)
            assert await pool.run(offloaded.add, 1) == 1
            with pytest.raises(cede.Unpicklable, match="cannot be unpickled by the worker"):
                await pool.run(offloaded.add, offloaded.Unloadable())

    run(main)


@needs_interpreters
def test_limit(run, tmp_path: Path) -> None:
    async def main() -> None:
        found = await asyncio.gather(*[cede.to_interpreter(offloaded.count_up, str(tmp_path), 0.02, limit=1) for _ in range(4)])
        assert found == [1] * 4
        assert await asyncio.gather(*[cede.to_interpreter(time.sleep, 0.001) for _ in range(20)]) == [None] * 20

    run(main)


@needs_interpreters
def test_none_is_left(run) -> None:
    from concurrent import interpreters

    async def main() -> None:
        await asyncio.gather(*[cede.to_interpreter(offloaded.add, each) for each in range(4)])

    before = len(interpreters.list_all())
    run(main)
    assert len(interpreters.list_all()) == before


@needs_interpreters
@pytest.mark.parametrize("own", [True, False])
def test_a_main_module_that_imports_cede(tmp_path: Path, own: bool) -> None:
    """Compiled, cede is not to be had in an interpreter: what stands elsewhere works all the same, the rest says why not."""
    (tmp_path / "elsewhere.py").write_text("def double(number):\n    return 2 * number\n")
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import cede, elsewhere

def double(number):
    return 2 * number

async def main():
    try:
        print(await cede.to_interpreter({"double" if own else "elsewhere.double"}, 21))
    except RuntimeError as error:
        print(error, error.__cause__)

if __name__ == "__main__":
    cede.run(main())
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    if own and COMPILED:
        assert "cannot be imported there" in done.stdout
        assert "compiled it runs in the main interpreter only" in done.stdout
    else:
        assert done.stdout == "42\n"
