"""Values that nobody should pass, and some that somebody might."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import math
import random
import socket
from collections.abc import Callable
from typing import Any

import cede


class Evil:
    """Raises wherever it is asked anything."""

    def _fail(self, *args: Any) -> Any:
        raise ZeroDivisionError("evil")

    __eq__ = __lt__ = __bool__ = __len__ = __index__ = __iter__ = __call__ = __str__ = __repr__ = __getattr__ = _fail  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class Mutator:
    """Says it equals nothing, and changes the future that it is compared for."""

    target: Any = None

    def __eq__(self, other: object) -> bool:
        if self.target is not None:
            self.target.remove_done_callback(print)
            self.target.add_done_callback(len)
        return False

    __hash__ = object.__hash__


class Collector:
    """Collects garbage while it dies."""

    def __del__(self) -> None:
        gc.collect()


class FutureLike:
    _asyncio_future_blocking: Any = True

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


async def coroutine() -> str:
    await asyncio.sleep(0)
    return "done"


async def failing() -> None:
    raise KeyError("failing")


def generator() -> Any:
    yield
    yield 7
    yield asyncio.sleep(0)


class SubclassOfInt(int):
    pass


def makers(loop: Any, rng: random.Random) -> list[Callable[[], Any]]:
    """One function for each kind of junk."""
    plain = (
        None, True, False, 0, 1, -1, 7, 2**31, -(2**63), 2**70, SubclassOfInt(3), 0.0, -0.5, 1e-9, 1e300, math.nan, math.inf,
        "", "name", "\ud800", "x" * 1000, b"", b"bytes", (), (1, 2), [], [None],
        {}, {"a": 1}, set(), object, int, ..., NotImplemented, print, len,
        ValueError, ValueError("given"), StopIteration, StopIteration(3), asyncio.CancelledError, asyncio.CancelledError("x"),
        GeneratorExit, BaseException, asyncio, asyncio.Future, asyncio.Task, 1j,
    )  # fmt: skip
    values: list[Callable[[], Any]] = [lambda value=value: value for value in plain]  # type: ignore[misc]
    return [
        *values, object, Evil, Mutator, Collector, FutureLike, bytearray,
        lambda: memoryview(b"view"), lambda: lambda *args, **kwargs: None,
        coroutine, failing, generator, contextvars.copy_context, contextvars.Context,
        loop.create_future, lambda: cede.Task(coroutine(), loop=loop),
        lambda: loop, lambda: asyncio.Future(loop=loop), lambda: loop.call_soon(print), lambda: loop.call_later(rng.random(), len),
        lambda: socket.socket(), lambda: iter([1, 2]), lambda: rng.random(), lambda: rng.randrange(-10, 100),
    ]  # fmt: skip
