"""Flow: an asynchronous iterator that ends cleanly, however it is left.

Invariants
----------
* ``async with`` a flow closes it at the end of the block: what its generator does in `finally` is done then. A flow that is dropped
  half-way closes as asynchronous generators do, by the loop, soon.
* A flow closes what it reads from, even where that fails.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any, Generic, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Flow(AsyncIterator[T], Generic[T]):
    """An asynchronous iterator over what a generator yields; also a context manager that closes it."""

    def __init__(self, generator: AsyncGenerator[T, None]) -> None:
        self._generator = generator

    def __aiter__(self) -> Flow[T]:
        return self

    def __anext__(self) -> Any:
        return self._generator.__anext__()

    async def aclose(self) -> None:
        """End it now."""
        await self._generator.aclose()

    async def __aenter__(self) -> Flow[T]:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._generator.aclose()


def flow(function: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, Flow[T]]:
    """Make a function that returns a flow of an asynchronous generator function."""

    @functools.wraps(function)
    def made(*args: P.args, **kwargs: P.kwargs) -> Flow[T]:
        return Flow(function(*args, **kwargs))

    return made


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
