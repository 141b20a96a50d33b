"""One worker process, seen from its parent.

Invariants
----------
* It ends with its parent: a pipe that nobody writes to is held open by this process alone, and when that ends, however it does, the
  system kills the worker's process group.
* It is signalled as long as nobody has collected it, so its number is its own; and with it goes what it has started, which is in its
  process group.
* Its death ends its call, also where a process that it has forked lives on and holds the worker's end of the socket.
* It has one call at a time. One whose call was given up is killed, never used again.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from typing import Any

from cede.core.task.operation import new_waiter
from cede.core.weak_ordered_set import WeakOrderedSet
from cede.offload import worker
from cede.offload.errors import WorkerDied

READ_AT_ONCE = 1 << 16
LARGEST_READ = 1 << 20
# A process that was killed is gone in a moment, unless the system itself is stuck in it.
PATIENCE = 5.0
LOOK_EVERY = 0.002
# A call that takes longer than this, in seconds, watches the process, and not its socket alone; where the system has no pidfd it looks as
# often. Shorter ones do not pay for it.
WATCH_AFTER = 0.02

_open_pidfd = getattr(os, "pidfd_open", None)
_ours = WeakOrderedSet()


class Worker:
    """Starts a process, which takes a moment to be ready; calls may be made at once.

    Raises RuntimeError where this process is itself a worker that is being set up, OSError where none can be started.
    """

    def __init__(self, name: str) -> None:
        data = preparation(name)
        from multiprocessing import process, spawn

        data["name"] = name
        data["dir"] = os.getcwd()
        data["orig_dir"] = process.ORIGINAL_DIR  # type: ignore[attr-defined]
        data["authkey"] = bytes(process.current_process().authkey)
        self._unsent = worker.message(worker.SETUP, pickle.dumps(data))
        self._home = os.getpid()
        self.sock, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        try:
            command = [os.fsdecode(spawn.get_executable()), *subprocess._args_from_interpreter_flags()]  # type: ignore[attr-defined]
            self.popen = subprocess.Popen(
                [*command, worker.__file__, str(theirs.fileno()), str(lifeline)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), lifeline),
                process_group=0,  # Ctrl-C is for the program, which then stops its work
            )
        except BaseException:
            self.sock.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self.sock.setblocking(False)
        self.pid = self.popen.pid
        self._timer: asyncio.TimerHandle | None = None
        self._pidfd = -1
        _ours.add(self)

    def has_ended(self) -> bool:
        """Whether the process is over. Does not collect it, so that its number, which is that of its group, stays its own."""
        if self.popen.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return self.popen.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True  # somebody else has collected it

    async def call(self, packed: bytes) -> tuple[bytes, bytes | bytearray]:
        """Send a packed call; the kind and the payload of the answer. Raises WorkerDied where the process ends before it has answered.

        However else this ends, the worker is of no use any more.
        """
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(WATCH_AFTER, self._watch, loop)
        try:
            await loop.sock_sendall(self.sock, self._unsent + worker.message(worker.CALL, packed))
            self._unsent = b""
            return await self._receive(loop)
        except (ConnectionError, EOFError):
            raise WorkerDied("", self.pid) from None
        finally:
            self._unwatch(loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the call end with the process."""
        self._timer = None
        if self.has_ended():
            self._cut()
            return
        try:
            if _open_pidfd is None:
                raise OSError("no pidfd on this system")
            self._pidfd = _open_pidfd(self.pid)
        except OSError:
            self._timer = loop.call_later(WATCH_AFTER, self._watch, loop)
        else:
            loop.add_reader(self._pidfd, self._process_ended, loop)

    def _process_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        self._unwatch(loop)
        self._cut()

    def _cut(self) -> None:
        """The process is over. What it has answered before can still be read; then the stream ends."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed, or nobody is at the other end

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pidfd >= 0:
            pidfd, self._pidfd = self._pidfd, -1
            loop.remove_reader(pidfd)
            os.close(pidfd)

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> tuple[bytes, bytes | bytearray]:
        first = b""
        while len(first) < worker.HEADER.size:
            first += await self._some(loop, READ_AT_ONCE)
        kind, length = worker.HEADER.unpack_from(first)
        rest = first[worker.HEADER.size :]
        if len(rest) == length:
            return kind, rest
        whole = bytearray(length)
        whole[: len(rest)] = rest
        view = memoryview(whole)[len(rest) :]
        while view:
            count = await loop.sock_recv_into(self.sock, view[:LARGEST_READ])
            if not count:
                raise EOFError
            view = view[count:]
        return kind, whole

    async def _some(self, loop: asyncio.AbstractEventLoop, most: int) -> bytes:
        data = await loop.sock_recv(self.sock, most)
        if not data:
            raise EOFError
        return data

    # -- the end

    def kill(self) -> None:
        """Kill it, and what it has started."""
        if self._home == os.getpid() and self.popen.returncode is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # it has ended, and all that it started

    async def gone(self, patience: float) -> None:
        """Wait until it has ended, at most so many seconds."""
        if self.has_ended():
            return
        try:
            async with asyncio.timeout(patience):
                await self._wait()
        except TimeoutError:
            pass

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if _open_pidfd is None:
                raise OSError("no pidfd on this system")
            pidfd = _open_pidfd(self.pid)
        except OSError:
            while not self.has_ended():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(LOOK_EVERY)
            return
        try:
            ended = new_waiter(loop, self)
            loop.add_reader(pidfd, _settle, ended)
            try:
                await ended
            finally:
                loop.remove_reader(pidfd)
        finally:
            os.close(pidfd)

    def close(self) -> int | None:
        """Give back what belongs to it, after its end; its exit status where that is known. Waits for a process that was killed and is
        not gone yet.
        """
        _ours.discard(self)
        self.sock.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._home != os.getpid():
            return None
        try:
            return self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return None

    def finish(self) -> None:
        """Ask it to end by itself: there are no more calls."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has ended

    def _disown(self) -> None:
        """In a forked child: the worker is the parent's, and must see the end of the parent and not of the child."""
        self.popen.returncode = 0
        self.sock.close()
        os.close(self._lifeline)
        self._lifeline = -1
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def preparation(name: str) -> dict[str, Any]:
    """What an interpreter has to be told of this one, so that it finds the same modules. Raises RuntimeError where this is one that is
    being told.
    """
    from multiprocessing import process, spawn

    if getattr(process.current_process(), "_inheriting", False):
        raise RuntimeError(
            "work was sent away while the main module of the program was imported by a worker: put what starts the program under "
            "`if __name__ == '__main__':`"
        )
    found = spawn.get_preparation_data(name)
    return {key: value for key, value in found.items() if key in ("sys_path", "sys_argv") or key.startswith("init_main")}


def end_all(workers: dict[Worker, None]) -> None:
    """Kill them and wait for that."""
    left = list(workers)
    workers.clear()
    for each in left:
        each.kill()
    for each in left:
        each.close()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _disown_in_child() -> None:
    for each in list(_ours):
        each._disown()
    _ours.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_in_child)

if sys.platform == "win32":  # no process groups, no descriptors to pass
    raise ImportError("cede's pools of processes need a POSIX system")
