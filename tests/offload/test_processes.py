"""Work in processes: results, errors, deaths, cancellation, limits, and what is left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.offload.errors import pack_error, unpack_error
from cede.offload.process import _ours
from tests.support import offloaded
from tests.support.processes import is_running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")


async def appears(path: Path) -> str:
    """What stands in a file that somebody is about to write."""
    async with asyncio.timeout(30):
        while not path.exists() or not path.read_text():
            await asyncio.sleep(0.005)
    return path.read_text()


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(30):
        while is_running(pid):
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def no_process_or_descriptor_is_left() -> Any:
    gc.collect()
    before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    yield
    assert not list(_ours), "the test left a worker"
    if before:
        assert len(os.listdir("/proc/self/fd")) == len(before), "the test left a descriptor open"


def test_a_result_and_the_same_process_again(run) -> None:
    async def main() -> None:
        assert await cede.to_process(offloaded.add, 1, other=2) == 3
        pids = {await cede.to_process(offloaded.own_pid) for _ in range(5)}
        assert len(pids) == 1
        assert os.getpid() not in pids

    run(main)


@pytest.mark.parametrize("size", [0, 1, 65_520, 65_536, 3_000_001])
def test_results_of_every_size(run, size: int) -> None:
    async def main() -> None:
        async with cede.ProcessPool(1) as pool:
            data = bytes(size)
            assert await pool.run(offloaded.add, data, b"!") == data + b"!"

    run(main)


def test_an_error_says_where_it_was_raised(run) -> None:
    async def main() -> None:
        with pytest.raises(LookupError, match="no luck") as caught:
            await cede.to_process(offloaded.fail, "no luck")
        assert caught.value.__notes__ == ["a note"]
        cause = caught.value.__cause__
        assert isinstance(cause, cede.RemoteTraceback)
        assert "in deeper" in str(cause)
        assert "worker.py" not in str(cause)
        assert await cede.to_process(offloaded.add, 1) == 1

    run(main)


def test_what_cannot_travel_is_said_and_leaves_the_worker_in_use(run) -> None:
    async def main() -> None:
        async with cede.ProcessPool(1) as pool:
            pid = await pool.run(offloaded.own_pid)
            with pytest.raises(cede.Unpicklable, match=r"the function .*lambda.* cannot be pickled: it has to be found by its name"):
                await pool.run(lambda: None)
            with pytest.raises(cede.Unpicklable, match="an argument of add cannot be pickled"):
                await pool.run(offloaded.add, threading.Lock())
            with pytest.raises(cede.Unpicklable, match="give_function returned a function, which cannot be pickled"):
                await pool.run(offloaded.give_function)
            with pytest.raises(cede.Unpicklable, match=r"picky text.*the error itself cannot be pickled") as caught:
                await pool.run(offloaded.fail_pickily)
            assert "fail_pickily" in str(caught.value.__cause__)
            with pytest.raises(cede.Unpicklable, match=r"add, or an argument of it, cannot be unpickled.*no such thing") as there:
                await pool.run(offloaded.add, offloaded.Unloadable())
            assert isinstance(there.value.__cause__, LookupError)
            with pytest.raises(cede.Unpicklable, match=r"give_what_stays_there returned cannot be unpickled here.*not to be") as here:
                await pool.run(offloaded.give_what_stays_there)
            assert isinstance(here.value.__cause__, LookupError)
            with pytest.raises(cede.Unpicklable, match=r"picky there \(the error itself cannot be unpickled here.*not to be had"):
                await pool.run(offloaded.fail_with_what_stays_there)
            assert await pool.run(offloaded.own_pid) == pid

    run(main)


def test_of_a_group_only_the_members_that_cannot_travel_are_replaced(run) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup, match="several") as caught:
            await cede.to_process(offloaded.fail_in_a_group)
        assert type(caught.value) is ExceptionGroup
        assert caught.value.__notes__ == ["a note"]
        assert "fail_in_a_group" in str(caught.value.__cause__)
        plain, picky, inner = caught.value.exceptions
        assert type(plain) is KeyError
        assert plain.args == ("plain",)
        assert "fail_in_a_group" in str(plain.__cause__)
        assert type(picky) is cede.Unpicklable
        assert "Picky: picky text (the error itself cannot be pickled" in str(picky)
        assert isinstance(inner, ExceptionGroup)
        assert inner.message == "inner"
        assert [type(error) for error in inner.exceptions] == [cede.Unpicklable, OSError]
        assert inner.exceptions[1].args == (5, "deeper")

    run(main)


def test_a_group_that_is_no_good_travels_as_text() -> None:
    """As deep as it gets, or with a message that cannot be read: nothing but the text is left of it."""

    class Wrong(ExceptionGroup):
        @property
        def message(self) -> str:
            raise LookupError("no message")

    deep: Exception = offloaded.Picky(1, 2)
    for _ in range(500):
        deep = ExceptionGroup("deep", [deep])
    for error in (deep, Wrong("wrong", [offloaded.Picky(1, 2)])):
        arrived = unpack_error(pack_error(error))
        while isinstance(arrived, ExceptionGroup):
            arrived = arrived.exceptions[0]
        assert type(arrived) is cede.Unpicklable


@pytest.mark.parametrize(
    ("how", "exitcode", "told"),
    [
        ("exit", 4, "ended with exit status 4"),
        ("_exit", 5, "ended with exit status 5"),
        ("SIGKILL", -9, "was killed by SIGKILL"),
        ("SIGSEGV", -11, "was killed by SIGSEGV"),
    ],
)
def test_a_worker_that_dies_is_told_and_replaced(run, how: str, exitcode: int, told: str) -> None:
    async def main() -> None:
        async with cede.ProcessPool(1) as pool:
            pid = await pool.run(offloaded.own_pid)
            with pytest.raises(cede.WorkerDied, match=f"worker process {pid} {told} before end was done") as caught:
                await pool.run(offloaded.end, how)
            assert (caught.value.pid, caught.value.exitcode) == (pid, exitcode)
            assert await pool.run(offloaded.own_pid) != pid

    run(main)


@pytest.mark.parametrize("watched", ["pidfd", "looked at"])
def test_a_death_is_seen_though_a_forked_child_holds_the_socket(run, tmp_path: Path, watched: str, monkeypatch: Any) -> None:
    """The end of the stream does not come then. The child goes too."""
    if watched == "looked at":
        monkeypatch.setattr("cede.offload.process._open_pidfd", None)

    async def main() -> None:
        async with cede.ProcessPool(1) as pool:
            pid = await pool.run(offloaded.own_pid)
            path = tmp_path / "child"
            with pytest.raises(cede.WorkerDied, match="was killed by SIGKILL"):
                async with asyncio.timeout(60):
                    await pool.run(offloaded.die_with_a_forked_child, str(path))
            await until_gone(int(path.read_text()))
            assert await pool.run(offloaded.own_pid) != pid

    run(main)


def test_killed_from_outside_in_the_middle(run, tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"

    async def main() -> None:
        async with cede.ProcessPool(2) as pool:
            other = asyncio.create_task(pool.run(offloaded.note_and_wait, str(tmp_path / "a"), str(tmp_path / "b"), 0.3))
            task = asyncio.create_task(pool.run(offloaded.note_and_wait, str(begun), str(done)))
            os.kill(int(await appears(begun)), signal.SIGKILL)
            with pytest.raises(cede.WorkerDied):
                await task
            await other
        assert (tmp_path / "b").exists()
        assert not done.exists()

    run(main)


def test_an_idle_worker_that_was_killed_is_not_used(run) -> None:
    async def main() -> None:
        async with cede.ProcessPool(1) as pool:
            pid = await pool.run(offloaded.own_pid)
            os.kill(pid, signal.SIGKILL)
            await until_gone(pid)
            assert await pool.run(offloaded.own_pid) != pid

    run(main)


def test_cancelled_the_work_stops(run, tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"

    async def main() -> None:
        async with cede.ProcessPool(1) as pool:
            task = asyncio.create_task(pool.run(offloaded.note_and_wait, str(begun), str(done)))
            pid = int(await appears(begun))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not is_running(pid)  # at once: who is told that it is over finds it so
            assert await pool.run(offloaded.own_pid) != pid
            assert (pool.statistics().cancelled, pool.statistics().done) == (1, 1)
        assert not done.exists()

    run(main)


def test_cancelled_what_it_started_stops_too(run, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    async def main() -> None:
        task = asyncio.create_task(cede.to_process(offloaded.start_helper_and_wait, str(begun)))
        pid, helper = map(int, (await appears(begun)).split())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until_gone(pid)
        await until_gone(helper)

    run(main)


def test_a_scope_that_times_out_stops_the_work(run, tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"

    async def main() -> None:
        async with cede.ProcessPool(1) as pool:
            await pool.run(offloaded.add, 1)
            with cede.CancelScope() as scope:
                asyncio.get_running_loop().create_task(cancel_when_begun(scope))
                await pool.run(offloaded.note_and_wait, str(begun), str(done))
            assert scope.cancelled_caught
            assert not is_running(int(begun.read_text()))
            assert await pool.run(offloaded.add, 2) == 2

    async def cancel_when_begun(scope: Any) -> None:
        await appears(begun)
        scope.cancel()

    run(main)


def test_one_failure_in_a_group_stops_the_others(run, tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"

    async def fail_when_begun() -> None:
        await appears(begun)
        await cede.to_process(offloaded.fail, "stop")

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with cede.TaskGroup() as group:
                group.create_task(cede.to_process(offloaded.note_and_wait, str(begun), str(done)))
                group.create_task(fail_when_begun())
        assert [type(error) for error in caught.value.exceptions] == [LookupError]
        assert not is_running(int(begun.read_text()))

    run(main)


def test_map(run) -> None:
    async def main() -> None:
        async with cede.ProcessPool(2, name="adding") as pool:
            found = [each async for each in cede.map(functools.partial(pool.run, offloaded.add, 100), range(20), limit=4)]
            assert found == list(range(100, 120))
        assert [each async for each in cede.map(functools.partial(cede.to_process, offloaded.add), range(5))] == list(range(5))

    run(main)


def test_limit_counts_the_calls_of_one_function_until_their_work_stopped(run, tmp_path: Path) -> None:
    folder = tmp_path / "marks"
    folder.mkdir()

    async def main() -> None:
        async with asyncio.timeout(60):
            calls = [asyncio.create_task(cede.to_process(offloaded.count_up, str(folder), 0.02, limit=1)) for _ in range(6)]
            calls[2].cancel()
            found = await asyncio.gather(*calls, return_exceptions=True)
        assert found[:2] + found[3:] == [1] * 5
        assert isinstance(found[2], asyncio.CancelledError)

    run(main)


def test_limit_by_a_semaphore(run) -> None:
    async def main() -> None:
        semaphore = cede.Semaphore(1)
        assert await asyncio.gather(*[cede.to_process(offloaded.add, each, limit=semaphore) for each in range(4)]) == list(range(4))
        with pytest.raises(LookupError):
            await cede.to_process(offloaded.fail, "x", limit=semaphore)
        assert not semaphore.locked()

    run(main)


def test_closed_it_takes_no_more_and_waits_for_what_is_under_way(run, tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"

    async def main() -> None:
        pool = cede.ProcessPool(1)
        task = asyncio.create_task(pool.run(offloaded.note_and_wait, str(begun), str(done), 0.2))
        waiting = asyncio.create_task(pool.run(offloaded.add, 1))
        await appears(begun)
        await pool.aclose()
        assert done.exists()
        await task
        with pytest.raises(RuntimeError, match="was closed while the call waited"):
            await waiting
        with pytest.raises(RuntimeError, match="is closed"):
            await pool.run(offloaded.add, 1)
        await pool.aclose()

    run(main)


def test_the_end_of_a_pool_can_be_cancelled(run, tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"

    async def main() -> None:
        pool = cede.ProcessPool(1)
        task = asyncio.create_task(pool.run(offloaded.note_and_wait, str(begun), str(done)))
        pid = int(await appears(begun))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pool.aclose()
        with pytest.raises(cede.WorkerDied):
            await task
        assert not is_running(pid)

    run(main)


def test_the_end_of_the_loop_stops_work_nobody_waits_for(run, tmp_path: Path) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"

    async def main() -> int:
        asyncio.get_running_loop().create_task(cede.to_process(offloaded.note_and_wait, str(begun), str(done)))
        return int(await appears(begun))

    assert not is_running(run(main))


def test_a_loop_that_is_only_closed_and_dropped(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = loop_factory()
    pid = loop.run_until_complete(cede.to_process(offloaded.own_pid))
    assert is_running(pid)
    loop.close()
    del loop
    gc.collect()
    assert not is_running(pid)


def test_a_pool_that_is_dropped_takes_its_processes_along(run) -> None:
    async def main() -> None:
        pid = await cede.ProcessPool(1).run(offloaded.own_pid)
        gc.collect()
        assert not is_running(pid)

    run(main)


def test_no_standard_input(run) -> None:
    async def main() -> None:
        assert await cede.to_process(offloaded.read_stdin) == b""

    run(main)


def test_bad_arguments(run) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="limit must be a whole number, or an async context manager"):
            await cede.to_process(offloaded.add, 1, limit="2")
        with pytest.raises(ValueError, match="limit must be at least 1"):
            await cede.to_process(offloaded.add, 1, limit=0)
        with pytest.raises(ValueError, match="size must be at least 1"):
            cede.ProcessPool(0)
        with pytest.raises(TypeError, match="queue must be a whole number"):
            cede.ProcessPool(1, queue=1.5)  # type: ignore[arg-type]

    run(main)


def test_another_loop(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    pool = cede.ProcessPool(1)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(pool.run(offloaded.add, 1))
        with asyncio.Runner(loop_factory=loop_factory) as other:
            with pytest.raises(RuntimeError, match="used by another event loop"):
                other.run(pool.run(offloaded.add, 1))


def test_many_calls_with_cancellations_leave_every_place_free(run, rng) -> None:
    async def main() -> None:
        async with cede.ProcessPool(2) as pool:
            tasks = [asyncio.create_task(pool.run(time.sleep, rng.choice((0, 0.01)))) for _ in range(40)]
            for task in rng.sample(tasks, 10):
                await asyncio.sleep(rng.choice((0, 0.02)))
                task.cancel()
            await asyncio.wait(tasks)
            told = pool.statistics()
            assert (told.busy, told.queued, told.failed) == (0, 0, 0)
            assert told.done + told.cancelled == 40
            assert await asyncio.gather(pool.run(offloaded.add, 1), pool.run(offloaded.add, 2)) == [1, 2]

    run(main)


def test_what_never_got_a_place_is_refused_and_has_not_failed(run) -> None:
    async def main() -> None:
        pool = cede.ProcessPool(1, queue=1)
        works = asyncio.create_task(pool.run(time.sleep, 0.2))
        await asyncio.sleep(0)
        waits = asyncio.create_task(pool.run(offloaded.own_pid))
        await asyncio.sleep(0)
        with pytest.raises(cede.PoolFull):
            await pool.run(offloaded.own_pid)
        await pool.aclose()
        with pytest.raises(RuntimeError, match="was closed while the call waited"):
            await waits
        with pytest.raises(RuntimeError, match="is closed"):
            await pool.run(offloaded.own_pid)
        await works
        told = pool.statistics()
        assert (told.done, told.failed, told.cancelled, told.refused) == (1, 0, 0, 3)

    run(main)
