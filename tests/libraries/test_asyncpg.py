"""asyncpg, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.libraries.served import library

asyncpg = library("asyncpg")


@contextlib.asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url, **options)
    try:
        yield connection
    finally:
        await connection.close()


def test_values_and_errors(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection:
            values = [7, "text", b"bytes" * 100_000, decimal.Decimal("1.5"), datetime.date(2024, 2, 29), [1, 2, None], None]
            row = await connection.fetchrow(
                "SELECT $1::int, $2::text, $3::bytea, $4::numeric, $5::date, $6::int[], $7::text", *values
            )
            assert list(row) == values
            with pytest.raises(asyncpg.DivisionByZeroError):
                await connection.fetchval("SELECT 1 / $1::int", 0)
            rows = await connection.fetch("SELECT n, repeat('x', n % 100) AS text FROM generate_series(1, 50000) AS n")
            assert [len(row["text"]) for row in rows] == [n % 100 for n in range(1, 50_001)]

    run(main)


def test_transactions_and_cursors(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection:
            await connection.execute("CREATE TEMPORARY TABLE things (n int)")
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO things VALUES (1)")
                    raise ZeroDivisionError
            async with connection.transaction():
                await connection.executemany("INSERT INTO things VALUES ($1)", [(n,) for n in range(1_000)])
                found = [row["n"] async for row in connection.cursor("SELECT n FROM things ORDER BY n", prefetch=50)]
            assert found == list(range(1_000))

    run(main)


def test_copy_in_and_out(run: Any, postgres_url: str) -> None:
    lines = b"".join(b"%d\t%s\n" % (n, b"x" * (n % 50)) for n in range(50_000))

    async def main() -> None:
        async def source() -> AsyncIterator[bytes]:
            for start in range(0, len(lines), 10_000):
                yield lines[start : start + 10_000]

        taken = bytearray()

        async def sink(data: bytes) -> None:
            taken.extend(data)

        async with connected(postgres_url) as connection:
            await connection.execute("CREATE TEMPORARY TABLE things (n int, text text)")
            assert await connection.copy_to_table("things", source=source()) == "COPY 50000"
            await connection.copy_from_query("SELECT * FROM things ORDER BY n", output=sink)
            assert taken == lines
            await connection.copy_records_to_table("things", records=[(n, "r") for n in range(1_000)])
            assert await connection.fetchval("SELECT count(*) FROM things") == 51_000

    run(main)


def test_listen_and_notify(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with connected(postgres_url) as listener, connected(postgres_url) as speaker:
            await listener.add_listener("news", lambda connection, pid, channel, payload: heard.put_nowait(payload))
            for n in range(100):
                await speaker.execute("SELECT pg_notify('news', $1)", f"{n}")
            assert [await heard.get() for _ in range(100)] == [f"{n}" for n in range(100)]

    run(main)


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_running_query_that_is_cancelled_ends_on_the_server_too(run: Any, postgres_url: str, how: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection, connected(postgres_url) as other:
            pid = connection.get_server_pid()

            async def state() -> str:
                return await other.fetchval("SELECT state || ' ' || query FROM pg_stat_activity WHERE pid = $1", pid)

            for n in range(5):
                if how == "timeout":
                    with pytest.raises(asyncio.TimeoutError):
                        await connection.fetch("SELECT pg_sleep(60)", timeout=0.1)
                else:
                    query = asyncio.create_task(connection.fetch("SELECT pg_sleep(60)"))
                    while "active SELECT pg_sleep" not in await state():
                        await asyncio.sleep(0)
                    query.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await query
                assert await connection.fetchval("SELECT $1::int", n) == n
                assert (await state()).startswith("idle")

    run(main)


def test_a_pool_gives_each_its_own_answer(run: Any, postgres_url: str) -> None:
    """Though one in three is cancelled while it waits."""

    async def main() -> None:
        # All connected beforehand: asyncpg itself may lose an error of a connection whose making is cancelled.
        async with asyncpg.create_pool(postgres_url, min_size=8, max_size=8) as pool:

            async def ask(n: int) -> None:
                async with pool.acquire() as connection:
                    assert await connection.fetchval("SELECT $1::int FROM pg_sleep(0.002)", n) == n

            tasks = [asyncio.create_task(ask(n)) for n in range(240)]
            for task in tasks[::3]:
                await asyncio.sleep(0.001)
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(result is None for n, result in enumerate(results) if n % 3)
            assert all(result is None or type(result) is asyncio.CancelledError for result in results)

    run(main)


def test_many_connections_that_are_terminated(run: Any, postgres_url: str) -> None:
    """By the server, all at once, while they wait: each hears of it, and nothing stays behind."""

    async def main() -> None:
        async with connected(postgres_url) as other:
            connections = await asyncio.gather(*(asyncpg.connect(postgres_url) for _ in range(30)))
            queries = [asyncio.create_task(connection.fetch("SELECT pg_sleep(60)")) for connection in connections[:15]]
            active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
            while await other.fetchval(active) < 15:
                await asyncio.sleep(0)
            await other.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY($1::int[])",
                [connection.get_server_pid() for connection in connections],
            )
            for result in await asyncio.gather(*queries, return_exceptions=True):
                assert isinstance(result, (asyncpg.PostgresError, ConnectionError)), result
            for connection in connections[15:]:
                while not connection.is_closed():  # asyncpg is confused by a query between the server's goodbye and its end
                    await asyncio.sleep(0)
                with pytest.raises(asyncpg.InterfaceError):
                    await connection.fetch("SELECT 1")
            for connection in connections:
                await connection.close()

    run(main)


def test_tls_after_the_fact(run: Any, postgres_url: str) -> None:
    """asyncpg asks for TLS on a plain connection and upgrades its transport."""

    async def main() -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            opened = await asyncpg.connect(postgres_url, ssl=context)
        except ConnectionError as error:
            pytest.skip(f"this PostgreSQL does not take TLS: {error}")
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(opened.close)
            assert await opened.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert len(await opened.fetchval("SELECT repeat('x', 5000000)")) == 5_000_000
            assert await opened.fetchval("SELECT length($1)", "y" * 5_000_000) == 5_000_000
            with pytest.raises(asyncio.TimeoutError):
                await opened.fetch("SELECT pg_sleep(60)", timeout=0.1)
            assert await opened.fetchval("SELECT 1") == 1

    run(main)


def test_the_unix_socket(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        async with connected(postgres_url) as connection:
            folder = await connection.fetchval("SHOW unix_socket_directories")
            port = int(await connection.fetchval("SHOW port"))
        async with connected(postgres_url, host=folder, port=port) as connection:
            assert await connection.fetchval("SELECT inet_server_addr()") is None

    run(main)


def test_a_pool_that_replaces_its_connections(run: Any, postgres_url: str) -> None:
    """For one that it makes by itself it takes a place out of its queue, and wakes who waits there."""

    async def main() -> None:
        for _ in range(3):
            pool = await asyncpg.create_pool(postgres_url, min_size=2, max_size=2)
            pids = set()
            for _ in range(4):
                async with pool.acquire() as one, pool.acquire() as other:
                    pids |= {one.get_server_pid(), other.get_server_pid()}
                    waiting = [asyncio.create_task(pool.fetchval("SELECT $1::int", n)) for n in range(6)]
                    await asyncio.sleep(0)
                    waiting[0].cancel()
                    await pool.expire_connections()
                results = await asyncio.gather(*waiting, return_exceptions=True)
                assert results[1:] == [1, 2, 3, 4, 5]
            assert len(pids) > 2
            await pool.close()

    run(main)


def test_a_pool_that_is_closed_while_it_connects(run: Any, postgres_url: str) -> None:
    async def main() -> None:
        for _ in range(5):
            pool = await asyncpg.create_pool(postgres_url, min_size=1, max_size=1)
            connection = await pool.acquire()
            await pool.expire_connections()
            await pool.release(connection)
            await pool.close()

    run(main)
