"""Host names: literals are answered at once, everything else on a few threads that do nothing else.

The answers always come from ``socket.getaddrinfo`` itself, looked up at call time, so they are the same lists and a
replaced one (a proxy, a test's stub) is asked as it would be under asyncio. A literal costs no thread because the flag
``AI_NUMERICHOST`` forbids the C library to look anything up; if it turns out not to be one, the thread is asked.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections import deque
from concurrent.futures import Future as ThreadFuture
from typing import TYPE_CHECKING, Any, TypeAlias

from cede.core.interpreters import DAEMONS
from cede.net.resolver.literals import literal_info as literal_info

if TYPE_CHECKING:
    from collections.abc import Callable

AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]

# RFC 1035 allows 253 characters, and a dot at the end. Anything longer cannot be a name, and would only be encoded at
# length.
LONGEST_NAME = 254

# Look-ups that may wait for a thread. Far more than any program means to have, far fewer than would exhaust memory.
LONGEST_QUEUE = 10_000

_real_getaddrinfo = socket.getaddrinfo
_real_getnameinfo = socket.getnameinfo


def check_host(host: Any) -> None:
    """Refuse what can never be a host name, before any codec or resolver works on it.

    Raises ValueError for an embedded NUL, and socket.gaierror (EAI_NONAME) for a name that is too long.
    """
    if not isinstance(host, (str, bytes, bytearray)):
        return
    nul = "\0" if isinstance(host, str) else b"\0"
    if nul in host:  # type: ignore[operator]
        raise ValueError(f"host name holds a NUL character: {host[:80]!r}")
    if len(host) > LONGEST_NAME:
        raise socket.gaierror(socket.EAI_NONAME, f"host name of {len(host)} characters is too long (at most 253): {host[:32]!r}...")


def _plain_number(port: Any) -> bool:
    """Whether `port` needs no service name to be looked up."""
    if port is None or isinstance(port, int):
        return True
    return isinstance(port, (str, bytes)) and port.isdigit()


def _may_be_literal(host: Any) -> bool:
    """A cheap first look: a literal has a colon, or begins and ends with what a number may."""
    if host is None:
        return True
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or not host:
        return False
    return ":" in host or (host[0] in "0123456789" and host[-1] in "0123456789abcdefABCDEF")


def answer_in_place(host: Any, port: Any, family: int, type: int, proto: int, flags: int) -> list[AddressInfo] | None:
    """What ``socket.getaddrinfo`` says, where that needs no look-up; None where a thread must be asked."""
    asked = socket.getaddrinfo
    if asked is not _real_getaddrinfo or not _plain_number(port) or not _may_be_literal(host):
        return None
    try:
        return asked(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)  # type: ignore[return-value]
    except (OSError, UnicodeError):
        # Not a literal after all, or an error whose wording is the resolver's own: the full question decides.
        return None


def is_replaced() -> bool:
    """Whether the program has put a resolver of its own in the place of ``socket.getaddrinfo``."""
    return socket.getaddrinfo is not _real_getaddrinfo


def needs_no_lookup(flags: int) -> bool:
    """Whether ``socket.getnameinfo`` with these flags only formats numbers."""
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return flags & numeric == numeric and socket.getnameinfo is _real_getnameinfo


def interleave(infos: list[AddressInfo], first_family_count: int = 1) -> list[AddressInfo]:
    """Take turns among the families, after `first_family_count` addresses of the first one."""
    by_family: dict[int, list[AddressInfo]] = {}
    for info in infos:
        by_family.setdefault(info[0], []).append(info)
    lanes = list(by_family.values())
    ordered: list[AddressInfo] = []
    if lanes and first_family_count > 1:
        ordered.extend(lanes[0][: first_family_count - 1])
        del lanes[0][: first_family_count - 1]
    for row in range(max(map(len, lanes), default=0)):
        ordered.extend(lane[row] for lane in lanes if row < len(lane))
    return ordered


class ResolverPool:
    """Threads that only look names up, started as they are needed and never more than `limit`; at most `queue` look-ups wait for one.

    They are daemons: a resolver that does not answer must not hold up the end of the program.
    """

    def __init__(self, limit: int = 32, queue: int = LONGEST_QUEUE) -> None:
        self._limit = limit
        self._queue = queue
        self._change = threading.Condition()
        # All below is touched under the condition's lock only.
        self._jobs: deque[tuple[ThreadFuture[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._threads: set[threading.Thread] = set()
        self._asking: set[threading.Thread] = set()  # those inside a look-up
        self._spare = 0  # resting threads that no job has been counted on yet
        self._started = 0
        self._closed = False

    def submit(self, function: Callable[..., Any], *args: Any) -> ThreadFuture[Any]:
        """Have `function(*args)` called on a thread.

        Raises RuntimeError after `close`, and socket.gaierror (EAI_AGAIN) where too many look-ups wait already.
        """
        answer: ThreadFuture[Any] = ThreadFuture()
        with self._change:
            if self._closed:
                raise RuntimeError("names cannot be looked up any more: the event loop is closed")
            if len(self._jobs) >= self._queue:
                raise socket.gaierror(
                    socket.EAI_AGAIN, f"too many names are being looked up: {len(self._jobs)} wait already; try again later"
                )
            self._jobs.append((answer, function, args))
            if self._spare:
                self._spare -= 1
                self._change.notify()
            elif len(self._threads) < self._limit:
                self._started += 1
                thread = threading.Thread(target=self._serve, name=f"cede-names-{self._started}", daemon=DAEMONS)
                thread.start()
                self._threads.add(thread)
        return answer

    def _serve(self) -> None:
        me = threading.current_thread()
        while True:
            with self._change:
                while not self._jobs:
                    if self._closed:
                        self._threads.discard(me)
                        return
                    self._spare += 1
                    self._change.wait()
                answer, function, args = self._jobs.popleft()
                self._asking.add(me)
            if answer.set_running_or_notify_cancel():  # False: cancelled before it began
                try:
                    found = function(*args)
                except BaseException as error:  # handed on to whoever waits
                    self._asking.discard(me)
                    answer.set_exception(error)
                else:
                    self._asking.discard(me)
                    answer.set_result(found)
                    del found
            self._asking.discard(me)
            # The error's traceback holds this frame; a name left bound here would make that a cycle, or keep an answer
            # alive.
            del answer, function, args

    def close(self) -> None:
        """Let the threads end. One that is inside a look-up ends after it, and nobody waits for that."""
        with self._change:
            self._closed = True
            for answer, _, _ in self._jobs:
                answer.cancel()
            self._jobs.clear()
            ending = list(self._threads - self._asking)
            self._change.notify_all()
        if not sys.is_finalizing():
            for thread in ending:
                thread.join()  # at once: it has no job, or hands its answer over, and there is none to take
