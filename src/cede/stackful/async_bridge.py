"""async with and async for, for plain functions that run on a stack of their own."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

from cede.stackful.coroutine import wait

T = TypeVar("T")


@contextmanager
def entered(manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """``with entered(manager) as value``: an ``async with`` that a plain function can write."""
    kind = type(manager)
    value = wait(kind.__aenter__(manager))
    try:
        yield value
    except BaseException as error:
        if not wait(kind.__aexit__(manager, type(error), error, error.__traceback__)):
            raise
    else:
        wait(kind.__aexit__(manager, None, None, None))


def iterate(iterable: AsyncIterable[T]) -> Iterator[T]:
    """``for item in iterate(iterable)``: an ``async for`` that a plain function can write.

    Left early, or dropped inside of the stack, an async generator is closed, so that its ``finally`` runs.
    """
    iterator = iterable.__aiter__()
    try:
        while True:
            try:
                item = wait(iterator.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            wait(close())
