"""Generator coroutines taking turns, as tasks of the loop.

    python examples/round_robin.py ann:3 ben:1 cid:5

A generator is the smallest coroutine Python has: a function that can stop in the middle and be
resumed. asyncio's tasks take only `async def`; cede's take generators too, and then

    yield                gives way: everybody else who is ready has a turn first
    got = yield waits    waits for something awaitable, and is its result

so a plain `for` loop becomes one of many that run side by side, with one word added to it.
"""

import argparse
import asyncio
import sys
from collections.abc import Generator
from typing import Any

try:
    import cede
except ImportError:
    sys.exit("round_robin: this needs cede, because asyncio has no generator coroutines: pip install cede")


def player(name: str, rounds: int) -> Generator[None, None, str]:
    for number in range(1, rounds + 1):
        print(f"{name} {number}")
        yield
    return f"{name} is done"


def judge(players: list[asyncio.Task[str]]) -> Generator[asyncio.Task[str], str, int]:
    """Wait for the players, in the order of their names on the list."""
    for task in players:
        verdict = yield task
        print(verdict)
    return len(players)


async def main(rounds: dict[str, int]) -> None:
    loop = asyncio.get_running_loop()
    # asyncio's own declaration of create_task knows `async def` only.
    create_task: Any = loop.create_task
    players = [create_task(player(name, count), name=name) for name, count in rounds.items()]
    # The three kinds mix: this is an `async def`, and it awaits a generator that waits for generators.
    count = await create_task(judge(players))
    print(f"{count} played")


def turns(text: str) -> tuple[str, int]:
    name, _, rounds = text.partition(":")
    if not name or not rounds.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:TURNS, such as ann:3")
    return name, int(rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generator coroutines taking turns.")
    parser.add_argument(
        "players",
        nargs="*",
        type=turns,
        metavar="NAME:TURNS",
        default=[("ann", 3), ("ben", 1), ("cid", 4)],
        help="who plays, and for how many turns (ann:3 ben:1 cid:4)",
    )
    cede.run(main(dict(parser.parse_args().players)))
