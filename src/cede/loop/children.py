"""Subprocesses, on the standard library's subprocess transport, with an end-of-process watch of our own.

The watch is a pidfd, which becomes readable when the child ends: no SIGCHLD handler (that signal is the program's), no
thread. Where the system has none, a thread waits for the one child. Either way only this child's number is waited for.
"""

from __future__ import annotations

import os
import subprocess
import threading
import warnings
from asyncio import unix_events
from typing import TYPE_CHECKING, Any

from cede.loop.part import Part

if TYPE_CHECKING:
    from collections.abc import Callable

_PIPE = subprocess.PIPE


def _collect(pid: int) -> int:
    """The exit status of the child `pid`, which has ended or is waited for; 255 and a warning where somebody else
    collected it.
    """
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        warnings.warn(
            f"child process pid {pid} exit status already read: will report returncode 255",
            RuntimeWarning,
            stacklevel=2,
        )
        return 255
    return os.waitstatus_to_exitcode(status)


class ChildrenPart(Part):
    """``subprocess_exec`` and ``subprocess_shell``."""

    async def subprocess_shell(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        cmd: str | bytes,
        *,
        stdin: Any = _PIPE,
        stdout: Any = _PIPE,
        stderr: Any = _PIPE,
        shell: bool = True,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Run `cmd` by the shell; return ``(transport, protocol)``. Other options are those of subprocess.Popen, text
        modes excepted.
        """
        if not isinstance(cmd, (bytes, str)):
            raise ValueError(f"cmd must be a string, got {cmd!r}")
        if not shell:
            raise ValueError("shell must be True")
        return await self._start_child(protocol_factory, cmd, True, stdin, stdout, stderr, options)

    async def subprocess_exec(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], Any],
        program: Any,
        *args: Any,
        stdin: Any = _PIPE,
        stdout: Any = _PIPE,
        stderr: Any = _PIPE,
        shell: bool = False,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Run `program` with `args`; return ``(transport, protocol)``. Other options are those of subprocess.Popen,
        text modes excepted.
        """
        if shell:
            raise ValueError("shell must be False")
        return await self._start_child(protocol_factory, (program, *args), False, stdin, stdout, stderr, options)

    async def _start_child(
        self,
        protocol_factory: Callable[[], Any],
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        self._check_closed()
        for name, only in (
            ("universal_newlines", False),
            ("bufsize", 0),
            ("text", False),
            ("encoding", None),
            ("errors", None),
        ):
            if options.pop(name, only) not in (only, None):
                raise ValueError(f"{name} must be {only}")
        protocol = protocol_factory()
        waiter = self.create_future()
        transport = unix_events._UnixSubprocessTransport(  # type: ignore[attr-defined]
            self, protocol, args, shell, stdin, stdout, stderr, 0, waiter=waiter, **options
        )
        self._watch_child(transport.get_pid(), transport._process_exited)
        try:
            await waiter
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport, protocol

    def _watch_child(self, pid: int, ended: Callable[[int], object]) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):
            # Not Linux, an older one, or a sandbox that forbids it.
            threading.Thread(target=self._wait_for_child, args=(pid, ended), name=f"cede-waitpid-{pid}", daemon=True).start()
            return
        self._add_reader(pidfd, self._child_ended, pid, pidfd, ended)

    def _child_ended(self, pid: int, pidfd: int, ended: Callable[[int], object]) -> None:
        self._remove_reader(pidfd)
        os.close(pidfd)
        ended(_collect(pid))

    def _wait_for_child(self, pid: int, ended: Callable[[int], object]) -> None:
        status = _collect(pid)
        try:
            self.call_soon_threadsafe(ended, status)
        except RuntimeError:
            if not self.is_closed():
                raise
