"""What a program may ask of TLS: contexts and timeouts, checked before anything is connected."""

from __future__ import annotations

from asyncio import constants
from typing import Any


def checked_timeout(name: str, seconds: float | None, default: float) -> float:
    """`seconds`, or `default` for None. Raises ValueError unless it is above 0."""
    if seconds is None:
        return default
    if not seconds > 0:
        raise ValueError(f"{name} should be a positive number, got {seconds}")
    return seconds


def handshake_timeout(seconds: float | None) -> float:
    """Seconds that a handshake may take: 60 by default."""
    return checked_timeout("ssl_handshake_timeout", seconds, constants.SSL_HANDSHAKE_TIMEOUT)


def shutdown_timeout(seconds: float | None) -> float:
    """Seconds that the end may take, from `close` to the peer's answer: 30 by default."""
    return checked_timeout("ssl_shutdown_timeout", seconds, constants.SSL_SHUTDOWN_TIMEOUT)


def refuse_without_tls(ssl: Any, handshake: float | None, shutdown: float | None) -> None:
    """Raises ValueError for a TLS timeout without TLS, and for one that is not above 0."""
    if handshake is not None and not ssl:
        raise ValueError("ssl_handshake_timeout is only meaningful with ssl")
    if shutdown is not None and not ssl:
        raise ValueError("ssl_shutdown_timeout is only meaningful with ssl")
    handshake_timeout(handshake)
    shutdown_timeout(shutdown)


def context_for(ssl: Any, server_side: bool, server_hostname: str | None) -> Any:
    """The context that `ssl` stands for: itself, or Python's default one for True. Raises ValueError for True on a server."""
    if ssl is not True:
        return ssl
    if server_side:
        raise ValueError("Server side SSL needs a valid SSLContext")
    from ssl import create_default_context

    context = create_default_context()
    if not server_hostname:
        context.check_hostname = False
    return context
