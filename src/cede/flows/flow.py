"""Flow: an asynchronous iterator that ends cleanly, however it is left.

Invariants
----------
* ``async with`` a flow closes it at the end of the block: what its generator does in `finally` is done then. A flow that is dropped
  half-way closes as asynchronous generators do, by the loop, soon.
* A flow closes what it reads from, even where that fails, and where nothing was read.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any, Generic, TypeVar

from cede.tasks.uncancelled_wait import Shelter

T = TypeVar("T")


class Flow(AsyncIterator[T], Generic[T]):
    """An asynchronous iterator over what a generator yields, which closes what it reads from; also a context manager that closes it."""

    def __init__(self, generator: AsyncGenerator[T, None], iterators: Iterable[Any] = ()) -> None:
        self._generator = generator
        # What the generator closes once it has begun.
        self._unread: Iterable[Any] = iterators

    def __aiter__(self) -> Flow[T]:
        return self

    def __anext__(self) -> Any:
        self._unread = ()
        return self._generator.__anext__()

    async def aclose(self) -> None:
        """End it now."""
        unread, self._unread = self._unread, ()
        try:
            await self._generator.aclose()
        finally:
            if unread:
                with Shelter():
                    await close_all(unread)

    async def __aenter__(self) -> Flow[T]:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class Steps(Generic[T]):
    """A plain iterator, read as an asynchronous one."""

    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator

    async def __anext__(self) -> Any:
        for item in self.iterator:
            return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        close = getattr(self.iterator, "close", None)
        if close is not None:
            close()


def reading(source: Any) -> Any:
    """The asynchronous iterator of an iterable of either kind. Raises TypeError for anything else."""
    if hasattr(source, "__aiter__"):
        return source.__aiter__()
    if hasattr(source, "__iter__"):
        return Steps(iter(source))
    raise TypeError(f"an iterable or an asynchronous iterable was expected, got {source!r}")


async def close_all(iterators: Iterable[Any]) -> None:
    """Close each iterator that can be closed, whatever becomes of the others; then raise the last failure."""
    failure: BaseException | None = None
    for iterator in iterators:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            try:
                closing = close()
                if inspect.isawaitable(closing):
                    await closing
            except BaseException as error:
                failure = error
    try:
        if failure is not None:
            raise failure
    finally:
        failure = None  # the error's traceback holds this frame
