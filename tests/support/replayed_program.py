"""A program over ports that are recorded or drawn from a seed; it prints what happened, for two processes to be compared.

``python -m tests.support.replayed_program SEED BALLAST``: BALLAST objects are made first, so that everything lies elsewhere in memory.
"""

from __future__ import annotations

import asyncio
import random
import sys
from concurrent.futures import Future
from typing import Any

import cede
from cede.loop.event_loop import EventLoop
from tests.support.memory_driver import Clock, MemoryDriver


class Order:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def arrange(self, batch: list[Any]) -> list[Any]:
        self.rng.shuffle(batch)
        return batch


class Inbox:
    def __init__(self) -> None:
        self.items: list[Any] = []

    def post(self, item: Any) -> None:
        self.items.append(item)

    def take(self) -> list[Any]:
        items, self.items = self.items, []
        return items


class Offload:
    """A job is done some turns later, on the loop's thread."""

    def __init__(self, driver: MemoryDriver, rng: random.Random) -> None:
        self.driver = driver
        self.rng = rng

    def submit(self, kind: str, function: Any, *args: Any) -> Any:
        future: Future[Any] = Future()
        self.later(self.rng.randrange(4), future, function, args)
        return future

    def later(self, polls: int, future: Any, function: Any, args: Any) -> None:
        if polls:
            self.driver.fly(self.later, polls - 1, future, function, args)
        elif future.set_running_or_notify_cancel():
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)


async def main(log: list[Any], rng: random.Random) -> None:
    loop = asyncio.get_running_loop()

    def note(*what: Any) -> None:
        log.append((round(loop.time(), 6), *what))

    async def worker(name: str, rounds: int) -> str:
        try:
            for number in range(rounds):
                await asyncio.sleep(rng.choice([0, 0, 0.001, 0.01]))
                note(name, number)
        except asyncio.CancelledError:
            note(name, "cancelled")
            raise
        return name

    async def serve(reader: Any, writer: Any) -> None:
        while line := await reader.readline():
            note("served", line)
            writer.write(line[::-1])
            await writer.drain()
        writer.close()

    async def ask(number: int) -> None:
        reader, writer = await cede.open_connection("server.test", 80)
        for text in range(3):
            writer.write(f"{number}.{text}\n".encode())
            await writer.drain()
            note("asked", number, await reader.read(100))
        writer.close()
        await writer.wait_closed()

    async def generator(name: str) -> Any:
        try:
            yield name
        finally:
            note("closed", name)

    server = await cede.start_server(serve, "server.test", 80)
    await asyncio.gather(*(ask(number) for number in range(5)))
    # A group that one of its tasks breaks cancels the others in the order in which they were made.
    with cede.move_on_after(0.005):
        async with cede.TaskGroup() as group:
            for number in range(12):
                group.create_task(worker(f"group {number}", 50))
    try:
        async with cede.TaskGroup() as group:
            for number in range(12):
                group.create_task(worker(f"broken {number}", 50))
            await asyncio.sleep(0.003)
            raise ValueError
    except* ValueError:
        note("broken")
    for future in cede.as_completed([worker(f"as completed {number}", 2) for number in range(12)]):
        note("completed", await future)
    # That these are iterated, as sets, is the program's business.
    done, pending = await cede.wait([asyncio.ensure_future(worker(f"wait {number}", 3)) for number in range(12)], timeout=0.004)
    note("waited", sorted(task.get_name() for task in done), sorted(task.get_name() for task in pending))
    note("mapped", [each async for each in cede.map(lambda number: worker(f"map {number}", 1), range(12), limit=5)])
    jobs = [loop.run_in_executor(None, pow, 2, number) for number in range(8)]
    for job in asyncio.as_completed(jobs):
        note("job", await job)
    queue: Any = cede.Queue(2)

    async def produce(number: int) -> None:
        for item in range(3):
            await queue.put((number, item))

    producers = [asyncio.create_task(produce(number)) for number in range(6)]
    for _ in range(18):
        note("taken", await queue.get())
    await asyncio.gather(*producers)
    loop.call_soon_threadsafe(note, "posted")
    kept = [generator(f"generator {number}") for number in range(12)]
    for each in kept:
        await each.__anext__()
    server.close()
    # What is left is cancelled by the end of the run, and the generators are closed by it.
    log.append([asyncio.create_task(worker(f"left {number}", 1000), name=f"left {number:02}") and None for number in range(12)])
    await asyncio.sleep(0.002)
    await loop.shutdown_asyncgens()


def play(seed: int) -> list[Any]:
    rng = random.Random(seed)
    clock = Clock()
    driver = MemoryDriver(clock)
    log: list[Any] = []

    def factory() -> EventLoop:
        return EventLoop(driver, clock=clock, order=Order(rng), inbox=Inbox(), offload=Offload(driver, rng))

    with cede.Runner(loop_factory=factory, grace=10) as runner:
        runner.run(main(log, rng))
    return log


if __name__ == "__main__":
    ballast = [object() for _ in range(int(sys.argv[2]))]
    more = [bytearray(number % 4096) for number in range(int(sys.argv[2]) // 10)]
    del ballast[::2]
    for line in play(int(sys.argv[1])):
        print(line)
