# cython: auto_pickle=False
"""Addresses spelt out in numbers: what ``socket.getaddrinfo`` says of them, without asking it each time.

Which kinds of socket an answer lists, in which order, is the C library's business. So it is asked once for each shape of question (family,
type, protocol, flags, IPv4 or IPv6), with `AI_NUMERICHOST`, which forbids it to look anything up; from then on only the address and the
port are put in. The shape is kept only where the library's own answer is what that would have made.

Left to the library altogether: hosts with a scope, whose number is the system's to tell, ports that are no plain number, flags whose
meaning depends on the system's interfaces.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

real_getaddrinfo = socket.getaddrinfo

# These say nothing, or nothing new, where the host is a literal and the port a number.
HARMLESS = int(socket.AI_PASSIVE | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)

# A program has a handful of them.
MOST_SHAPES = 128

STREAM = int(socket.SOCK_STREAM)
DATAGRAM = int(socket.SOCK_DGRAM)
TCP = int(socket.IPPROTO_TCP)
UDP = int(socket.IPPROTO_UDP)

shapes: dict[Any, Any] = {}


def numeric_answer(host: Any, port: Any, family: Any, type: Any, proto: Any, flags: Any) -> list[Any] | None:
    """What ``socket.getaddrinfo`` says of a literal host and a plain port; None where it has to be asked."""
    if socket.getaddrinfo is not real_getaddrinfo:
        return None
    number = port_number(port)
    if number < 0:
        return None
    if not (isinstance(family, int) and isinstance(type, int) and isinstance(proto, int) and isinstance(flags, int)):
        return None
    bits = int(flags)
    if bits & ~HARMLESS:
        return None
    if cython.compiled:
        text = canonical(host)  # type: ignore # noqa: F821
    else:
        text = canonical_text(host)
    if text is None:
        return None
    wide = ":" in text
    key = (family, type, proto, flags, wide, port is None)
    shape = shapes.get(key)
    if shape is None:
        return ask_and_learn(key, host, port, number, text, wide)
    if cython.compiled:
        tell_auditors(host, port, family, type, proto)  # type: ignore # noqa: F821
    else:
        sys.audit("socket.getaddrinfo", host, port, family, type, proto)
    address = (text, number, 0, 0) if wide else (text, number)
    if len(shape) == 1:
        kind, sock_type, protocol, name = shape[0]
        return [(kind, sock_type, protocol, name, address)]
    return [(kind, sock_type, protocol, name, address) for kind, sock_type, protocol, name in shape]


def literal_info(host: Any, port: Any, family: Any, type: Any, proto: Any, flowinfo: Any = 0, scopeid: Any = 0) -> tuple[Any, ...] | None:
    """The one address that `host` and `port` spell out by themselves for a connection; None if they do not.

    Never asks ``socket.getaddrinfo``, a replaced one neither: asyncio does not do so here either.
    """
    if host is None or proto not in (0, TCP, UDP):
        return None
    if type == STREAM:
        proto = socket.IPPROTO_TCP
    elif type == DATAGRAM:
        proto = socket.IPPROTO_UDP
    else:
        return None
    if port is None or (isinstance(port, (str, bytes)) and not port):
        port = 0
    else:
        try:
            port = int(port)
        except (TypeError, ValueError):
            return None  # a service name
    if isinstance(host, bytes):
        try:
            host = host.decode("ascii")
        except UnicodeDecodeError:
            return None
    if cython.compiled:
        text = canonical(host)  # type: ignore # noqa: F821
    else:
        text = canonical_text(host)
    if text is None:
        return None  # a name, or a scope, which must be resolved to its number
    if ":" in text:
        if family != 0 and family != socket.AF_INET6:
            return None
        return socket.AF_INET6, type, proto, "", (host, port, flowinfo, scopeid)
    if family != 0 and family != socket.AF_INET:
        return None
    return socket.AF_INET, type, proto, "", (host, port)


def is_numeric(address: Any, family: int) -> bool:
    """Whether `address` is a whole address of the family already: a literal without a scope, a port number, and what else belongs to it."""
    if type(address) is not tuple:
        return False
    size = len(address)
    if not (size == 2 or (size == 4 and family == socket.AF_INET6)) or type(address[1]) is not int:
        return False
    if size == 4 and (type(address[2]) is not int or type(address[3]) is not int):
        return False
    if cython.compiled:
        text = canonical(address[0])  # type: ignore # noqa: F821
    else:
        text = canonical_text(address[0])
    return text is not None and (":" in text) == (family == socket.AF_INET6)


def forget_shapes() -> None:
    """Ask anew."""
    shapes.clear()


def port_number(port: Any) -> int:
    """The number that `port` plainly is, 0 for None; -1 for anything else."""
    if port is None:
        return 0
    if type(port) is str:
        if not (0 < len(port) <= 5 and port.isascii() and port.isdigit()):
            return -1
        port = int(port)
    elif type(port) is not int:
        return -1
    if 0 <= port <= 65535:
        return int(port)
    return -1


def canonical_text(host: Any) -> str | None:
    """The literal `host` as the system writes it; None for what is none, or has a scope."""
    if type(host) is not str or not 1 < len(host) < 46:
        return None
    try:
        if ":" in host:
            return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host))
        return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, host))
    except (OSError, ValueError):
        return None


def ask_and_learn(key: Any, host: Any, port: Any, number: int, text: str, wide: bool) -> list[Any] | None:
    family, type, proto, flags = key[:4]
    try:
        answer: list[Any] = real_getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    except (OSError, UnicodeError, ValueError, OverflowError):
        return None  # how that is worded is the library's business: it is asked the full question
    address = (text, number, 0, 0) if wide else (text, number)
    if all(info[4] == address for info in answer) and len(shapes) < MOST_SHAPES:
        shapes[key] = tuple(info[:4] for info in answer)
    return answer
