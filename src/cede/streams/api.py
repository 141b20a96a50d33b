"""Streams: connections and servers as pairs of a reader and a writer.

asyncio's functions of these names, with cede's own reader and writer. They run on any loop, and are fast on cede's.
"""

from __future__ import annotations

import os
from asyncio import events
from collections.abc import Callable
from typing import Any

from cede.streams.flow_control import FlowControlMixin
from cede.streams.protocol import StreamReaderProtocol
from cede.streams.reader import DEFAULT_LIMIT, StreamReader
from cede.streams.writer import StreamWriter

__all__ = [
    "FlowControlMixin",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
]


async def open_connection(
    host: str | None = None, port: int | str | None = None, *, limit: int = DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to `host` and `port`; returns the reader and the writer.

    `limit` is the reader's, in bytes; all else goes to ``loop.create_connection``, and so do its errors come back.
    """
    loop: Any = events.get_running_loop()
    protocol = StreamReaderProtocol(StreamReader(limit, loop), loop=loop)
    reader = protocol._stream_reader
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def open_unix_connection(
    path: str | os.PathLike[str] | None = None, *, limit: int = DEFAULT_LIMIT, **kwds: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to the Unix socket at `path`; as `open_connection`, over ``loop.create_unix_connection``."""
    loop: Any = events.get_running_loop()
    protocol = StreamReaderProtocol(StreamReader(limit, loop), loop=loop)
    reader = protocol._stream_reader
    transport, _ = await loop.create_unix_connection(lambda: protocol, path, **kwds)
    return reader, StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client_connected_cb: Callable[[StreamReader, StreamWriter], Any],
    host: Any = None,
    port: int | str | None = None,
    *,
    limit: int = DEFAULT_LIMIT,
    **kwds: Any,
) -> Any:
    """Serve on `host` and `port`: each new connection is given to `client_connected_cb`, as a reader and a writer.

    A coroutine that it returns is run as a task. `limit` is the readers', in bytes; all else goes to ``loop.create_server``,
    whose Server is returned.
    """
    loop: Any = events.get_running_loop()

    def new_protocol() -> StreamReaderProtocol:
        return StreamReaderProtocol(StreamReader(limit, loop), client_connected_cb, loop)

    return await loop.create_server(new_protocol, host, port, **kwds)


async def start_unix_server(
    client_connected_cb: Callable[[StreamReader, StreamWriter], Any],
    path: str | os.PathLike[str] | None = None,
    *,
    limit: int = DEFAULT_LIMIT,
    **kwds: Any,
) -> Any:
    """Serve on the Unix socket `path`; as `start_server`, over ``loop.create_unix_server``."""
    loop: Any = events.get_running_loop()

    def new_protocol() -> StreamReaderProtocol:
        return StreamReaderProtocol(StreamReader(limit, loop), client_connected_cb, loop)

    return await loop.create_unix_server(new_protocol, path, **kwds)
