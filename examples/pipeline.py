"""A bounded queue between producers and consumers, and an end at which nothing is missing.

    python   examples/pipeline.py --producers 4 --consumers 3 --items 500
    cede run examples/pipeline.py

Three things make a pipeline one that can be left alone:

- The queue is bounded. Producers that are faster than the consumers wait in `put`; without the
  bound they would fill the memory instead.
- The end travels in the queue, behind the last item: one END for each consumer. So a consumer never
  has to guess whether an empty queue means "not yet" or "no more".
- Ctrl-C only stops the producers. What they made is worked off, and the program then ends in the
  ordinary way. (Press it again to leave at once.)

At the end every item is accounted for: made once, handled once, or the exit status is 1.
"""

import argparse
import asyncio
import enum
import random
import signal
import sys
from collections import Counter
from typing import Final, NamedTuple


class Item(NamedTuple):
    producer: int
    number: int


class End(enum.Enum):
    END = enum.auto()


END: Final = End.END
Pipe = asyncio.Queue[Item | End]


async def produce(me: int, items: int, queue: Pipe, stop: asyncio.Event) -> tuple[list[Item], int]:
    """Make up to `items` items, fewer if told to stop. What was made, and the most that ever waited."""
    made = []
    deepest = 0
    for number in range(items):
        if stop.is_set():
            break
        item = Item(me, number)
        await queue.put(item)  # waits while the queue is full: this is the back-pressure
        made.append(item)
        deepest = max(deepest, queue.qsize())
    return made, deepest


async def consume(queue: Pipe, work: float, chance: random.Random) -> list[Item]:
    """Handle items until the end comes along. What was handled."""
    handled = []
    while (item := await queue.get()) is not END:
        # Uneven work, so that consumers overtake each other as they do in life.
        await asyncio.sleep(work * chance.uniform(0, 2))
        handled.append(item)
    return handled


async def main(args: argparse.Namespace) -> int:
    queue: Pipe = asyncio.Queue(args.size)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)
        print("pipeline: stopping; working off what was made", flush=True)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    print(f"pipeline: {args.producers} producers, {args.consumers} consumers, seed {args.seed}", flush=True)

    chance = random.Random(args.seed)
    async with asyncio.TaskGroup() as group:
        consumers = [group.create_task(consume(queue, args.work / 1000, random.Random(chance.random()))) for _ in range(args.consumers)]
        async with asyncio.TaskGroup() as making:
            producers = [making.create_task(produce(me, args.items, queue, stop)) for me in range(args.producers)]
        # Here all producers are through. Nothing can come behind an END any more.
        for _ in consumers:
            await queue.put(END)

    made = Counter(item for producer in producers for item in producer.result()[0])
    handled = Counter(item for consumer in consumers for item in consumer.result())
    for number, consumer in enumerate(consumers):
        print(f"  consumer {number} handled {len(consumer.result())}")
    lost = (made - handled).total()
    twice = (handled - made).total()
    deepest = max(producer.result()[1] for producer in producers)
    print(f"  most waiting at once: {deepest} (bound {args.size})")
    print(f"  made {made.total()}, handled {handled.total()}, lost {lost}, twice {twice}")
    return 1 if lost or twice else 0


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text}")
    return int(text)


def milliseconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 60_000:
        raise argparse.ArgumentTypeError(f"must be 0 to 60000 milliseconds, not {text}")
    return number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A bounded queue, several producers and consumers.")
    parser.add_argument("--producers", type=at_least_one, default=4, metavar="N", help="(%(default)s)")
    parser.add_argument("--consumers", type=at_least_one, default=3, metavar="N", help="(%(default)s)")
    parser.add_argument("--items", type=at_least_one, default=500, metavar="N", help="by each producer (%(default)s)")
    parser.add_argument("--size", type=at_least_one, default=16, metavar="N", help="bound of the queue (%(default)s)")
    parser.add_argument("--work", type=milliseconds, default=0.2, metavar="MS", help="mean work on an item (%(default)s ms)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the uneven work (random)")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except KeyboardInterrupt:
        sys.exit("pipeline: left at once; what was under way is lost")
