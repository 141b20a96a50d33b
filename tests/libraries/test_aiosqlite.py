"""aiosqlite: a thread a connection, which answers by `call_soon_threadsafe`."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.libraries.served import library

aiosqlite = library("aiosqlite")


def test_queries_transactions_and_errors(run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with aiosqlite.connect(tmp_path / "file") as database:
            await database.execute("CREATE TABLE things (n INTEGER)")
            await database.executemany("INSERT INTO things VALUES (?)", [(n,) for n in range(1_000)])
            await database.commit()
            await database.execute("DELETE FROM things")
            await database.rollback()
            async with database.execute("SELECT n FROM things ORDER BY n") as cursor:
                assert [row[0] async for row in cursor] == list(range(1_000))
            with pytest.raises(sqlite3.OperationalError):
                await database.execute("SELECT nothing")

    run(main)


def test_each_of_many_gets_its_own_answer(run: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async def ask(database: Any, n: int) -> None:
            async with database.execute("SELECT ?", (n,)) as cursor:
                assert await cursor.fetchone() == (n,)

        databases = await asyncio.gather(*(aiosqlite.connect(tmp_path / "file") for _ in range(5)))
        await asyncio.gather(*(ask(database, n) for n in range(100) for database in databases))
        await asyncio.gather(*(database.close() for database in databases))

    run(main)


def test_a_cancelled_query_and_an_interrupted_one(run: Any) -> None:
    """The thread finishes what nobody waits for any more; the next answer is the right one."""

    async def main() -> None:
        async with aiosqlite.connect(":memory:") as database:
            begun, go_on = asyncio.Event(), threading.Event()
            loop = asyncio.get_running_loop()

            def wait() -> int:
                loop.call_soon_threadsafe(begun.set)
                go_on.wait()
                return 0

            await database.create_function("wait", 0, wait)
            query = asyncio.create_task(database.execute_fetchall("SELECT wait()"))
            await begun.wait()
            query.cancel()
            with pytest.raises(asyncio.CancelledError):
                await query
            go_on.set()
            assert list(await database.execute_fetchall("SELECT 41")) == [(41,)]

            begun.clear()
            endless = "WITH RECURSIVE n(x) AS (SELECT wait() UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
            query = asyncio.create_task(database.execute_fetchall(endless))
            await begun.wait()
            await database.interrupt()
            with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                await query
            assert list(await database.execute_fetchall("SELECT 42")) == [(42,)]

    run(main)
