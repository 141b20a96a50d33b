"""Where the tests of streams run: asyncio's streams as the oracle, and cede's on its own loop and on asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import cede
from cede.streams import api as streams


class World:
    """One kind of streams on one kind of loop."""

    def __init__(self, name: str, module: Any, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.name = name
        self.module = module
        self.new_loop = new_loop
        self.ours = module is streams

    def __repr__(self) -> str:
        return self.name

    def run(self, main: Callable[[], Any], *, debug: bool | None = None) -> Any:
        with asyncio.Runner(loop_factory=self.new_loop, debug=debug) as runner:
            return runner.run(main())

    def reader(self, **options: Any) -> Any:
        return self.module.StreamReader(loop=asyncio.get_running_loop(), **options)

    def connected_writer(self, transport: Any, **options: Any) -> Any:
        """A reader and a writer over `transport`, which is a fake."""
        loop = asyncio.get_running_loop()
        reader = self.reader(**options)
        protocol = self.module.StreamReaderProtocol(reader, loop=loop)
        protocol.connection_made(transport)
        return reader, self.module.StreamWriter(transport, protocol, reader, loop), protocol


class FakeTransport(asyncio.Transport):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.written: list[bytes] = []
        self.closing = False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closing = True
        self.calls.append("close")

    def is_closing(self) -> bool:
        return self.closing

    def __repr__(self) -> str:
        return "<FakeTransport>"


ORACLE = World("asyncio", asyncio.streams, asyncio.SelectorEventLoop)
ON_CEDE = World("cede", streams, cede.EventLoop)
ON_ASYNCIO = World("cede-on-asyncio", streams, asyncio.SelectorEventLoop)
WORLDS = [ORACLE, ON_CEDE, ON_ASYNCIO]


async def turns(count: int) -> None:
    """Let everything that is ready run, that many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def outcome(awaitable: Any) -> Any:
    """The result, or the exception as something that can be compared."""
    try:
        return await awaitable
    except Exception as error:
        found = [type(error), str(error)]
        if isinstance(error, asyncio.IncompleteReadError):
            found += [error.partial, error.expected]
        if isinstance(error, asyncio.LimitOverrunError):
            found.append(error.consumed)
        return found
