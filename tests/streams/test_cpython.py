"""CPython's own tests of streams, as the interpreter ships them, with cede's streams in the place of asyncio's."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cede
from cede.streams import api as streams

shipped = pytest.importorskip("test.test_asyncio.test_streams", reason="this Python comes without its tests")

# They are CPython's, and so is how they deal with warnings: some provoke them on purpose.
pytestmark = pytest.mark.filterwarnings("default")


class WithOurStreams(types.ModuleType):
    """asyncio, but for the streams, and for the loop that the tests make."""

    def __init__(self, new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        super().__init__("asyncio")
        self.new_event_loop = new_event_loop
        self.streams = streams
        for name in streams.__all__:
            if hasattr(asyncio, name):
                setattr(self, name, getattr(streams, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


class OnCede(shipped.StreamTests):  # type: ignore[misc,name-defined]
    """What CPython tests, on cede's loop."""

    new_loop = cede.EventLoop

    @pytest.fixture(autouse=True)
    def with_our_streams(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(shipped, "asyncio", WithOurStreams(type(self).new_loop))
        yield
        asyncio.set_event_loop(None)


class OnAsyncio(OnCede):
    """The same on asyncio's loop: our streams do not need our loop."""

    new_loop = asyncio.SelectorEventLoop  # type: ignore[assignment]
