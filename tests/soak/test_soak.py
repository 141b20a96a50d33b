"""A short soak, always of the same seed; and that the soak sees what it is there for."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import campaign, people
from .people import Town

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_short_soak() -> None:
    command = [sys.executable, "-m", "tests.soak", "0.25", "--seed", "1", "--no-netem"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr[-3000:]
    assert "nothing was lost, nothing has grown" in answer.stdout


def meet(answer: bytes, person: Any) -> Town:
    """What `person` thinks of a server that says `answer` to everything, whoever asks."""

    async def main() -> Town:
        async def serve(reader: Any, writer: Any) -> None:
            while line := await reader.readline():
                if line == b"\r\n" or not line.endswith(b"\r\n"):
                    writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        town = Town({}, 1)
        async with server:
            visit = asyncio.ensure_future(person(town, server.sockets[0].getsockname()[1]))
            async with asyncio.timeout(30):
                while not town.faults:
                    await asyncio.sleep(0.01)
            town.over.set()
            server.close()
            visit.cancel()
            await asyncio.wait({visit})
        return town

    with asyncio.Runner() as runner:
        return runner.run(main())


def test_an_answer_to_somebody_else_is_seen() -> None:
    town = meet(b"HTTP/1.1 200 OK\r\nX-Request: q7777\r\nContent-Length: 0\r\n\r\n", lambda town, port: people.browse(town, "b", port))
    assert "got the answer to 'q7777'" in town.faults[0]


def test_a_wrong_answer_is_seen() -> None:
    town = meet(b"HTTP/1.1 200 OK\r\nX-Request: q1\r\nContent-Length: 3\r\n\r\n???", lambda town, port: people.browse(town, "b", port))
    assert "a wrong answer to q1" in town.faults[0]


def test_a_missing_message_is_seen() -> None:
    async def sit(town: Town, port: int) -> None:
        end = asyncio.get_running_loop().create_future()
        end.set_result({"room": 9})
        await people.listen(town, "m", port, "room", end=end)

    town = meet(b"HELLO 5\nMSG 6 a q1 x\nMSG 8 a q2 x\n", sit)
    assert "after message 6 came ['MSG', '8', 'a']" in town.faults[0]


def test_a_message_that_was_changed_is_seen() -> None:
    async def sit(town: Town, port: int) -> None:
        end = asyncio.get_running_loop().create_future()
        end.set_result({"room": 6})
        town.said["room"] = {6: ("b", "q1")}
        await people.listen(town, "m", port, "room", end=end)

    town = meet(b"HELLO 5\nMSG 6 a q1 x\n", sit)
    assert "acknowledged as ('b', 'q1')" in town.faults[0]


def test_growth_is_seen() -> None:
    limits = {"heap": 100, "tasks": 0}
    assert campaign.grown({"heap": 1000, "tasks": 1}, {"heap": 1100, "tasks": 1}, limits) == []
    found = campaign.grown({"heap": 1000, "tasks": 1}, {"heap": 1101, "tasks": 2}, limits)
    assert found == ["heap: 1,000 before, 1,101 after", "tasks: 1 before, 2 after"]


def test_the_same_seed_draws_the_same_load(rng: random.Random) -> None:
    seed = rng.randrange(1000)

    async def draws() -> list[Any]:
        return [Town({}, seed).rng("someone").random() for _ in range(2)]

    first, second = asyncio.run(draws())
    assert first == second
