"""asyncio's reader and cede's, fed the same random chunks and asked the same random things, compared step by step."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

import pytest

from tests.support.stream_worlds import ON_ASYNCIO, ON_CEDE, ORACLE, FakeTransport, World, outcome, turns

ALPHABET = b"ab|\n"
SEPARATORS: list[Any] = [b"|", b"\n", b"||", b"a|b", b"\n\n|", bytearray(b"b\n")]
if sys.version_info >= (3, 13):
    SEPARATORS += [(b"|", b"\n"), (b"a|", b"|b|", b"\n"), (b"\n\n", b"\n")]


def make_script(rng: random.Random) -> tuple[int, list[tuple[str, Any]]]:
    """A limit, and steps: ("feed", bytes), ("eof", None), ("fail", None), or the name of a method and its argument."""
    steps: list[tuple[str, Any]] = []
    for _ in range(rng.randrange(5, 40)):
        kind = rng.choice(["feed", "feed", "feed", "read", "readexactly", "readuntil", "readline", "__anext__"])
        argument: Any = None
        if kind == "feed":
            argument = bytes(rng.choices(ALPHABET, weights=(8, 8, 2, 1), k=rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 40])))
        elif kind == "read":
            argument = rng.choice([0, 1, 2, 3, 7, 50, 1000])
        elif kind == "readexactly":
            argument = rng.choice([0, 1, 2, 5, 9, 30, -1])
        elif kind == "readuntil":
            argument = rng.choice(SEPARATORS)
        steps.append((kind, argument))
    steps.append(rng.choice([("eof", None), ("eof", None), ("fail", None)]))
    steps += [("readuntil", rng.choice(SEPARATORS)), ("readexactly", 3), ("read", -1), ("read", 5)]
    return rng.choice([1, 2, 5, 12, 100]), steps


async def play(world: World, limit: int, steps: list[tuple[str, Any]]) -> list[Any]:
    """What was seen after each step."""
    reader = world.reader(limit=limit)
    transport = FakeTransport()
    reader.set_transport(transport)
    waiting: asyncio.Future[Any] | None = None
    seen: list[Any] = []
    ended = False
    for kind, argument in steps:
        if kind == "feed":
            reader.feed_data(argument)
        elif kind == "eof":
            reader.feed_eof()
            ended = True
        elif kind == "fail":
            reader.set_exception(OSError("lost"))
            ended = True
        elif waiting is None:
            operation = getattr(reader, kind)(*([] if argument is None else [argument]))
            waiting = asyncio.ensure_future(outcome(operation))
        await turns(4)
        if waiting is not None and waiting.done():
            seen.append((kind, argument, waiting.result()))
            waiting = None
        if waiting is None:
            # While somebody waits, ours pauses less often and wakes later, on purpose.
            seen.append((reader.at_eof(), repr(reader)))
    assert ended
    assert waiting is None, "a read outlived the end of the stream"
    return seen


@pytest.mark.parametrize("world", [ON_CEDE, ON_ASYNCIO], ids=repr)
def test_step_by_step(world: World, rng: random.Random) -> None:
    for round_ in range(150):
        limit, steps = make_script(rng)
        expected = ORACLE.run(lambda: play(ORACLE, limit, steps))  # noqa: B023
        found = world.run(lambda: play(world, limit, steps))  # noqa: B023
        assert found == expected, f"round {round_}: limit={limit} steps={steps}"


@pytest.mark.parametrize("world", [ON_CEDE, ON_ASYNCIO], ids=repr)
def test_no_byte_is_lost_or_doubled_by_cancelling(world: World, rng: random.Random) -> None:
    """Random reads, each cancelled with a certain chance at a random moment: what was read, put together, is what was fed."""

    async def main() -> None:
        reader = world.reader(limit=64)
        data = rng.randbytes(20_000)
        got = bytearray()

        async def feed() -> None:
            position = 0
            while position < len(data):
                size = rng.randrange(1, 120)
                reader.feed_data(data[position : position + size])
                position += size
                await turns(rng.randrange(3))
            reader.feed_eof()

        feeding = asyncio.ensure_future(feed())
        while not reader.at_eof():
            kind = rng.choice(["read", "readexactly", "readuntil"])
            argument: Any = {"read": rng.choice([1, 10, 100, -1]), "readexactly": rng.randrange(1, 200)}.get(
                kind, bytes([rng.randrange(256)])
            )
            task = asyncio.ensure_future(getattr(reader, kind)(argument))
            if rng.random() < 0.6:
                await turns(rng.randrange(4))
                task.cancel()
            try:
                got += await task
            except asyncio.CancelledError:
                pass
            except asyncio.IncompleteReadError as error:
                got += error.partial
            except asyncio.LimitOverrunError as error:
                got += await reader.readexactly(error.consumed)
        await feeding
        assert got == data

    world.run(main)
