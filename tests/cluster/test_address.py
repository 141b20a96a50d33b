"""A cluster that somebody else has started, as ``dask scheduler`` and ``dask worker`` do: reached by its address, left running."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import cede

pytest.importorskip("distributed", reason="distributed is not installed: `make test-cluster` brings it")

from tests.cluster import jobs

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default::ResourceWarning", "default::DeprecationWarning")]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a scheduler with two workers, all processes of their own."""
    told = tmp_path / "scheduler.json"

    def start(name: str, program: str, *options: str) -> subprocess.Popen[bytes]:
        log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
        line = [sys.executable, "-m", f"distributed.cli.dask_{program}", "--host", "127.0.0.1", "--no-dashboard", *options]
        process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    with ExitStack() as stack:
        scheduler = start("scheduler", "scheduler", "--port", "0", "--scheduler-file", str(told))
        end = time.monotonic() + PATIENCE
        while not told.exists() or not told.read_text().endswith("}"):
            assert scheduler.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        where = json.loads(told.read_text())["address"]
        for name in ("one", "two"):
            start(name, "worker", where, "--no-nanny", "--nthreads", "2", "--local-directory", str(tmp_path / name), "--name", name)
        yield where


def test_a_scheduler_that_is_started_anew_at_its_address(tmp_path: Path) -> None:
    """What was under way is told as lost; what comes afterwards is done, by new workers, as often as that happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = f"tcp://127.0.0.1:{port}"
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, *options: str) -> None:
        line = [sys.executable, "-m", f"distributed.cli.dask_{program}", "--host", "127.0.0.1", "--no-dashboard", *options]
        started.append(subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def start_both(number: int) -> None:
        start("scheduler", "--port", str(port), "--dashboard-address", "127.0.0.1:0")
        start("worker", where, "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path / str(number)))

    def stop_both() -> None:
        while started:
            process = started.pop()
            process.kill()
            process.wait()

    async def main() -> None:
        async with asyncio.timeout(PATIENCE * 2), cede.cluster(where) as cluster:
            assert await cluster.run(jobs.double, 1) == 2
            for number in (1, 2):
                begun = tmp_path / f"begun{number}"
                under_way = asyncio.create_task(cluster.run(jobs.wait_for_ever, str(begun)))
                while not begun.exists():
                    await asyncio.sleep(0.01)
                stop_both()
                with pytest.raises((cede.ClusterLost, cede.WorkerDied)):
                    await under_way
                waits = asyncio.create_task(cluster.run(jobs.triple, number))  # while nobody is there
                await asyncio.sleep(0.05)
                start_both(number)
                assert await cluster.run(jobs.double, number) == 2 * number
                assert await waits == 3 * number
                assert [each async for each in cluster.map(jobs.triple, range(5))] == [0, 3, 6, 9, 12]

    try:
        start_both(0)
        cede.run(main())
    finally:
        stop_both()


def test_a_scheduler_that_does_not_come_back(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard", "--port", str(port)]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with cede.cluster(f"tcp://127.0.0.1:{port}", timeout=2) as cluster:
                        process.kill()
                        process.wait()
                        for _ in range(3):  # the first may have been sent to the one that is gone
                            with pytest.raises(cede.ClusterLost):
                                await cluster.run(jobs.double, 1)
                    return
                except ConnectionError:
                    assert process.poll() is None

    try:
        cede.run(main())
    finally:
        process.kill()
        process.wait()


async def workers_are(cluster: cede.Cluster, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(await cluster.workers()) != count:
            await asyncio.sleep(0.01)


def test_two_clients_after_each_other_and_a_worker_that_is_killed(address: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"

    async def first() -> set[int]:
        async with asyncio.timeout(PATIENCE), cede.cluster(address) as cluster:
            await workers_are(cluster, 2)
            async with cluster.TaskGroup(limit=8) as group:
                doubled = [group.create_task(jobs.double, number) for number in range(20)]
                tripled = [group.create_task(jobs.triple, number) for number in range(20)]
            assert [task.result() for task in doubled] == [2 * number for number in range(20)]
            assert [task.result() for task in tripled] == [3 * number for number in range(20)]
            with pytest.raises(LookupError, match="job 3"):
                await cluster.run(jobs.fail, 3)
            return {pid for pid, _ in [result async for result in cluster.map(jobs.where, range(40), limit=8)]}

    async def second() -> list[int]:
        async with asyncio.timeout(PATIENCE), cede.cluster(address, retries=1) as cluster:
            await workers_are(cluster, 2)
            done = [number async for number in cluster.map(jobs.journaled, range(60), [str(journal)] * 60, [20] * 60, limit=8)]
            await workers_are(cluster, 1)
            return done

    pids = cede.run(first())
    assert os.getpid() not in pids
    assert cede.run(second()) == list(range(60))
    ended = Counter(line.split()[1] for line in journal.read_text().splitlines() if line.startswith("end"))
    assert set(ended) == {str(number) for number in range(60)}
    begun = Counter(line.split()[1] for line in journal.read_text().splitlines() if line.startswith("begin"))
    assert begun["20"] == 2
    assert max(begun.values()) == 2, "only what the killed worker had begun is done again, once"
