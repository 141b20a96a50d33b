"""One child process: its end, told once, and its signals, which reach it or nobody.

Invariants
----------
* **A number is not an identity.** Between the moment at which a child is collected and the moment at which its number is used
  next, the number may belong to somebody else. So the child is waited for and signalled by its pidfd, which stays what it is.
  Where the system has none, collecting and signalling exclude each other by a lock, and a child that was collected is not
  signalled any more.
* Only this child is waited for, never "any child": the others are the program's. No SIGCHLD handler is installed or needed.
* `ended` is called exactly once, on the loop, unless the loop is closed before. Then the child is left to `subprocess`, which
  collects it when the next one is started.
* What the program does with the Popen object is respected: a status that it collected there is taken from there.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from cede.core.interpreters import DAEMONS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

# What is reported of a child whose status somebody else took.
STATUS_LOST = 255

_open_pidfd = getattr(os, "pidfd_open", None)
_signal_pidfd = getattr(signal, "pidfd_send_signal", None)
_P_PIDFD = getattr(os, "P_PIDFD", None)


class Child:
    """The process behind `popen`, which was started a moment ago."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen
        self.pid = popen.pid
        self._pidfd = -1
        # Guards the descriptor and the Popen's status: a signal may be sent from any thread. Never held while anything blocks.
        self._lock = threading.RLock()
        # The one that Popen itself waits under, taken before ours.
        self._status_lock = getattr(popen, "_waitpid_lock", None) or threading.Lock()
        self._loop: Any = None
        self.ended: Callable[[int], object] | None = None

    def watch(self, loop: Any, ended: Callable[[int], object]) -> None:
        """Have `ended(returncode)` called on `loop` when the process has ended.

        Costs one descriptor; a thread where the system has no pidfd or no descriptor is left. Raises RuntimeError where no
        thread can be started either.
        """
        self._loop = loop
        self.ended = ended
        if loop._offload is not None:
            loop._submit_offload("child", self._wait_in_thread)
            return
        try:
            if _open_pidfd is None:
                raise OSError("no pidfd on this system")
            self._pidfd = _open_pidfd(self.pid)
        except ProcessLookupError:
            loop.call_soon(self._told)  # SIGCHLD is ignored, and the process has come and gone
        except OSError:
            # Not Linux, an older one, a sandbox that forbids it, or all descriptors are in use.
            threading.Thread(target=self._wait_in_thread, name=f"cede-waitpid-{self.pid}", daemon=DAEMONS).start()
        else:
            loop._add_reader(self._pidfd, self._told)
            loop._children[self] = None

    # -- signals

    def send_signal(self, number: int) -> None:
        """Send `number` to the process; does nothing once that has ended. May be called from any thread.

        Raises PermissionError where the process runs as somebody whom we may not signal, OSError for a bad number.
        """
        with self._lock:
            if self.popen.returncode is not None:
                return
            try:
                if self._pidfd < 0 or _signal_pidfd is None:
                    os.kill(self.pid, number)
                else:
                    self._send_by_pidfd(number)
            except ProcessLookupError:
                pass  # it has ended, and somebody else has collected it

    def _send_by_pidfd(self, number: int) -> None:
        try:
            _signal_pidfd(self._pidfd, number)  # type: ignore[misc]
        except PermissionError:
            # The process is another user's, or a sandbox knows pidfd_open but not this call. It is ours to wait for, and
            # nobody but us collects it: then its number is still its own.
            if not self._is_waitable():
                return
            os.kill(self.pid, number)

    def _is_waitable(self) -> bool:
        if _P_PIDFD is None:
            return True
        try:
            os.waitid(_P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    # -- the end

    def _told(self) -> None:
        """The process has ended: collect it, and say so."""
        self._finish(self._collect())

    def _wait_in_thread(self) -> None:
        if hasattr(os, "waitid"):
            try:
                # Without collecting: the number must not become free before the lock is held.
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                pass
        else:
            pause = 0.001
            while self.popen.poll() is None:
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
        returncode = self._collect()
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._finish, returncode)
        except RuntimeError:
            if not loop.is_closed():  # closed since we looked
                raise

    def _collect(self) -> int:
        """The exit status of the process, which has ended; 255, and a warning, where somebody else has taken it."""
        popen = self.popen
        # The program may be inside popen.wait() on another thread: whoever has the first lock collects, the other one looks.
        with self._status_lock, self._lock:
            if popen.returncode is None:
                try:
                    # Set there as well, or the Popen would look for the process, and complain when it is dropped.
                    popen.returncode = self._take_status()
                except ChildProcessError:
                    popen.returncode = STATUS_LOST
                    warnings.warn(
                        f"child process pid {self.pid} exit status already read: will report returncode {STATUS_LOST}",
                        RuntimeWarning,
                        stacklevel=2,
                    )
            return popen.returncode

    def _take_status(self) -> int:
        if self._pidfd >= 0 and _P_PIDFD is not None:
            try:
                told: Any = os.waitid(_P_PIDFD, self._pidfd, os.WEXITED)
            except ChildProcessError:
                raise
            except OSError:
                pass  # Linux before 5.4 has pidfds, and cannot wait for them
            else:
                return int(told.si_status if told.si_code == os.CLD_EXITED else -told.si_status)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _finish(self, returncode: int) -> None:
        ended, self.ended = self.ended, None
        self.release()
        if ended is not None:
            ended(returncode)

    def release(self) -> None:
        """Watch no longer, and give the descriptor back."""
        loop, self._loop = self._loop, None
        self.ended = None
        with self._lock:
            pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            if loop is not None:
                loop._children.pop(self, None)
                loop._remove_reader(pidfd)  # nothing on a closed loop
            os.close(pidfd)
