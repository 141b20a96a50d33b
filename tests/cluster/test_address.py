"""A cluster that somebody else has started, as ``dask scheduler`` and ``dask worker`` do: reached by its address, left running."""

from __future__ import annotations

import asyncio
import json
import os
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
