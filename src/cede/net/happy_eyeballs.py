"""Connecting: one address, all addresses in turn, or several at once (happy eyeballs, RFC 8305).

Ownership: a socket made here is closed here, unless it is handed on as the result. Every path out of `connect_one`
either returns the connected socket or has closed it, whatever was cancelled when. A socket that the user made is never
closed here.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cede.net.resolver.resolver import AddressInfo


def refuse_tls_socket(sock: Any) -> None:
    """Raises TypeError for an ``ssl.SSLSocket``: TLS is done above the socket here, on plain ones."""
    try:
        import ssl
    except ImportError:
        return
    if isinstance(sock, ssl.SSLSocket):
        raise TypeError("Socket cannot be of type SSLSocket: pass the plain socket, and ssl=")


def _bind_local(sock: socket.socket, family: int, local_infos: Sequence[AddressInfo]) -> None:
    """Bind to the first address of `local_infos` that fits. Raises OSError if none does."""
    failure: OSError | None = None
    for local_family, _, _, _, address in local_infos:
        if local_family != family:
            continue
        try:
            sock.bind(address)
        except OSError as error:
            failure = OSError(error.errno, f"error while attempting to bind on address {address!r}: {str(error).lower()}")
            continue
        return
    if failure is not None:
        raise failure
    raise OSError(errno.EADDRNOTAVAIL, f"no matching local address with {family=} found")


async def connect_one(loop: Any, info: AddressInfo, local_infos: Sequence[AddressInfo] | None) -> socket.socket | OSError:
    """A socket connected to the address of `info`, or the OSError that kept it from being so (returned: it is one of
    several).
    """
    family, kind, proto, _, address = info
    try:
        sock: Any = loop.driver.make_socket(family, kind, proto)
    except OSError as error:
        return error.with_traceback(None)
    try:
        if local_infos is not None:
            _bind_local(sock, family, local_infos)
        await loop.sock_connect(sock, address)
    except OSError as error:
        sock.close()
        # The traceback would keep this frame, and those that called it, which keep the error: a cycle.
        return error.with_traceback(None)
    except BaseException:
        sock.close()
        raise
    return sock  # type: ignore[no-any-return]


async def connect_in_turn(
    loop: Any, infos: Sequence[AddressInfo], local_infos: Sequence[AddressInfo] | None
) -> socket.socket | list[OSError]:
    """The first socket that connects, or all errors."""
    errors: list[OSError] = []
    for info in infos:
        outcome = await connect_one(loop, info, local_infos)
        if not isinstance(outcome, OSError):
            return outcome
        errors.append(outcome)
    return errors


class _Race:
    """The attempts of one `race`, and the guarantee that no socket of theirs is left behind."""

    def __init__(self) -> None:
        self.pending: dict[asyncio.Future[socket.socket | OSError], None] = {}  # in the order in which they were begun
        self.winner: socket.socket | None = None
        self.errors: list[OSError] = []
        self.failure: BaseException | None = None
        self.over = False

    def begin(self, attempt: asyncio.Future[socket.socket | OSError]) -> None:
        self.pending[attempt] = None
        attempt.add_done_callback(self._settle)

    def _settle(self, attempt: asyncio.Future[socket.socket | OSError]) -> None:
        # A done callback, not code after an await: it runs whatever becomes of the racing task, so an attempt
        # that connects in the very turn in which that task is cancelled leaks nothing.
        self.pending.pop(attempt, None)
        if attempt.cancelled():
            return
        failure = attempt.exception()
        if failure is not None:
            self.failure = failure
            return
        outcome = attempt.result()
        if isinstance(outcome, OSError):
            self.errors.append(outcome)
        elif self.over:
            outcome.close()
        else:
            self.over = True
            self.winner = outcome

    async def one_more(self, delay: float | None) -> None:
        """Wait until one more attempt is settled, at most `delay` seconds."""
        if self.pending:
            await asyncio.wait(self.pending, timeout=delay, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Cancel what still runs, and wait until it has."""
        self.over = True
        for attempt in list(self.pending):
            attempt.cancel()
        if self.pending:
            await asyncio.wait(self.pending)


async def race(
    loop: Any, infos: Sequence[AddressInfo], local_infos: Sequence[AddressInfo] | None, delay: float
) -> socket.socket | list[OSError]:
    """The first socket that connects, of attempts begun `delay` seconds apart or as soon as one has failed; or all
    errors.

    The losers are cancelled and waited for; one that had connected already is closed.
    """
    attempts = _Race()
    try:
        for info in infos:
            attempts.begin(loop.create_task(connect_one(loop, info, local_infos)))
            await attempts.one_more(delay)
            if attempts.over or attempts.failure is not None:
                break
        while attempts.pending and not attempts.over and attempts.failure is None:
            await attempts.one_more(None)
        await attempts.stop()
        if attempts.failure is not None:
            raise attempts.failure
        return attempts.errors if attempts.winner is None else attempts.winner
    except BaseException:
        if attempts.winner is not None:
            attempts.winner.close()
        await attempts.stop()
        raise
    finally:
        del attempts  # an error that it holds has this frame in its traceback


async def connect(
    loop: Any,
    infos: Sequence[AddressInfo],
    local_infos: Sequence[AddressInfo] | None,
    delay: float | None,
    all_errors: bool,
) -> socket.socket:
    """A socket connected to one of `infos`; side by side with `delay` seconds between the attempts, or (None) one after
    the other.

    Raises an ExceptionGroup of all errors if `all_errors` is true, else one OSError that tells of all.
    """
    if delay is None:
        outcome = await connect_in_turn(loop, infos, local_infos)
    else:
        outcome = await race(loop, infos, local_infos, delay)
    if not isinstance(outcome, list):
        return outcome
    try:
        if all_errors:
            raise ExceptionGroup("create_connection failed", outcome)
        raise _one_error(outcome)
    finally:
        del outcome  # its errors' tracebacks will hold this frame


def _one_error(errors: list[OSError]) -> OSError:
    """One error for all: the first where all say the same, else one that quotes them."""
    texts = [str(error) for error in errors]
    if all(text == texts[0] for text in texts):
        return errors[0]
    return OSError(f"Multiple exceptions: {', '.join(texts)}")
