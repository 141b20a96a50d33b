"""Work on real worker processes, some of which are killed. The scheduler and the client run on cede's loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede

pytest.importorskip("distributed", reason="distributed is not installed: `make test-cluster` brings it")

from cede.offload.errors import RemoteTraceback, Unpicklable, WorkerDied
from tests.cluster import jobs

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default::ResourceWarning", "default::DeprecationWarning")]
PATIENCE = 30.0


@pytest.fixture(scope="module", autouse=True)
def offloading() -> None:
    """distributed keeps one thread for the process, from its first use on."""
    from distributed.utils import _offload_executor

    _offload_executor.submit(int).result()


def children() -> set[int]:
    """The processes that are ours, or were made by ours. multiprocessing's own helpers live as long as we do."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes()
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"resource_tracker" not in command and b"forkserver" not in command:
                found.add(int(entry.name))
    return found


def on_cluster(main: Callable[[Any], Any], **options: Any) -> Any:
    """Run `main(cluster)` on a local cluster of two workers, after which no process is left."""

    async def whole() -> Any:
        async with asyncio.timeout(PATIENCE * 2), cede.cluster(**{"workers": 2, "threads": 2, **options}) as cluster:
            return await main(cluster)

    before = children()
    try:
        return cede.run(whole())
    finally:
        assert children() <= before


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def lines(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


def test_a_group_of_both_kinds() -> None:
    async def main(cluster: Any) -> None:
        async with cluster.TaskGroup() as group:
            doubled = [group.create_task(jobs.double, number) for number in range(10)]
            tripled = [group.create_task(jobs.triple, number=number) for number in range(10)]
        assert [task.result() for task in doubled] == [2 * number for number in range(10)]
        assert [task.result() for task in tripled] == [3 * number for number in range(10)]
        pid, thread = await cluster.run(jobs.where)
        assert pid != os.getpid()
        running, loops_thread = await cluster.run(jobs.on_the_loop)
        assert running
        assert loops_thread != thread
        factor = 7
        assert await cluster.run(lambda number: number * factor, 6) == 42
        assert await cluster.run(lambda number: jobs.double(number), 6) == 12  # a plain function that returns a coroutine
        assert len(await cluster.workers()) == 2

    on_cluster(main)


def test_as_completed_and_the_verb() -> None:
    async def main(cluster: Any) -> None:
        calls = [cede.to_cluster(jobs.double, number, limit=2) for number in range(6)]
        assert sorted([await each for each in cluster.as_completed(calls)]) == [0, 2, 4, 6, 8, 10]
        async with cede.TaskGroup() as group:
            tasks = [group.create_task(cede.to_cluster(jobs.triple, number, limit=asyncio.Semaphore(1))) for number in range(3)]
        assert [task.result() for task in tasks] == [0, 3, 6]
        with pytest.raises(ValueError, match="limit must be at least 1"):
            await cede.to_cluster(jobs.double, 1, limit=0)

    on_cluster(main)


def test_a_map_takes_no_more_than_its_limit() -> None:
    async def main(cluster: Any) -> None:
        taken = read = ahead = 0

        async def source() -> Any:
            nonlocal taken
            for number in range(200):
                taken += 1
                yield number

        async for result in cluster.map(jobs.double, source(), limit=7):
            ahead = max(ahead, taken - read)
            assert result == 2 * read
            read += 1
        assert read == taken == 200
        assert 2 <= ahead <= 8  # seven, and the one that is being read
        as_they_come = [result async for result in cluster.map(jobs.triple, range(50), limit=5, ordered=False)]
        assert sorted(as_they_come) == [3 * number for number in range(50)]
        assert not cluster.deaths

    on_cluster(main)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_worker_is_killed_half_way_through_a_map(tmp_path: Path, retries: int) -> None:
    """Nothing is lost; nothing is begun twice but what the dead worker had begun, and that only where it may be."""
    journal = tmp_path / "journal"
    count = 60

    async def main(cluster: Any) -> None:
        async def one(number: int) -> Any:
            try:
                return await cluster.run(jobs.journaled, number, str(journal), 30, retries=retries)
            except WorkerDied as error:
                return error

        results = [result async for result in cede.map(one, range(count), limit=8)]
        died = {number for number, result in enumerate(results) if isinstance(result, WorkerDied)}
        assert [result for result in results if not isinstance(result, WorkerDied)] == [n for n in range(count) if n not in died]
        begun = Counter(int(line.split()[1]) for line in lines(journal) if line.startswith("begin"))
        # A worker that dies between the lease and the first line has done nothing, and nobody can know: such a job is told as died.
        assert set(range(count)) - set(begun) <= died
        killed = next(line.split()[2] for line in lines(journal) if line.startswith("begin 30 "))
        if retries:
            assert not died
            assert begun[30] == 2
            assert max(begun.values()) == 2
            begun_there = {int(line.split()[1]) for line in lines(journal) if line.startswith("begin") and line.split()[2] == killed}
            assert {number for number, times in begun.items() if times == 2} <= begun_there
        else:
            assert 30 in died
            assert {str(results[number].pid) for number in died} == {killed}
            assert set(begun.values()) == {1}
            error = results[30]
            assert isinstance(error, cede.ClusterWorkerDied)
            assert error.worker.startswith("tcp://127.0.0.1:")
            assert str(error.pid) == killed
            assert error.worker in str(error)

    on_cluster(main)


def test_the_only_worker_dies_and_a_new_one_goes_on() -> None:
    async def main(cluster: Any) -> None:
        with pytest.raises(cede.ClusterWorkerDied):
            await cluster.run(jobs.kill_worker)
        assert await cluster.run(jobs.triple, 5) == 15
        with pytest.raises(cede.ClusterWorkerDied):
            await cluster.run(jobs.kill_worker, retries=1)

    on_cluster(main, workers=1, threads=1)


def test_cancel_reaches_a_coroutine_and_waits_for_its_end(tmp_path: Path) -> None:
    journal = tmp_path / "journal"

    async def main(cluster: Any) -> None:
        task = asyncio.ensure_future(cluster.run(jobs.wait_for_ever, str(journal)))
        await until(lambda: lines(journal) == ["begun"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lines(journal) == ["begun", "cancelled", "cleaned up"]
        with cede.move_on_after(0.05) as scope:  # by level: the scope asks again and again
            await cluster.run(jobs.wait_for_ever, str(journal))
        assert scope.cancelled_caught
        seen = lines(journal)[3:]
        assert seen in ([], ["begun", "cancelled", "cleaned up"])

    on_cluster(main)


def test_a_failure_cancels_the_others_on_their_workers(tmp_path: Path) -> None:
    journal = tmp_path / "journal"

    async def main(cluster: Any) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with cluster.TaskGroup() as group:
                group.create_task(jobs.wait_for_ever, str(journal))
                await until(lambda: lines(journal) == ["begun"])
                group.create_task(jobs.fail, 1)
                group.create_task(jobs.fail_on_loop, 2)
        assert lines(journal) == ["begun", "cancelled", "cleaned up"]
        assert 1 <= len(caught.value.exceptions) <= 2
        for error in caught.value.exceptions:
            assert isinstance(error, (LookupError, ArithmeticError))
            assert isinstance(error.__cause__, RemoteTraceback)
            assert "jobs.py" in str(error.__cause__)

    on_cluster(main)


def test_all_remote_errors_are_gathered() -> None:
    async def main(cluster: Any) -> None:
        gathered = await cede.gather(*(cluster.run(jobs.fail, number) for number in range(5)), return_exceptions=True)
        assert [(type(error), str(error)) for error in gathered] == [(LookupError, f"job {number}") for number in range(5)]

    on_cluster(main)


def test_a_cancelled_thread_runs_to_its_end_and_the_wait_stops(tmp_path: Path) -> None:
    journal, stop = tmp_path / "journal", tmp_path / "stop"

    async def main(cluster: Any) -> None:
        task = asyncio.ensure_future(cluster.run(jobs.block_until, str(journal), str(stop)))
        await until(lambda: lines(journal) == ["begun"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lines(journal) == ["begun"]
        stop.touch()
        await until(lambda: lines(journal) == ["begun", "ended"])

    on_cluster(main)


def test_what_was_cancelled_before_it_began_never_begins(tmp_path: Path) -> None:
    journal, stop, unborn = tmp_path / "journal", tmp_path / "stop", tmp_path / "unborn"

    async def main(cluster: Any) -> None:
        blocker = asyncio.ensure_future(cluster.run(jobs.block_until, str(journal), str(stop)))
        await until(lambda: lines(journal) == ["begun"])
        waiting = [asyncio.ensure_future(cluster.run(jobs.journaled, number, str(unborn), -1)) for number in range(20)]
        await asyncio.sleep(0)  # sent to the scheduler, which has not got them yet
        for task in waiting[:10]:
            task.cancel()
        await asyncio.sleep(0.2)
        for task in waiting:
            task.cancel()
        done = await cede.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in done)
        stop.touch()
        await blocker
        assert await cluster.run(jobs.triple, 1) == 3  # the worker's only thread has come past where they would have run
        assert lines(unborn) == []

    on_cluster(main, workers=1, threads=1)


def test_context_variables_travel_where_they_can() -> None:
    async def main(cluster: Any) -> None:
        jobs.tenant.set("ann")
        jobs.handle.set(threading.Lock())
        assert await cluster.run(jobs.tenant_here) == "ann"
        assert await cluster.run(jobs.tenant_on_loop) == "ann"
        assert await cluster.run(jobs.handle_here) is None

    on_cluster(main)


def test_what_cannot_travel_is_told() -> None:
    async def main(cluster: Any) -> None:
        with pytest.raises(Unpicklable, match="cannot travel"):
            await cluster.run(jobs.triple, threading.Lock())
        with pytest.raises(Unpicklable, match=r"result.*cannot travel"):
            await cluster.run(threading.Lock)
        with pytest.raises(TypeError, match="a coroutine cannot travel"):
            await cluster.run(jobs.double(1))
        async with cluster.TaskGroup() as group:
            with pytest.raises(TypeError, match="give the coroutine function"):
                group.create_task(jobs.double(1))
        with pytest.raises(ValueError, match="retries must be 0 or more"):
            await cluster.run(jobs.triple, 1, retries=-1)

    on_cluster(main)


def test_a_second_client_by_address_and_a_scheduler_that_goes() -> None:
    async def main() -> None:
        async with cede.cluster(workers=1, threads=1) as local:
            async with cede.cluster(local.local.scheduler_address, timeout=5) as remote:
                assert await remote.run(jobs.double, 21) == 42
                assert await cede.to_cluster(jobs.double, 1) == 2
                lost = asyncio.ensure_future(remote.run(jobs.wait_for_ever, os.devnull))
                await until(lambda: len(remote.deaths) == 1)
                await local.local.scheduler.close()
                with pytest.raises((cede.ClusterLost, cede.ClusterWorkerDied)):
                    async with asyncio.timeout(PATIENCE):
                        await lost

    before = children()
    cede.run(main())
    assert children() <= before


def test_an_address_of_nobody_fails_in_time() -> None:
    async def main(address: str) -> None:
        began = time.monotonic()
        with pytest.raises(ConnectionError, match="no Dask scheduler could be reached at"):
            async with cede.cluster(address, timeout=0.5):
                raise AssertionError
        assert time.monotonic() - began < PATIENCE

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        cede.run(main(f"tcp://127.0.0.1:{mute.getsockname()[1]}"))  # refused
        mute.listen()
        cede.run(main(f"tcp://127.0.0.1:{mute.getsockname()[1]}"))  # accepted, and then nothing


def test_outside_of_a_block() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="needs a cluster"):
            await cede.to_cluster(jobs.triple, 1)
        with pytest.raises(RuntimeError, match="is not open"):
            await cede.cluster().run(jobs.triple, 1)

    cede.run(main())
    with pytest.raises(TypeError, match="address must be a string"):
        cede.cluster(8786)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="local cluster"):
        cede.cluster("tcp://127.0.0.1:1", workers=2)


@pytest.mark.parametrize("how", ["error", "cancel"])
def test_the_processes_end_with_the_block_however_it_is_left(how: str) -> None:
    async def main(cluster: Any) -> None:
        if how == "error":
            raise LookupError("left")
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(PATIENCE)

    with pytest.raises(LookupError if how == "error" else asyncio.CancelledError):
        on_cluster(main)


def test_cancelled_while_it_starts() -> None:
    async def main() -> None:
        async def enter() -> None:
            async with cede.cluster(workers=2, threads=1):
                raise AssertionError

        task = asyncio.ensure_future(enter())
        before = children()
        await until(lambda: len(children()) > len(before))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = children()
    cede.run(main())
    assert children() <= before


def test_ctrl_c_ends_a_program_and_its_workers() -> None:
    script = """
import asyncio, cede, os
async def main():
    async with cede.cluster(workers=2, threads=1) as c:
        print(*[await c.run(os.getpid) for _ in range(1)], *[w.pid for w in c.local.workers.values()], flush=True)
        await c.run(asyncio.sleep, 1000)
if __name__ == "__main__":
    cede.run(main())
"""
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"cede-ctrl-c-{os.getpid()}.py"
    path.write_text(script)
    try:
        with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            pids = [int(word) for word in program.stdout.readline().split()]
            assert pids
            program.send_signal(signal.SIGINT)
            _, errors = program.communicate(timeout=PATIENCE)
            assert "KeyboardInterrupt" in errors
        for pid in pids:
            assert not os.path.exists(f"/proc/{pid}")
    finally:
        path.unlink()


def test_without_the_package() -> None:
    program = "import sys; sys.modules['distributed'] = None\nimport cede\ncede.cluster()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert "pip install 'cede[cluster]'" in done.stderr


def test_classes_of_the_main_file_arrive_as_themselves(tmp_path: Path) -> None:
    """As errors, and as members of a group."""
    script = tmp_path / "program.py"
    script.write_text(
        """
import cede

class Mine(Exception):
    def __init__(self, text, number):
        super().__init__(text, number)
        self.number = number

def fails():
    raise Mine("as raised", 7)

async def fails_together():
    raise ExceptionGroup("both", [Mine("one", 1), ValueError("two")])

async def main():
    async with cede.cluster(workers=1, threads=1) as cluster:
        try:
            await cluster.run(fails)
        except Mine as error:
            print(error.args, error.number, type(error.__cause__).__name__)
        try:
            await cluster.run(fails_together)
        except* Mine as group:
            print([error.number for error in group.exceptions])
        except* ValueError:
            print("ValueError")
        try:
            async with cluster.TaskGroup() as group:
                group.create_task(fails)
        except* Mine:
            print("in a group")

if __name__ == "__main__":
    cede.run(main())
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "('as raised', 7) 7 RemoteTraceback\n[1]\nValueError\nin a group\n", done.stderr


def test_what_is_to_end_a_process_ends_neither_side() -> None:
    async def main(cluster: Any) -> None:
        before = {await cluster.run(os.getpid)}
        for function, argument, status in (
            (jobs.leave, 3, 3),
            (jobs.leave, None, 0),
            (jobs.leave, "why", 1),
            (jobs.leave_on_loop, 4, 4),
            (jobs.be_interrupted, None, -signal.SIGINT),
        ):
            with pytest.raises(WorkerDied, match="was to end its worker") as caught:
                await cluster.run(function, *([] if function is jobs.be_interrupted else [argument]), retries=3)
            assert caught.value.exitcode == status
            assert caught.value.pid in before
        with pytest.raises(ExceptionGroup) as group_caught:
            async with cluster.TaskGroup() as group:
                group.create_task(jobs.leave_on_loop, 5)
        assert [type(error).__mro__[1] for error in group_caught.value.exceptions] == [WorkerDied]
        assert {await cluster.run(os.getpid)} == before

    on_cluster(main, workers=1)


def test_what_cannot_be_unpickled_is_told_by_its_name() -> None:
    async def main(cluster: Any) -> None:
        for function, arguments, told in (
            (jobs.triple, [jobs.Unloadable()], "the call cannot be unpickled on its worker.*not to be had"),
            (jobs.double, [jobs.Unloadable()], "the call cannot be unpickled on its worker.*not to be had"),
            (jobs.give_what_stays_there, [], "the result cannot be unpickled here.*not to be had here"),
        ):
            with pytest.raises(Unpicklable, match=told) as caught:
                await cluster.run(function, *arguments)
            assert isinstance(caught.value.__cause__, LookupError)
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            await cluster.run(jobs.needs_two, 1)

    on_cluster(main, workers=1)


def test_a_worker_that_takes_its_time_to_stop_is_waited_for_and_one_that_is_silent_is_not(tmp_path: Path) -> None:
    slow, silent = tmp_path / "slow", tmp_path / "silent"

    async def main(cluster: Any) -> None:
        task = asyncio.create_task(cluster.run(jobs.own_pid_and_wait, str(slow), 1.5))
        await until(lambda: bool(lines(slow)))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert lines(slow)[1:] == ["cleaned up"]

        task = asyncio.create_task(cluster.run(jobs.own_pid_and_wait, str(silent), 0))
        await until(lambda: bool(lines(silent)))
        pid = int(lines(silent)[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            task.cancel()
            # Dask itself gives a silent worker up after 30 seconds. No timeout around `await task`: it would end as the task is to end.
            await asyncio.wait([task], timeout=PATIENCE / 2)
            assert task.cancelled()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await cluster.run(jobs.where)
            assert len(lines(silent)) == 1
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: lines(silent)[1:] == ["cleaned up"])  # it has been told all the same

    on_cluster(main, workers=1)


@pytest.mark.parametrize("kind", ["cluster", "client", "synchronous client", "address and security"])
def test_what_dask_has_made_is_taken_and_left_open(kind: str) -> None:
    from distributed import Client, LocalCluster, Security

    async def main() -> None:
        if kind == "synchronous client":
            theirs = await asyncio.to_thread(Client, n_workers=1, threads_per_worker=1, dashboard_address=":0")
            try:
                async with cede.cluster(theirs) as cluster:
                    assert await cluster.run(jobs.double, 2) == 4
                assert await asyncio.to_thread(lambda: theirs.submit(jobs.triple, 2).result()) == 6
            finally:
                await asyncio.to_thread(lambda: (theirs.cluster.close(), theirs.close()))
            return
        security = Security(require_encryption=False)
        async with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", asynchronous=True, security=security) as started:
            async with Client(started, asynchronous=True) as client:
                given = {"cluster": started, "client": client, "address and security": started.scheduler_address}[kind]
                options = {"security": security} if kind == "address and security" else {}
                async with cede.cluster(given, **options) as cluster:
                    assert await cluster.run(jobs.double, 2) == 4
                    assert cluster.client is not client
                assert await client.submit(jobs.triple, 2) == 6

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE * 2):
            await main()

    cede.run(bounded())


def test_arguments_that_do_not_fit_are_told() -> None:
    with pytest.raises(TypeError, match="address must be a string"):
        cede.cluster(3)
    with pytest.raises(ValueError, match="workers and threads are for a local cluster"):
        cede.cluster("tcp://127.0.0.1:1", workers=2)
    with pytest.raises(TypeError, match="asynchronous is cede's to say"):
        cede.cluster(asynchronous=False)
