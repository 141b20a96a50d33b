# cython: auto_pickle=False
"""What every transport over a descriptor has: how it begins, whom it tells, and how it ends.

Invariants
----------
* `connection_made` comes first, from the ring; receiving starts after it, and the waiter is woken last.
* `connection_lost` comes last, exactly once, and nothing is called after it: from the ring, or, where what was left to be sent has gone,
  from the driver. `lost` is above 0 from the moment it is scheduled; it goes through `lose` or `lose_in_place`.
* The descriptor belongs to the channel until `connection_lost` has returned, so the protocol can still ask the transport for it there.
* A transport that is forgotten gives its descriptor back, and says so with a ResourceWarning.
"""

from __future__ import annotations

import sys
import warnings
from asyncio.log import logger
from contextvars import Context, copy_context
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.drivers.contract import Owned, Sink
from cede.net.creation_site import note_origin

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import call_in


class BaseTransport(Sink):
    """A protocol's way to a descriptor. What the kinds do differently: `channel`, `begin`, `wind_up`, `stop` and `finish_closing`."""

    kernel: Kernel
    protocol: Any
    context: Any
    extra: dict[str, Any] | None
    lost: int  # how often something was written since connection_lost was scheduled, from 1; 0 before that
    made: bool  # connection_made has been called
    closing: bool

    # Kept here, because at the end of the process the names of modules may go before the last transport does.
    _interpreter_ends = staticmethod(sys.is_finalizing)

    def prepare(self, loop: Kernel, protocol: Any, extra: dict[str, Any] | None, context: Context | None) -> int:
        """Set what every transport has. To be called once, first."""
        if cython.compiled and self.kernel is not None:
            raise RuntimeError("the transport is initialized already")
        self.kernel = loop
        self.context = copy_context() if context is None else context
        self.extra = extra
        self.lost = 0
        self.made = False
        self.closing = False
        self.protocol = protocol
        if loop._debug:
            note_origin(self)
        return 0

    # -- the beginning

    def _begin(self, waiter: Any) -> None:
        """Runs as a callback, in the transport's context."""
        if not self.made:
            self.made = True
            try:
                self.protocol.connection_made(self)
            except (KeyboardInterrupt, SystemExit):
                self.kernel.call_soon(self._begin_receiving, waiter, context=self.context.copy())
                raise
            except BaseException as error:
                self.report("Exception in callback protocol.connection_made()", error)
        self._begin_receiving(waiter)

    if not cython.compiled:
        setattr(_begin, "run_again_by_cede", True)  # noqa: B010

    def _begin_receiving(self, waiter: Any) -> None:
        self.begin()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def begin(self) -> int:
        """The protocol knows of the connection: receive, unless something has happened to it meanwhile."""
        raise NotImplementedError

    # -- the end

    def channel_of(self) -> Owned | None:
        """The descriptor in the driver's hands, if there is one."""
        return None

    def wind_up(self) -> bool:
        """`close` was called: receive no more. Whether everything is sent."""
        raise NotImplementedError

    def stop(self) -> int:
        """Neither send nor receive from now on; what waits to be sent is dropped."""
        raise NotImplementedError

    def close(self) -> None:
        """Receive no more, send what is queued, then tell the protocol ``connection_lost(None)``."""
        if self.closing:
            return
        if self.kernel._debug:
            self.kernel._check_thread()
        self.closing = True
        if self.wind_up():
            self.lose(None)

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self.force_close(None)

    def is_expected(self, error: BaseException) -> bool:
        """Whether `error` is part of a connection's life, and no fault of the program."""
        return isinstance(error, OSError)

    def fail(self, error: BaseException, message: str) -> int:
        """Something went wrong for good. Errors of the system are told to the protocol alone, others are reported too."""
        if not self.is_expected(error):
            self.report(message, error)
        elif self.kernel._debug:
            logger.debug("%r: %s", self, message, exc_info=error)
        return self.force_close(error)

    def force_close(self, error: BaseException | None) -> int:
        if self.lost:
            return 0
        self.closing = True
        self.stop()
        return self.lose(error)

    def lose(self, error: BaseException | None) -> int:
        if self.lost:
            return 0
        self.lost = 1
        try:
            # A copy: whoever closes may be in the middle of a method of the protocol, and run a turn by hand.
            self.kernel.call_soon(self._call_connection_lost, error, context=self.context.copy())
        except RuntimeError:
            # The loop is closed: nobody can be told any more, but the descriptor is not to be lost with it.
            self.finish_closing()
            raise
        return 0

    def lose_in_place(self) -> int:
        """What waited to be sent is sent: the protocol is told where the driver says so, and the descriptor is closed with that. The peer
        that takes the last of it learns of the end at the same time, and the next poll tells the two together.
        """
        self.lost = 1
        self.kernel.enter_callback()
        try:
            call_in(self.context, self._call_connection_lost, (None,))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.report("Exception in callback protocol.connection_lost()", error)
        return 0

    def _call_connection_lost(self, error: BaseException | None) -> None:
        try:
            self.protocol.connection_lost(error)
        finally:
            try:
                # What others have written in this step leaves before our descriptor is closed, which may be the other end of theirs.
                self.kernel.end_step()
            finally:
                self.finish_closing()

    def finish_closing(self) -> int:
        """Give the descriptor back."""
        protocol = self.protocol
        self.protocol = None
        channel = self.channel_of()
        if channel is not None:
            channel.close()
        del protocol  # whose end may run code of the program's: here all is done
        return 0

    def __del__(self) -> None:
        try:
            channel = self.channel_of()
            if channel is not None and not channel.closed:
                if self.lost and not self.kernel.is_closed():
                    return  # another finalizer has closed it just now: connection_lost is on the ring
                try:
                    warnings.warn(f"unclosed transport {self!r}", ResourceWarning, stacklevel=2, source=self)
                finally:
                    # Other finalizers may still come here: to them it is closed.
                    self.closing = True
                    self.lost = 1
                    self.finish_closing()
        except:  # noqa: E722 (the names of exceptions may be gone)
            if not self._interpreter_ends():
                raise

    def report(self, message: str, error: BaseException) -> int:
        loop: Any = self.kernel
        loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self.protocol}
        )
        return 0

    # -- questions

    def is_closing(self) -> bool:
        """Whether the transport is closed, or about to be."""
        return bool(self.closing)

    def get_protocol(self) -> Any:
        """The protocol; None once the connection is gone."""
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        """From now on `protocol` is told."""
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the maker of the transport, or its kind, knows under `name`; `default` for anything else."""
        return default if self.extra is None else self.extra.get(name, default)

    # -- asyncio's names

    @property
    def _loop(self) -> Any:
        channel = self.channel_of()
        return None if channel is not None and channel.closed else self.kernel

    @property
    def _protocol(self) -> Any:
        return self.protocol

    @property
    def _closing(self) -> bool:
        return bool(self.closing)

    @property
    def _conn_lost(self) -> int:
        return self.lost

    @property
    def _extra(self) -> dict[str, Any]:
        return dict(self.extra or ())

    def _force_close(self, exc: BaseException | None) -> None:
        self.force_close(exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        self.fail(exc, message)
