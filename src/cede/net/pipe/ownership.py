"""What a pipe transport takes over: which kinds of file there are, and giving the descriptor back as it was found.

Invariants
----------
* The file object owns its descriptor. It is closed by the object's own ``close()`` and by nothing else, so a number is never closed that
  the object, or the interpreter when it collects the object, closes too.
* One file object may serve both directions, as a terminal or a serial line does. The second transport gets a duplicate of the descriptor,
  because a number has one owner; the duplicate is closed by that transport alone.
* A terminal belongs to other programs as well, the shell for one, and they share its mode. When the last transport of this process on it
  closes, it blocks again, if it did before the first one came.
"""

from __future__ import annotations

import os
import stat
from typing import Any

# Terminals that were found blocking: device number -> how many transports have them.
_terminals: dict[int, int] = {}


class PipeEnd:
    """A file object in a transport's hands.

    Raises ValueError for a regular file, a folder or a block device, and whatever ``pipe.fileno()`` raises.
    """

    def __init__(self, pipe: Any, driver: Any, verb: str) -> None:
        self.pipe = pipe
        number = pipe.fileno()
        found = os.fstat(number)
        self.is_device = stat.S_ISCHR(found.st_mode)
        if not self.is_device and not stat.S_ISFIFO(found.st_mode) and not stat.S_ISSOCK(found.st_mode):
            raise ValueError(
                "Pipe transport is for pipes/sockets only, or rather only for pipes, sockets and character devices: "
                f"{_kind_of(found.st_mode)} cannot be waited for. {verb} {pipe!r} in a thread, with asyncio.to_thread()"
            )
        self.duplicate = self.terminal = -1
        owner = driver.stream_owner(number)
        if owner is not None and getattr(owner, "_pipe", None) is pipe:
            self.duplicate = os.dup(number)

    def take_over(self) -> None:
        """The descriptor is the transport's from now on: it blocks no more."""
        number = self.fileno()
        if self.is_device and os.isatty(number):
            terminal = os.fstat(number).st_rdev
            if terminal in _terminals or os.get_blocking(number):
                self.terminal = terminal
                _terminals[terminal] = _terminals.get(terminal, 0) + 1
        os.set_blocking(number, False)

    def fileno(self) -> int:
        """The descriptor at this moment. Raises as the file object does where that was closed."""
        return self.pipe.fileno() if self.duplicate < 0 else self.duplicate  # type: ignore[no-any-return]

    def close(self) -> None:
        """Give everything back. Any number of times."""
        self._give_back_terminal()
        self.drop_duplicate()
        self.pipe.close()

    def drop_duplicate(self) -> None:
        """Where the transport could not be made: leave the file object as it is."""
        duplicate, self.duplicate = self.duplicate, -1
        if duplicate >= 0:
            os.close(duplicate)

    def _give_back_terminal(self) -> None:
        terminal, self.terminal = self.terminal, -1
        if terminal < 0:
            return
        _terminals[terminal] -= 1
        if not _terminals[terminal]:
            del _terminals[terminal]
            try:
                os.set_blocking(self.fileno(), True)
            except (OSError, ValueError):
                pass  # closed by somebody else, or hung up: there is no mode to restore


def _kind_of(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "a regular file"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a block device" if stat.S_ISBLK(mode) else "a file of this kind"
