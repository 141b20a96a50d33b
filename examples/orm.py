"""A library of books, kept by code that knows nothing of async, over an async database driver.

    python   examples/orm.py
    cede run examples/orm.py --authors 20

SQLAlchemy's ORM is written for plain functions, and its lazy loads (``author.books``) cannot be awaited. `stackful.run_sync` runs such
a function on a stack of its own: where the driver has to wait, that whole stack is suspended, and the loop goes on with the others. Here
several functions share a database, while a clock counts how often the loop came round meanwhile. No thread of ours is involved.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

try:
    from sqlalchemy import ForeignKey, create_engine, select
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
    from sqlalchemy.pool import StaticPool
except ImportError:
    sys.exit("orm: this example needs SQLAlchemy and aiosqlite: pip install sqlalchemy aiosqlite")

try:
    from cede import stackful
except ImportError as error:
    sys.exit(f"orm: {error}")


class Base(DeclarativeBase): ...


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship()


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    title: Mapped[str]


def write_down(engine: create_engine, name: str, titles: list[str]) -> None:
    """Plain SQLAlchemy, as any tutorial has it."""
    with Session(engine) as session:
        session.add(Author(name=name, books=[Book(title=title) for title in titles]))
        session.commit()


def report(engine: create_engine) -> list[str]:
    with Session(engine) as session:
        authors = session.scalars(select(Author).order_by(Author.name)).all()
        return [f"{author.name}: {', '.join(book.title for book in author.books)}" for author in authors]


async def count_turns() -> int:
    turns = 0
    try:
        while True:
            await asyncio.sleep(0)
            turns += 1
    except asyncio.CancelledError:
        return turns


async def main(authors: int) -> None:
    clock = asyncio.create_task(count_turns())
    engine = create_async_engine("sqlite+aiosqlite:///:memory:", poolclass=StaticPool)
    plain = engine.sync_engine
    await stackful.run_sync(Base.metadata.create_all, plain)
    for number in range(authors):
        await stackful.run_sync(write_down, plain, f"author {number:03}", [f"volume {volume}" for volume in range(1, 4)])
    for line in await stackful.run_sync(report, plain):
        print(line)
    await engine.dispose()
    clock.cancel()
    if await clock == 0:
        sys.exit("orm: the loop stood still")
    print("the loop went on meanwhile")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--authors", type=int, default=3, help="how many there are (default %(default)s)")
    asyncio.run(main(parser.parse_args().authors))
