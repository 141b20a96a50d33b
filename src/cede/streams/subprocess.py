"""Child processes whose pipes are streams: asyncio's functions of these names, with cede's own reader and writer, on any loop."""

from __future__ import annotations

import subprocess
from asyncio import events
from asyncio import subprocess as stock
from asyncio.subprocess import Process as StockProcess
from asyncio.subprocess import SubprocessStreamProtocol as StockProtocol
from typing import Any

from cede.core.lazy_imports import own
from cede.streams.flow_control import FlowControlMixin
from cede.streams.reader import DEFAULT_LIMIT, StreamReader
from cede.streams.writer import StreamWriter
from cede.tasks.gather import gather

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Process", "SubprocessStreamProtocol", "create_subprocess_exec", "create_subprocess_shell"]

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL

NAMES = ("stdin", "stdout", "stderr")

for _name in ("StockProcess", "StockProtocol"):  # now, also where Python puts imports off: later these names mean cede's own
    own(globals(), _name)


class SubprocessStreamProtocol(FlowControlMixin):
    """What a subprocess transport tells, passed on to a writer and two readers. ``isinstance(p, asyncio.SubprocessProtocol)`` holds.

    limit: the readers' limit, in bytes.
    """

    def __init__(self, limit: int, loop: Any) -> None:
        super().__init__(loop=loop)
        self._limit = limit
        self._transport: Any = None
        self._process_exited = False
        self.stdin: StreamWriter | None = None
        self.readers: dict[int, StreamReader] = {}
        self.open_outputs: set[int] = set()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return StockProtocol if type(self) is SubprocessStreamProtocol else type(self)

    @property
    def stdout(self) -> StreamReader | None:
        """The reader of the child's standard output, where that is a pipe."""
        return self.readers.get(1)

    @property
    def stderr(self) -> StreamReader | None:
        """The reader of the child's standard error, where that is a pipe."""
        return self.readers.get(2)

    def connection_made(self, transport: Any) -> None:
        """The child runs, and its pipes are there."""
        self._transport = transport
        for fd in (1, 2):
            pipe = transport.get_pipe_transport(fd)
            if pipe is not None:
                reader = self.readers[fd] = StreamReader(self._limit, self._loop)
                reader.set_transport(pipe)
                self.open_outputs.add(fd)
        pipe = transport.get_pipe_transport(0)
        if pipe is not None:
            self.stdin = StreamWriter(pipe, self, None, self._loop)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """The child wrote `data`."""
        reader = self.readers.get(fd)
        if reader is not None:
            reader.feed_data(data)

    def pipe_connection_lost(self, fd: int, exc: BaseException | None) -> None:
        """One of the pipes is gone, for `exc` where that was no proper end."""
        if fd == 0:
            if self.stdin is not None:
                self.stdin.close()
            self.connection_lost(exc)
            return
        reader = self.readers.get(fd)
        if reader is not None:
            if exc is None:
                reader.feed_eof()
            else:
                reader.set_exception(exc)
        self.open_outputs.discard(fd)
        self.close_if_over()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The pipe that is written to is gone. What is told later, of the whole, does not change what it was lost with."""
        if not self._connection_lost:
            super().connection_lost(exc)

    def process_exited(self) -> None:
        """The process has ended; what it wrote may still be on its way."""
        self._process_exited = True
        self.close_if_over()

    def close_if_over(self) -> None:
        if self._process_exited and not self.open_outputs and self._transport is not None:
            transport, self._transport = self._transport, None
            transport.close()

    def __repr__(self) -> str:
        streams = [f"{name}={stream!r}" for name in NAMES if (stream := getattr(self, name)) is not None]
        return f"<{' '.join([type(self).__name__, *streams])}>"


class Process:
    """A child process. asyncio.subprocess.Process's API, and ``isinstance(process, asyncio.subprocess.Process)`` holds.

    stdin, stdout, stderr: a StreamWriter and two StreamReaders, each None where that was not made a pipe. pid: the process's number.
    """

    def __init__(self, transport: Any, protocol: Any, loop: Any) -> None:
        self._transport = transport
        self._protocol = protocol
        self._loop = loop
        self.stdin: Any = protocol.stdin
        self.stdout: Any = protocol.stdout
        self.stderr: Any = protocol.stderr
        self.pid: int = transport.get_pid()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return StockProcess if type(self) is Process else type(self)

    @property
    def returncode(self) -> int | None:
        """The exit status; minus the signal that ended the process; None while it runs, or nobody has looked."""
        return self._transport.get_returncode()  # type: ignore[no-any-return]

    async def wait(self) -> int:
        """Wait until the process has ended; the result is its exit status.

        A child that writes more than its pipes hold, and whose output nobody reads, never ends: `communicate` reads.
        """
        return await self._transport._wait()  # type: ignore[no-any-return]

    def send_signal(self, signal: int) -> None:
        """Send `signal` to the process. ProcessLookupError where it is known to have ended."""
        self._transport.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM, as by `send_signal`."""
        self._transport.terminate()

    def kill(self) -> None:
        """Send SIGKILL, as by `send_signal`."""
        self._transport.kill()

    async def communicate(self, input: Any = None) -> tuple[bytes | None, bytes | None]:
        """Write `input`, if any, and close stdin; read stdout and stderr to their ends; wait for the process.

        Returns what was read, None for what is no pipe.

        A child that does not want all of the input is no error. Raises ValueError where there is input and stdin is no pipe.
        """
        if input and self.stdin is None:
            raise ValueError("communicate(): input was given, but stdin is no pipe: pass stdin=PIPE when the process is made")
        outputs: list[Any] = [None, None]

        async def read(index: int, reader: StreamReader) -> None:
            outputs[index] = await reader.read()
            self._transport.get_pipe_transport(index + 1).close()

        work: list[Any] = [read(index, reader) for index, reader in enumerate((self.stdout, self.stderr)) if reader is not None]
        if self.stdin is not None:
            work.insert(0, self._feed(input))
        if len(work) == 1:
            await work[0]
        else:
            await gather(*work)
        await self.wait()
        return outputs[0], outputs[1]

    async def _feed(self, data: Any) -> None:
        try:
            if data is not None:
                self.stdin.write(data)
                await self.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the child has read as much as it wanted
        self.stdin.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pid}>"


async def create_subprocess_exec(
    program: Any, *args: Any, stdin: Any = None, stdout: Any = None, stderr: Any = None, limit: int = DEFAULT_LIMIT, **kwds: Any
) -> Process:
    """Run `program` with `args` as a child process.

    stdin, stdout, stderr: PIPE for a stream, DEVNULL, a file, or None for what this process has; stderr may be STDOUT. limit: the readers'
    limit, in bytes. All else goes to ``loop.subprocess_exec``, and so do its errors come back.
    """
    loop: Any = events.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit, loop), program, *args, stdin=stdin, stdout=stdout, stderr=stderr, **kwds
    )
    return Process(transport, protocol, loop)


async def create_subprocess_shell(
    cmd: str | bytes, stdin: Any = None, stdout: Any = None, stderr: Any = None, limit: int = DEFAULT_LIMIT, **kwds: Any
) -> Process:
    """Run `cmd` by the shell; as `create_subprocess_exec`, over ``loop.subprocess_shell``."""
    loop: Any = events.get_running_loop()
    transport, protocol = await loop.subprocess_shell(
        lambda: SubprocessStreamProtocol(limit, loop), cmd, stdin=stdin, stdout=stdout, stderr=stderr, **kwds
    )
    return Process(transport, protocol, loop)


def __getattr__(name: str) -> Any:
    """What else asyncio.subprocess holds."""
    if name in globals():
        return own(globals(), name)
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not asked of asyncio: once a process is on cede, this module stands there.
    return getattr(stock, name)
