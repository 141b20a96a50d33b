"""A progress bar on request, through whichever of rich and tqdm is installed."""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator
from typing import Any


class RichBar:
    """rich's."""

    def __init__(self, total: int | None, name: str) -> None:
        self.bar: Any = importlib.import_module("rich.progress").Progress(transient=False)
        self.line = self.bar.add_task(name, total=total)
        self.bar.start()

    def advance(self) -> None:
        self.bar.advance(self.line)

    def close(self) -> None:
        self.bar.stop()


class TqdmBar:
    """tqdm's."""

    def __init__(self, total: int | None, name: str) -> None:
        self.bar: Any = importlib.import_module("tqdm").tqdm(total=total, desc=name)

    def advance(self) -> None:
        self.bar.update(1)

    def close(self) -> None:
        self.bar.close()


def bar(total: int | None, name: str) -> Any:
    """A bar for `total` steps, None where that is not known. Raises RuntimeError where neither library is installed."""
    for kind in (RichBar, TqdmBar):
        try:
            return kind(total, name)
        except ModuleNotFoundError:
            continue
    raise RuntimeError("progress=True needs rich or tqdm: install one of them (pip install rich), or leave progress out")


async def shown(results: AsyncGenerator[Any, None], total: int | None, name: str) -> AsyncGenerator[Any, None]:
    """`results`, with a bar that advances with each."""
    try:
        line = bar(total, name)
        try:
            async for result in results:
                line.advance()
                yield result
        finally:
            line.close()
    finally:
        await results.aclose()
