# cython: auto_pickle=False
"""StreamReaderProtocol: what a transport tells, passed on to a reader, and to the handler of a new connection."""

from __future__ import annotations

from asyncio import coroutines
from collections.abc import Callable
from typing import Any

from cede.core import stdlib
from cede.core.task.coroutine_methods import coroutine_methods
from cede.streams import coroutines as stream_coroutines
from cede.streams.flow_control import FlowControlMixin
from cede.streams.reader import StreamReader
from cede.streams.writer import StreamWriter

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

# A loop of cede keeps its pending tasks alive; asyncio's does not, and a handler may live on after its connection.
_handlers: set[Any] = set()


# Here and not in its own module, which the form is made of; nobody derives from the class before.
coroutine_methods(FlowControlMixin, _drain_helper=stream_coroutines.drain_helper)


class StreamReaderProtocol(FlowControlMixin):
    """Feeds a StreamReader; with `client_connected_cb`, serves a new connection by it. ``isinstance(p, asyncio.Protocol)`` holds.

    `client_connected_cb` is called with the reader and a StreamWriter. Where it returns a coroutine, that becomes a task.
    """

    if not cython.compiled:
        _task: Any = None
        _transport: Any = None

    def __init__(
        self,
        stream_reader: Any,
        client_connected_cb: Callable[[Any, Any], Any] | None = None,
        loop: Any = None,
    ) -> None:
        FlowControlMixin.__init__(self, loop)
        self._stream_reader = stream_reader
        # A reader of another class may have a feed_data of its own: it is called by that name.
        self.inflow = stream_reader if type(stream_reader) is StreamReader else None
        self._client_connected_cb = client_connected_cb
        self._transport = None
        self._task = None
        self._over_ssl = False
        self._source_traceback = None if stream_reader is None else stream_reader._source_traceback

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.StreamReaderProtocol if type(self) is StreamReaderProtocol else type(self)

    def connection_made(self, transport: Any) -> None:
        """The connection is there."""
        self._transport = transport
        if self._stream_reader is not None:
            self._stream_reader.set_transport(transport)
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if self._client_connected_cb is not None:
            self.serve(transport)

    def serve(self, transport: Any) -> int:
        loop = self._loop
        watch = HandlerWatch(loop, transport)
        writer = StreamWriter(transport, self, self._stream_reader, loop)
        try:
            result = self._client_connected_cb(self._stream_reader, writer)
        except Exception as error:
            watch.report(error)
            return 0
        if coroutines.iscoroutine(result):
            self._task = loop.create_task(result)
            _handlers.add(self._task)
            self._task.add_done_callback(watch)
        return 0

    def _replace_transport(self, transport: Any) -> None:
        """The connection goes on over another transport, as after an upgrade to TLS."""
        self._transport = transport
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if self._stream_reader is not None:
            self._stream_reader._replace_transport(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is over; the reader gets the rest, then the end, or `exc`."""
        reader = self._stream_reader
        if reader is not None:
            if exc is None:
                reader.feed_eof()
            else:
                reader.set_exception(exc)
        self.lose(exc)
        self._stream_reader = None
        self.inflow = None
        self._task = None
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self.inflow is not None:
            self.inflow.receive(data)
        elif self._stream_reader is not None:
            self._stream_reader.feed_data(data)

    def eof_received(self) -> bool:
        """The peer will send no more. Over TCP and Unix sockets the other direction stays open."""
        if self._stream_reader is not None:
            self._stream_reader.feed_eof()
        # TLS has no half-closed connections here, and warns about an answer that asks for one.
        return not self._over_ssl


class HandlerWatch:
    """Called when a handler's task is done: a failure is reported, and closes the connection."""

    def __init__(self, loop: Any, transport: Any) -> None:
        self.loop = loop
        self.transport = transport

    def __call__(self, task: Any) -> None:
        _handlers.discard(task)
        if task.cancelled():
            self.transport.close()
        elif task.exception() is not None:
            self.report(task.exception())

    def report(self, error: BaseException) -> int:
        self.loop.call_exception_handler(
            {
                "message": "Unhandled exception in client_connected_cb",
                "exception": error,
                "transport": self.transport,
            }
        )
        self.transport.close()
        return 0
