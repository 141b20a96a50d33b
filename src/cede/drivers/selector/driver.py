"""The portable driver: it uses `selectors.DefaultSelector` and the methods of socket objects. It runs compiled or not."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from typing import Any

from cede.drivers.contract import Channel
from cede.drivers.selector.streams import PortableDriver

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.scheduler.ports import COLLECTED, NO_BATCH, TELLING

WAKEUP_SIZE = 4096

# Windows' select() takes at most about 49 days; the kernel calls `wait` again anyway.
LONGEST_WAIT = 24 * 3600.0


class SelectorDriver(PortableDriver):
    """Waits with the best selector of the platform."""

    rest: list[Any]

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        PortableDriver.__init__(self)
        self.selector = selectors.DefaultSelector() if selector is None else selector
        self.wakeup_receiver, self.wakeup_sender = socket.socketpair()
        self.wakeup_receiver.setblocking(False)
        self.wakeup_sender.setblocking(False)
        self.rung = False
        self.rest = []
        self.closed = False
        self.selector.register(self.wakeup_receiver, selectors.EVENT_READ, None)

    def apply_interest(self, channel: Channel) -> int:
        try:
            return self.register(channel)
        except (KeyboardInterrupt, SystemExit):
            # A signal handler has raised inside the selector's own code: its table and the system's may differ now.
            self.strike_out(channel)
            self.register(channel)
            raise

    def strike_out(self, channel: Channel) -> int:
        """Remove the channel from the selector and from the system, whichever has it."""
        for book in (self.selector, getattr(self.selector, "_selector", None)):
            if book is not None:
                try:
                    book.unregister(channel.fd)
                except (KeyError, ValueError, OSError):
                    pass
        channel.armed = 0
        return 0

    def register(self, channel: Channel) -> int:
        mask = channel.wanted
        if not mask or mask == channel.armed:
            self.disarm(channel, True)
            channel.armed = 0
        if not mask:
            return 0
        if self.closed:
            raise RuntimeError("the driver is closed")
        if channel.armed:
            self.selector.modify(channel.fd, mask, channel)
        else:
            try:
                self.selector.register(channel.fd, mask, channel)
            except KeyError:
                # An old entry: its descriptor was closed before it was unregistered.
                self.selector.unregister(channel.fd)
                self.selector.register(channel.fd, mask, channel)
        channel.armed = mask
        return 0

    def disarm(self, channel: Channel, known: bool) -> int:
        if channel.armed:
            try:
                self.selector.unregister(channel.fd)
            except (KeyError, ValueError, OSError):
                pass  # the system has dropped it when the descriptor was closed
        return 0

    def wait(self, timeout: float) -> int:
        if self.batch:
            return 0
        if self.closed:
            raise RuntimeError("the driver is closed")
        self.acted = False
        self.asleep = True
        try:
            if timeout < 0.0:
                events = self.selector.select(None)
            else:
                events = self.selector.select(timeout if timeout < LONGEST_WAIT else LONGEST_WAIT)
        except BaseException as error:
            self.acted = True  # the poll has reported nothing
            if not isinstance(error, OSError) or error.errno != errno.EBADF:
                raise
            # If one descriptor was closed, select(2) refuses them all, instead of dropping that one as epoll does.
            self.evict_closed()
            return 0
        finally:
            self.asleep = False
        self.polls += 1
        if events:
            self.collect(events)
        return len(events)

    def collect(self, events: list[Any]) -> int:
        """Keep the events for `tell`, and drain the wake-up socket."""
        rest = []
        for key, mask in events:
            channel = key.data
            if channel is None:
                self.drain_wakeup()
            else:
                rest.append((channel, self.stamp_of(channel), mask))
        rest.reverse()  # oldest last: `dispatch` pops them, and an interrupt leaves the others
        self.rest = rest
        if rest or self.signals:
            self.batch = COLLECTED
        return 0

    def evict_closed(self) -> int:
        """Drop the channels whose descriptors were closed, and tell their owners or waiters."""
        for channel in list(self.channels.values()):
            try:
                os.fstat(channel.fd)
            except OSError:
                self.drop_stale(channel)
        return 0

    def stamp_of(self, channel: Channel) -> int:
        return channel.generation

    def tell(self) -> int:
        poll = self.polls
        self.batch = TELLING
        while self.polls == poll and (self.rest or self.heard):
            try:
                if self.heard:
                    self.tell_numbers()
                self.dispatch(poll)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.report(error, "Error in the driver while an event was served")
        if self.polls == poll and self.batch == TELLING:
            self.batch = NO_BATCH
        return 0

    def dispatch(self, poll: int) -> int:
        while True:
            if self.kernel._after_step:
                self.kernel.end_step()
            if self.polls != poll or not self.rest:
                return 0
            item = self.rest.pop()
            channel = item[0]
            generation = item[1]
            mask = item[2]
            if self.channels.get(channel.fd) is not channel or channel.generation != generation:
                continue
            if channel.stamp == poll:
                mask = self.since_before(channel, mask)
                if not mask:
                    continue
            self.kernel.events += 1
            if self.kernel._debug:
                self.fire_timed(channel, mask)
            else:
                channel.fire(mask)

    def wake(self) -> None:
        if not self.rung:
            self.rung = True
            try:
                self.wakeup_sender.send(b"\0")
            except OSError:
                pass  # full: it is ringing already; closed: there is nobody to wake

    def wakeup_fd(self) -> int:
        return self.wakeup_sender.fileno()  # type: ignore[no-any-return]

    def drain_wakeup(self) -> int:
        try:
            while True:
                heard = self.wakeup_receiver.recv(WAKEUP_SIZE)
                if self.signal_sink is not None:
                    self.numbers += heard.replace(b"\0", b"")
                    if self.numbers:
                        self.signals = True
                if len(heard) < WAKEUP_SIZE:
                    break
        except (BlockingIOError, InterruptedError):
            pass
        finally:
            # Clear the flag only now: a wake-up between the two would be lost. An interrupt must not leave the flag set.
            self.rung = False
        return 0

    def after_fork(self) -> int:
        if not self.closed:
            self.closed = True
            self.rest = []
            self.signals = self.heard = False
            self.numbers = b""
            self.batch = NO_BATCH
            # Unregister nothing: the child shares an epoll instance inside the selector with the parent.
            self.channels.clear()
            self.interests = 0
            self.idle = True
            self.selector.close()
            self.wakeup_receiver.close()
            self.wakeup_sender.close()
        return 0

    def close(self) -> int:
        # Each step may run twice: a signal handler may have interrupted the first call.
        self.closed = True
        self.rest = []
        self.signals = self.heard = False
        self.numbers = b""
        self.batch = NO_BATCH
        self.forget_all()
        self.selector.close()
        self.wakeup_receiver.close()
        self.wakeup_sender.close()
        return 0
