"""Which names the hosts file answers: those can be asked for without a thread.

The C library reads /etc/hosts, a small file in the system's memory, in a few microseconds; handing the question to a thread and the answer
back costs more than that, and most look-ups of such names ("localhost", the names inside a container) are made one by one. The answer is
still the library's own. This only says whether it will find it there, before it would ask the network:

* the system is glibc's, and its configuration (/etc/nsswitch.conf) says that files come first and that what they say is final;
* no name service daemon (nscd) stands in front of it, which could keep us waiting;
* the file is small, and has an address of the wanted family for the name.

Whatever else is asked for (service names, flags whose meaning depends on the network) is none of this. Both files are looked at anew when
they change.
"""

from __future__ import annotations

import os
import socket
from typing import Any

HOSTS = "/etc/hosts"
SWITCH = "/etc/nsswitch.conf"
DAEMON = "/var/run/nscd/socket"

# Above this many bytes reading it takes so long that a thread should do it: lists of advertisers' names have tens of thousands of lines.
LARGEST = 16 * 1024

FLAGS = int(socket.AI_PASSIVE | socket.AI_CANONNAME | socket.AI_NUMERICSERV)

Mark = tuple[int, int, int]


def uses_glibc() -> bool:
    """Whether names are looked up by the GNU C library."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):
        return False  # no such question on this system


def mark_of(path: str) -> Mark | None:
    """What changes when the file does; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def files_come_first(text: str) -> bool:
    """Whether the text of nsswitch.conf says that host names are looked for in files first, and no further once they are found."""
    for line in text.splitlines():
        name, _, rest = line.partition("#")[0].partition(":")
        if name.strip() == "hosts":
            sources = rest.split()
            # A rule in brackets behind it could have it go on.
            return bool(sources) and sources[0] == "files" and not (len(sources) > 1 and sources[1].startswith("["))
    return False


def names_in(text: str) -> dict[str, set[int]]:
    """The families of the addresses that the text of a hosts file has for each name."""
    found: dict[str, set[int]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                socket.inet_pton(family, address)
            except (OSError, ValueError):
                continue
            for name in names:
                found.setdefault(name.lower(), set()).add(family)
    return found


class HostsFile:
    """What is known of the two files."""

    def __init__(self, hosts: str = HOSTS, switch: str = SWITCH, daemon: str = DAEMON) -> None:
        self._paths = hosts, switch
        self._daemon = daemon
        self._usable = uses_glibc()
        self._marks: tuple[Mark | None, Mark | None] | None = None
        self._names: dict[str, set[int]] = {}

    def answers(self, host: Any, port: Any, family: int, flags: int) -> bool:
        """Whether the C library finds `host` in the hosts file and looks no further."""
        if not self._usable or type(host) is not str or int(flags) & ~FLAGS:
            return False
        if not (port is None or type(port) is int or (type(port) is str and port.isdecimal())):
            return False
        hosts, switch = self._paths
        marks = mark_of(hosts), mark_of(switch)
        if marks != self._marks:
            self._names = self._read(*marks)
            self._marks = marks
        families = self._names.get(host if host.islower() else host.lower())
        if families is None or not (family in families or family == socket.AF_UNSPEC):
            return False
        return not os.access(self._daemon, os.F_OK)

    def _read(self, hosts: Mark | None, switch: Mark | None) -> dict[str, set[int]]:
        if hosts is None or switch is None or hosts[1] > LARGEST:
            return {}
        texts = []
        for path in self._paths:
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    texts.append(file.read(LARGEST + 1))
            except OSError:
                return {}
        return names_in(texts[0]) if files_come_first(texts[1]) else {}
