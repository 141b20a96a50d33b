"""redis-py's asyncio client, against a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import library

redis = library("redis", "redis.asyncio")


@contextlib.asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Any]:
    """A client, on an empty database."""
    client = redis.Redis.from_url(url, decode_responses=True, **options)
    try:
        await client.flushdb()
        yield client
    finally:
        await client.aclose()
        await client.connection_pool.disconnect()


def test_commands_and_values_of_any_size(run: Any, redis_url: str) -> None:
    async def main() -> None:
        async with connected(redis_url) as client:
            for size in (0, 1, 100_000, 20_000_000):
                await client.set("key", "x" * size)
                assert await client.get("key") == "x" * size
            assert await client.get("none") is None
            with pytest.raises(redis.ResponseError):
                await client.lpush("key", "a list?")
            assert await client.incr("number") == 1

    run(main)


def test_a_pipeline_and_a_transaction(run: Any, redis_url: str) -> None:
    async def main() -> None:
        async with connected(redis_url) as client:
            async with client.pipeline(transaction=False) as pipe:
                for number in range(2_000):
                    pipe.set(f"key {number}", number).get(f"key {number}")
                answers = await pipe.execute()
            assert answers[1::2] == [f"{number}" for number in range(2_000)]

            async def add(times: int) -> None:
                for _ in range(times):
                    await client.transaction(lambda pipe: bump(pipe), "sum")

            async def bump(pipe: Any) -> None:
                value = int(await pipe.get("sum") or 0)
                pipe.multi()
                pipe.set("sum", value + 1)

            await asyncio.gather(*(add(10) for _ in range(5)))
            assert await client.get("sum") == "50"

    run(main)


def test_each_of_many_gets_its_own_answer(run: Any, redis_url: str) -> None:
    async def main() -> None:
        async with connected(redis_url, max_connections=50) as client:

            async def ask(number: int) -> None:
                await client.set(f"key {number}", f"{number}")
                assert await client.get(f"key {number}") == f"{number}"

            for _ in range(5):
                await asyncio.gather(*map(ask, range(50)))

    run(main)


def test_a_cancelled_blocking_pop_leaves_no_answer_to_others(run: Any, redis_url: str) -> None:
    """The connection goes back to the pool of one: the next command must not read what came for the pop."""

    async def main() -> None:
        pool = redis.BlockingConnectionPool.from_url(redis_url, max_connections=1, decode_responses=True)
        async with connected(redis_url) as other:
            client = redis.Redis(connection_pool=pool)
            for number in range(30):
                pop = asyncio.create_task(client.blpop(["queue"], timeout=20))
                while not any(told["cmd"] == "blpop" for told in await other.client_list()):
                    await asyncio.sleep(0)
                if number % 2:
                    await other.rpush("queue", "for the one that is cancelled")
                pop.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pop
                answers = await asyncio.gather(*(client.echo(f"{number} {turn}") for turn in range(5)))
                assert answers == [f"{number} {turn}" for turn in range(5)]
                await other.delete("queue")
            await client.aclose()
            await pool.disconnect()

    run(main)


def test_a_command_that_times_out(run: Any, redis_url: str) -> None:
    async def main() -> None:
        async with connected(redis_url, socket_timeout=0.2, retry_on_timeout=False) as client:
            with pytest.raises(redis.TimeoutError):
                await client.execute_command("BLPOP", "nothing", 10)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.execute_command("BLPOP", "nothing", 10)
            assert await client.echo("mine") == "mine"

    run(main)


def test_publish_and_subscribe(run: Any, redis_url: str) -> None:
    async def main() -> None:
        async with connected(redis_url) as client:
            heard: dict[int, list[str]] = {number: [] for number in range(10)}

            async def listen(number: int) -> None:
                async with client.pubsub() as pubsub:
                    await pubsub.subscribe("news")
                    await pubsub.psubscribe("other.*")
                    ready.release()
                    async for message in pubsub.listen():
                        if message["type"] in ("message", "pmessage"):
                            heard[number].append(message["data"])
                            if message["data"] == "end":
                                return

            ready = asyncio.Semaphore(0)
            async with asyncio.TaskGroup() as group:
                for number in heard:
                    group.create_task(listen(number))
                for _ in heard:
                    await ready.acquire()
                for number in range(100):
                    assert await client.publish("other.one" if number % 2 else "news", f"{number}") == 10
                await client.publish("news", "end")
            assert all(found == [*(f"{number}" for number in range(100)), "end"] for found in heard.values())

    run(main)


def test_a_connection_that_is_killed_is_made_again(run: Any, redis_url: str) -> None:
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    async def main() -> None:
        again = {"retry": Retry(NoBackoff(), 3), "retry_on_error": [redis.ConnectionError]}
        async with connected(redis_url) as other, connected(redis_url, **again) as client:
            for _ in range(5):
                identity = await client.client_id()
                await other.client_kill_filter(_id=identity)
                assert await client.echo("still here") == "still here"
                assert await client.client_id() != identity

    run(main)


def test_the_unix_socket(run: Any, redis_url: str) -> None:
    async def main() -> None:
        async with connected(redis_url) as client:
            path = (await client.config_get("unixsocket"))["unixsocket"]
        if not path:
            pytest.skip("this Redis has no Unix socket")
        async with connected(f"unix://{path}") as client:
            assert await client.echo("x" * 1_000_000) == "x" * 1_000_000

    run(main)
