"""psycopg 3, whose C library owns the socket and waits by `add_reader` and `add_writer`, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import library

psycopg = library("psycopg_pool", "psycopg")


@contextlib.asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(url, **{"autocommit": True, **options}) as connection:
        yield connection


async def value(connection: Any, query: str, *values: Any) -> Any:
    return (await (await connection.execute(query, values)).fetchone())[0]


def test_queries_and_errors(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection:
            assert await value(connection, "SELECT %s::bytea", b"x" * 3_000_000) == b"x" * 3_000_000
            with pytest.raises(psycopg.errors.DivisionByZero):
                await connection.execute("SELECT 1 / 0")
            cursor = await connection.execute("SELECT generate_series(1, 20000)")
            assert [row[0] async for row in cursor] == list(range(1, 20_001))

    run(main)


def test_transactions_and_server_side_cursors(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url, autocommit=False) as connection:
            await connection.execute("CREATE TEMPORARY TABLE things (n int)")
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO things VALUES (1)")
                    raise ZeroDivisionError
            async with connection.cursor() as cursor:
                await cursor.executemany("INSERT INTO things VALUES (%s)", [(n,) for n in range(500)])
            async with connection.cursor("by_name") as cursor:
                await cursor.execute("SELECT n FROM things ORDER BY n")
                assert [row[0] async for row in cursor] == list(range(500))

    run(main)


def test_copy_in_and_out(run: Any, postgres_url: str) -> None:
    lines = b"".join(b"%d\t%s\n" % (n, b"x" * (n % 50)) for n in range(50_000))

    async def main() -> None:
        async with connected(postgres_url) as connection, connection.cursor() as cursor:
            await cursor.execute("CREATE TEMPORARY TABLE things (n int, text text)")
            async with cursor.copy("COPY things FROM STDIN") as copy:
                for start in range(0, len(lines), 100_000):
                    await copy.write(lines[start : start + 100_000])
            async with cursor.copy("COPY (SELECT * FROM things ORDER BY n) TO STDOUT") as copy:
                assert b"".join([bytes(block) async for block in copy]) == lines

    run(main)


def test_a_pipeline(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection, connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int", (n,)) for n in range(500)]
            assert [(await cursor.fetchone())[0] for cursor in cursors] == list(range(500))

    run(main)


def test_listen_and_notify(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as listener, connected(postgres_url) as speaker:
            await listener.execute("LISTEN news")
            for n in range(50):
                await speaker.execute("SELECT pg_notify('news', %s)", (f"{n}",))
            heard = [notify.payload async for notify in listener.notifies(stop_after=50, timeout=20)]
            assert heard[:50] == [f"{n}" for n in range(50)]

    run(main)


def test_a_running_query_that_is_cancelled_ends_on_the_server_too(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection, connected(postgres_url) as other:
            state = "SELECT state || ' ' || query FROM pg_stat_activity WHERE pid = %s"
            for n in range(5):
                query = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
                while "active SELECT pg_sleep" not in await value(other, state, connection.info.backend_pid):
                    await asyncio.sleep(0)
                query.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await query
                assert await value(connection, "SELECT %s::int", n) == n

    run(main)


def test_a_pool_gives_each_its_own_answer(run: Any, postgres_url: str) -> None:
    """Though one in three is cancelled while it waits."""
    from psycopg_pool import AsyncConnectionPool

    async def main() -> None:
        async with AsyncConnectionPool(postgres_url, min_size=2, max_size=8, open=False, kwargs={"autocommit": True}) as pool:

            async def ask(n: int) -> None:
                async with pool.connection() as connection:
                    assert await value(connection, "SELECT %s::int FROM pg_sleep(0.002)", n) == n

            tasks = [asyncio.create_task(ask(n)) for n in range(240)]
            for task in tasks[::3]:
                await asyncio.sleep(0.001)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(result is None for n, result in enumerate(results) if n % 3)
            assert all(result is None or type(result) is asyncio.CancelledError for result in results)

    run(main)


def test_many_connections_that_are_terminated(run: Any, postgres_url: str) -> None:
    """While they wait. Their numbers are used again at once, and each new one gets its own answers."""

    async def main() -> None:
        async with connected(postgres_url) as other:
            for _ in range(3):
                connections = await asyncio.gather(*(psycopg.AsyncConnection.connect(postgres_url, autocommit=True) for _ in range(30)))
                queries = [asyncio.create_task(connection.execute("SELECT pg_sleep(60)")) for connection in connections]
                active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%' AND state = 'active'"
                while await value(other, active) < 30:
                    await asyncio.sleep(0)
                pids = [connection.info.backend_pid for connection in connections]
                await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY(%s::int[])", (pids,))
                for result in await asyncio.gather(*queries, return_exceptions=True):
                    assert isinstance(result, psycopg.OperationalError), result
                for connection in connections:
                    await connection.close()
                async with connected(postgres_url) as fresh:
                    assert await value(fresh, "SELECT %s::int", 5) == 5

    run(main)


def test_two_tasks_that_share_a_connection_take_turns(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection:

            async def ask(n: int) -> None:
                assert await value(connection, "SELECT %s::int", n) == n

            await asyncio.gather(*map(ask, range(200)))

    run(main)
