"""The subprocess transport: a protocol's view of a child process and of its pipes.

Invariants
----------
* `connection_made` comes first, from the ring. What happens before it is kept, and told right after it.
* `connection_lost` comes last, exactly once: after `process_exited`, and after `pipe_connection_lost` of each pipe. Nothing is told
  after it.
* Everything is told from the ring, in the turn behind the one in which the pipe or the process has told it here, as on asyncio.
* What the child wrote is told before its pipe's `pipe_connection_lost`. Whether the end of the process or of a pipe comes
  first is the child's business.
* An error of the protocol's is reported, and changes nothing about what it is told next.
* The descriptors of the pipes belong to Popen's file objects, and those to the pipe transports once these exist.
"""

from __future__ import annotations

import signal
import subprocess
import warnings
from asyncio import sleep, transports
from asyncio.log import logger
from typing import TYPE_CHECKING, Any

from cede.net.creation_site import note_origin, origin_of
from cede.process.child import Child
from cede.process.pipes import ChildInput, ChildOutput

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class SubprocessTransport(transports.SubprocessTransport):
    """asyncio's SubprocessTransport, over the process that `popen` has just started.

    It is watched from now on; the protocol hears nothing before `connect` was awaited.
    """

    def __init__(self, loop: Any, protocol: asyncio.BaseProtocol, popen: subprocess.Popen[bytes]) -> None:
        super().__init__({"subprocess": popen})
        self._loop = loop
        self._protocol: Any = protocol
        self._child = Child(popen)
        self._returncode: int | None = None
        self._pipes: dict[int, ChildInput] = {}
        # What the protocol is to be told behind `connection_made`; None once that is on its way.
        self._early: list[tuple[Any, str, tuple[Any, ...]]] | None = []
        self._waiters: list[asyncio.Future[int]] = []
        self._answered = False  # those who wait for the process
        self._connected = False
        self._closed = False
        self._lost = False  # connection_lost is on its way
        self._gone = False  # and has been told
        if loop.get_debug():
            note_origin(self)
        try:
            self._child.watch(loop, self._process_ended)
        except BaseException:
            popen.kill()
            popen.wait()
            self._close_files()
            self._closed = True
            raise

    async def connect(self) -> None:
        """Take the pipes over, then tell the protocol ``connection_made``. Where that fails or is cancelled, `close` has to follow."""
        loop = self._loop
        await sleep(0)  # asyncio connects them in a task of its own, which begins in the next turn
        popen = self._child.popen
        for fd, file in enumerate((popen.stdin, popen.stdout, popen.stderr)):
            if file is None:
                continue
            end = ChildOutput(self, fd) if fd else ChildInput(self, fd)
            self._pipes[fd] = end
            connecting = loop.connect_read_pipe if fd else loop.connect_write_pipe
            await connecting(lambda end=end: end, file)
        self._connected = True
        early, self._early = self._early, None
        self._tell("connection_made", self)
        for protocol, event, args in early or ():
            loop.call_soon(self._call, protocol, event, args)
        self._finish_if_over()
        await sleep(0)

    # -- what the child and its pipes say

    def _process_ended(self, returncode: int) -> None:
        self._returncode = returncode
        if self._loop.get_debug():
            logger.info("%r exited with return code %r", self, returncode)
        self._tell("process_exited")
        self._finish_if_over()
        # Whoever waits for the process does not wait for its pipes, which a grandchild may hold open. But what was heard of them in this
        # turn, whichever came first, is told in the next one, and who reads has it in the one after that.
        self._loop.call_soon(self._loop.call_soon, self._answer_waiters, returncode)

    def _answer_waiters(self, returncode: int) -> None:
        self._answered = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(returncode)

    def pipe_data(self, fd: int, data: bytes) -> None:
        """The child wrote `data` to its descriptor `fd`."""
        self._tell("pipe_data_received", fd, data)

    def pipe_lost(self, fd: int, error: BaseException | None) -> None:
        """The pipe to or from the child's descriptor `fd` is gone."""
        self._tell("pipe_connection_lost", fd, error)
        self._finish_if_over()

    def tell_flow(self, event: str) -> None:
        """`event` is pause_writing or resume_writing; what they raise is the pipe transport's to report."""
        getattr(self._protocol, event)()

    def _tell(self, event: str, *args: Any) -> None:
        if self._early is None:
            self._loop.call_soon(self._call, self._protocol, event, args)
        else:
            self._early.append((self._protocol, event, args))

    def _call(self, protocol: Any, event: str, args: tuple[Any, ...]) -> None:
        try:
            getattr(protocol, event)(*args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self._loop.call_exception_handler(
                {
                    "message": f"Exception in callback protocol.{event}()",
                    "exception": error,
                    "protocol": protocol,
                    "transport": self,
                }
            )

    def _finish_if_over(self) -> None:
        if self._lost or self._returncode is None or self._early is not None:
            return
        if all(end.disconnected for end in self._pipes.values()):
            self._lost = True
            self._loop.call_soon(self._tell_lost)

    def _tell_lost(self) -> None:
        try:
            self._call(self._protocol, "connection_lost", (None,))
        finally:
            self._closed = True
            self._gone = True
            self._protocol = None

    # -- what the program says

    def __repr__(self) -> str:
        parts = [type(self).__name__]
        if self._closed:
            parts.append("closed")
        parts.append(f"pid={self._child.pid}")
        parts.append("running" if self._returncode is None else f"returncode={self._returncode}")
        for fd, name in enumerate(("stdin", "stdout", "stderr")):
            if fd in self._pipes:
                parts.append(f"{name}={self._pipes[fd].pipe!r}")
        parts += origin_of(self)
        return f"<{' '.join(parts)}>"

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on `protocol` is told."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """The protocol; None once the process and its pipes are gone."""
        return self._protocol

    def is_closing(self) -> bool:
        """Whether `close` was called, or all is over."""
        return self._closed

    def get_pid(self) -> int:
        """The number of the process; it may be somebody else's once `get_returncode` is not None."""
        return self._child.pid

    def get_returncode(self) -> int | None:
        """The exit status; minus the signal that ended the process; None while it runs."""
        return self._returncode

    def get_pipe_transport(self, fd: int) -> Any:
        """The transport of the pipe to the child's descriptor 0, or from 1 or 2; None where that is no pipe."""
        end = self._pipes.get(fd)
        return None if end is None else end.pipe

    def send_signal(self, signal: int) -> None:
        """Send `signal` to the process, and to no other: nothing happens where it has ended.

        Raises ProcessLookupError after ``connection_lost``, PermissionError where the process runs as somebody else.
        """
        if self._gone:
            raise ProcessLookupError(f"process {self._child.pid} has ended with return code {self._returncode}")
        self._child.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM, as by `send_signal`."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, as by `send_signal`."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes, and kill the process if it still runs. It is collected all the same, and the protocol told."""
        if self._closed:
            return
        self._closed = True
        running = self._child.popen.returncode is None
        if running:
            if self._loop.get_debug():
                logger.warning("Close running child process: kill %r", self)
            # The program may have replaced the Popen's own kill, to be asked first.
            kill = vars(self._child.popen).get("kill", self.kill)
            try:
                kill()
            except (PermissionError, ProcessLookupError):
                pass  # it runs as somebody else: it is left to itself, and still watched
        if self._loop.is_closed():
            self._close_files()
            return
        for fd, end in self._pipes.items():
            if end.pipe is None:
                continue
            if running and fd == 0:
                end.pipe.abort()  # nobody is there to read what is queued
            else:
                end.pipe.close()
        if not self._connected:
            # A turn later: whoever was about to take one of them over has let go of it by then.
            self._loop.call_soon(self._close_files)

    def _close_files(self) -> None:
        """Close what no pipe transport owns."""
        popen = self._child.popen
        for fd, file in enumerate((popen.stdin, popen.stdout, popen.stderr)):
            if file is not None and (fd not in self._pipes or self._pipes[fd].pipe is None):
                file.close()

    def __del__(self, _warn: Callable[..., Any] = warnings.warn) -> None:
        if not getattr(self, "_closed", True):
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self.close()
            self._child.release()

    # -- names that asyncio.subprocess and others call

    async def _wait(self) -> int:
        """The exit status, when the process has ended."""
        if self._returncode is not None and self._answered:
            return self._returncode
        waiter = self._loop.new_waiter(self)
        self._waiters.append(waiter)
        try:
            return int(await waiter)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    @property
    def _proc(self) -> Any:
        return None if self._gone else self._child.popen

    @property
    def _pid(self) -> int:
        return self._child.pid
