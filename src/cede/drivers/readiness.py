"""The common part of the drivers that learn of readiness: which channel has which number, what it wants, and who waits for it.

The table of numbers holds two kinds of channel: those that own their descriptor (streams, datagram sockets, pipes and acceptors), and
watches. A watch owns nothing. It serves a descriptor that belongs to the program, for parked socket operations and for `add_reader` and
`add_writer`. It stays registered from one operation to the next, so that only the first wait costs a system call.

The danger is that a watch outlives its operation: by then the number may belong to another socket. So

* a watch made for a socket object holds a weak reference to it, and is removed when the object dies;
* before each use of a watch, the driver asks the socket for its number; if that has changed, the driver drops the watch, its waiters get
  EBADF, and the driver makes a new one;
* an event carries the generation of the registration that asked for it, and the driver drops an event of an older generation.

The table keeps a stream's sink alive while the stream wants something (`hold_sink`, `let_sink_go`), as a registration with asyncio's
selector does.
"""

from __future__ import annotations

import errno
import os
import weakref
from time import monotonic
from typing import Any

from cede.core.scheduler.slow_steps import Events, report_if_slow
from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.future import Future
from cede.core.task.handle import Handle
from cede.drivers.contract import Channel, Driver, Owned, Sink

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import PENDING
    from cede.drivers.constants import READ, WRITE


class ReadinessDriver(Driver):
    """Keeps the table of channels. A subclass registers them with the system (`apply_interest`) and waits."""

    kernel: Any
    channels: dict[int, Channel]
    interests: int
    edges: bool
    generations: int
    polls: int  # how many polls there were: the number of the current batch
    writing: int  # channels that want WRITE
    numbers: bytes  # the signals that came with the batch

    def __init__(self) -> None:
        self.idle = True
        self.kernel = None
        self.channels = {}
        self.interests = 0
        self.edges = False  # whether `apply_interest` honours Channel.edge
        self.generations = 0
        self.polls = 0
        self.writing = 0
        self.numbers = b""

    def attach(self, kernel: TaskKernel) -> int:
        """Serve `kernel`: put handles on its ring, and reports to its exception handler. Called once, before anything is registered."""
        self.kernel = kernel
        return 0

    def fire_timed(self, channel: Channel, events: int) -> int:
        """``channel.fire(events)`` in debug mode, which reports a slow call."""
        if type(channel) is Watch:
            return channel.fire(events)  # `run_handle` times handles
        told: Any = channel
        if isinstance(channel, Owned):
            owned = channel
            told = owned.owner()
        events_of = Events(told)  # before the call: the protocol may be gone after it
        began = monotonic()
        try:
            channel.fire(events)
        finally:
            report_if_slow(self.kernel, events_of, monotonic() - began)
        return 0

    # -- for subclasses to implement

    def apply_interest(self, channel: Channel) -> int:
        """Register `channel.wanted` with the system (0: no registration), and set `armed`. Raises OSError."""
        raise NotImplementedError

    def on_added(self, channel: Channel) -> int:
        """The channel is in the table now. Raises OSError if its number is no descriptor; the channel then leaves the table."""
        return 0

    def disarm(self, channel: Channel, known: bool) -> int:
        """The channel has left the table: end its registration. `known`: it still has its number, by which the system knows it."""
        raise NotImplementedError

    # -- the table

    def add(self, channel: Channel) -> int:
        """Put a channel into the table."""
        fd = channel.fd
        if fd < 0:
            raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)}: the socket is closed")
        while True:
            there: Any = self.channels.get(fd)
            if there is None:
                break
            if isinstance(there, Watch):
                watch = there
                if watch.wanted and not watch.stale():
                    raise RuntimeError(
                        f"File descriptor {fd} is being waited on: let the socket operations on it end, "
                        "and call remove_reader() and remove_writer(), before it is given to a transport or server"
                    )
            elif holds(there, fd):
                raise RuntimeError(f"File descriptor {fd} is used by transport {self.stream_owner(fd) or there!r}")
            self.drop_stale(there)  # this calls the owner, which may register the number again
        self.generations += 1
        channel.generation = self.generations
        channel.wanted = 0
        channel.armed = 0
        channel.stamp = 0
        channel.fresh = 0
        self.channels[fd] = channel
        try:
            self.on_added(channel)
        except BaseException:
            del self.channels[fd]
            raise
        return 0

    def drop_stale(self, channel: Channel) -> int:
        """Drop a channel whose number belongs to another socket, or soon will, and pass EBADF to its sink or its waiters."""
        fd = channel.fd
        if isinstance(channel, Watch):
            watch = channel
            self.remove(watch, not watch.stale())
            watch.fail(OSError(errno.EBADF, f"the socket with descriptor {fd} was closed while it was waited on"))
            return 0
        sink: Sink | None = None
        if isinstance(channel, Owned):
            owned = channel
            sink = owned.owner()
        self.remove(channel, False)
        error = OSError(errno.EBADF, f"the socket with descriptor {fd} was closed by somebody other than its transport")
        if sink is not None:
            sink.read_failed(error)
        elif not isinstance(channel, Owned):
            self.report(error, "a listening socket was closed by somebody other than its server")
        return 0

    def remove(self, channel: Channel, known: bool) -> int:
        """Take the channel out of the table, if it is there. Must not raise: closing calls this."""
        self.acted = True
        if self.channels.get(channel.fd) is channel:
            del self.channels[channel.fd]
            if channel.wanted:
                if channel.wanted & WRITE:
                    self.writing -= 1
                channel.wanted = 0
                self.interests -= 1
                self.idle = self.interests == 0
            self.disarm(channel, known)
            channel.armed = 0
            channel.let_sink_go()
        return 0

    def set_interest(self, channel: Channel, mask: int) -> int:
        """Let the channel want `mask` from now on; register with the system if that is more than `armed`."""
        before = channel.wanted
        if mask == before:
            return 0 if mask else channel.let_sink_go()  # a channel that never wanted anything still holds its sink
        self.count(channel, mask)
        try:
            return self.make_wanted(channel, before)
        except (KeyboardInterrupt, SystemExit):
            if channel.wanted == mask:
                self.make_wanted(channel, before)  # a signal handler has interrupted it: do it all the same
            raise
        except BaseException:
            if channel.wanted == mask:
                self.count(channel, before)
            raise

    def count(self, channel: Channel, mask: int) -> int:
        """Set `channel.wanted` and the counters. Makes no call, so that an interrupt comes before all of it, or after."""
        before = channel.wanted
        channel.wanted = mask
        if (mask ^ before) & WRITE:
            self.writing += 1 if mask & WRITE else -1
        if before == 0:
            self.interests += 1
            self.idle = False
        elif mask == 0:
            self.interests -= 1
            self.idle = self.interests == 0
        return 0

    def make_wanted(self, channel: Channel, before: int) -> int:
        """Make the change from `before` to `channel.wanted` effective. May be called again."""
        mask = channel.wanted
        if mask & ~channel.armed:
            self.apply_interest(channel)
        if mask & ~before:
            self.mark(channel, mask & ~before)
        if before == 0:
            return channel.hold_sink()
        return channel.let_sink_go() if mask == 0 else 0

    def mark(self, channel: Channel, mask: int) -> int:
        """Note that the channel wants `mask` since now, so that it gets no event of the last poll."""
        if channel.stamp != self.polls:
            channel.stamp = self.polls
            channel.fresh = 0
        channel.fresh |= mask
        self.acted = True
        return 0

    def since_before(self, channel: Channel, events: int) -> int:
        """Those of `events` that the channel wanted before the poll. The next poll reports the others again."""
        if channel.stamp == self.polls and events & channel.fresh:
            if channel.edge:
                self.apply_interest(channel)  # epoll reports an edge once; a new registration has it reported again
            return events & ~channel.fresh
        return events

    def tell_numbers(self) -> int:
        """Pass the numbers of the signals on."""
        numbers, self.numbers = self.numbers, b""
        return self.tell_signals(numbers)

    def stream_owner(self, fd: int) -> Sink | None:
        channel = self.channels.get(fd)
        if isinstance(channel, Owned):
            owned = channel
            if holds(owned, fd):
                return owned.owner()
        return None

    def report(self, error: BaseException, message: str) -> int:
        """Pass an error that belongs to no channel to the exception handler."""
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error
        self.kernel.call_exception_handler({"message": message, "exception": error})
        return 0

    # -- watches

    def watch_number(self, fd: int) -> Watch:
        """The watch of a bare number, for add_reader and add_writer."""
        if fd < 0:
            raise ValueError(f"Invalid file descriptor: {fd}")
        channel: Any = self.channels.get(fd)
        if channel is not None:
            if isinstance(channel, Watch):
                watch = channel
                if not watch.stale():
                    return watch
            elif holds(channel, fd):
                raise RuntimeError(f"File descriptor {fd} is used by transport {self.stream_owner(fd) or channel!r}")
            self.drop_stale(channel)
        watch = Watch(self, fd)
        self.add(watch)
        return watch

    def watch_socket(self, sock: Any, fd: int) -> Watch:
        """The watch of a socket object, whose number is `fd` at this moment."""
        channel = self.channels.get(fd)
        if isinstance(channel, Watch):
            watch = channel
            if watch.sock is not None and watch.sock() is sock:
                return watch
        watch = self.watch_number(fd)
        if watch.sock is None:
            try:
                watch.sock = weakref.ref(sock, watch.socket_died)
            except TypeError:
                # A socket class of the program that allows no weak references: use levels, and end the registration when nobody waits.
                return watch
            watch.edge = self.edges and watch.armed == 0
        return watch

    def park(self, sock: Any, fd: int, direction: int) -> Future:
        """A future that the driver finishes when the operation should try the socket again."""
        watch = self.watch_socket(sock, fd)
        future = self.kernel.waiter_for(watch)
        if direction == READ:
            watch.readers.append(future)
        else:
            watch.writers.append(future)
        try:
            self.set_interest(watch, watch.wanted | direction)
        except BaseException:
            self.unpark(fd, future, direction)
            raise
        return future

    def unpark(self, fd: int, future: Future, direction: int) -> int:
        """Remove `future` from the waiters: its operation was cancelled or closed."""
        channel = self.channels.get(fd)
        if isinstance(channel, Watch):
            watch = channel
            waiting = watch.readers if direction == READ else watch.writers
            if future in waiting:
                waiting.remove(future)
                watch.update()
        return 0

    # -- handles

    def add_reader(self, fd: int, handle: Handle) -> int:
        return self.watch_number(fd).set_handle(READ, handle)

    def add_writer(self, fd: int, handle: Handle) -> int:
        return self.watch_number(fd).set_handle(WRITE, handle)

    def remove_reader(self, fd: int) -> bool:
        channel = self.channels.get(fd)
        if not isinstance(channel, Watch):
            return self.refuse_transport(fd)
        watch = channel
        return watch.take_handle(READ)

    def remove_writer(self, fd: int) -> bool:
        channel = self.channels.get(fd)
        if not isinstance(channel, Watch):
            return self.refuse_transport(fd)
        watch = channel
        return watch.take_handle(WRITE)

    def refuse_transport(self, fd: int) -> bool:
        owner = self.stream_owner(fd)
        if owner is not None:
            raise RuntimeError(f"File descriptor {fd} is used by transport {owner!r}")
        return False

    def forget_all(self) -> int:
        """Empty the table when the driver closes: cancel the waiters, and silence the streams."""
        channels = list(self.channels.values())
        for channel in channels:
            self.remove(channel, True)
            if isinstance(channel, Watch):
                watch = channel
                watch.sock = None
                for waiting in (watch.readers, watch.writers):
                    while waiting:
                        waiting.pop().cancel()
        return 0


class Watch(Channel):
    """The waiters and handles of a descriptor that belongs to the program."""

    driver: ReadinessDriver
    sock: Any
    reader: Handle | None
    writer: Handle | None
    readers: list[Future]
    writers: list[Future]

    def __init__(self, driver: ReadinessDriver, fd: int) -> None:
        self.fd = fd
        self.wanted = 0
        self.armed = 0
        self.edge = False
        self.generation = 0
        self.driver = driver
        self.sock = None
        self.reader = None
        self.writer = None
        self.readers = []
        self.writers = []

    def stale(self) -> bool:
        """Whether the socket of the watch has another number by now, or none."""
        if self.sock is None:
            return False
        sock = self.sock()
        return sock is None or sock.fileno() != self.fd

    def needs(self) -> int:
        mask = 0
        if self.reader is not None or self.readers:
            mask = READ
        if self.writer is not None or self.writers:
            mask |= WRITE
        return mask

    def update(self) -> int:
        return self.driver.set_interest(self, self.needs())

    def fire(self, events: int) -> int:
        if not events & self.wanted:
            # Nobody waits for this event any more. An edge is reported once; a level would be reported for ever, so end its registration.
            return 0 if self.edge else self.driver.apply_interest(self)
        reader = self.reader if events & READ else None
        writer = self.writer if events & WRITE else None
        if events & READ and self.readers:
            release(self.readers)
        if events & WRITE and self.writers:
            release(self.writers)
        self.update()
        # These are the handles from before the poll. The reader may remove or replace the writer, which is cancelled then; its replacement
        # does not run in this turn. Both may do anything to a descriptor, unseen by the driver, so they set `acted`.
        driver = self.driver
        if reader is not None:
            driver.acted = True
            driver.kernel.run_handle(reader)
            if writer is not None:
                driver.kernel.next_event()
        if writer is not None:
            driver.acted = True
            driver.kernel.run_handle(writer)
        return 0

    def set_handle(self, direction: int, handle: Handle) -> int:
        before = self.swap_handle(direction, handle)
        self.driver.mark(self, direction)
        if before is not None:
            before.cancel()
        self.use_levels()
        try:
            self.update()
        except BaseException:
            # The system cannot wait on this descriptor: it is a regular file, for example.
            self.take_handle(direction)
            raise
        return 0

    def use_levels(self) -> int:
        """Use levels: handles run in each turn while the descriptor is ready, as on asyncio.

        Register anew even if nothing changes: the program may have closed and reopened a bare number meanwhile.
        """
        self.edge = False
        if self.armed:
            self.driver.apply_interest(self)
        return 0

    def swap_handle(self, direction: int, handle: Handle | None) -> Handle | None:
        if direction == READ:
            before = self.reader
            self.reader = handle
        else:
            before = self.writer
            self.writer = handle
        return before

    def take_handle(self, direction: int) -> bool:
        handle = self.swap_handle(direction, None)
        if handle is None:
            return False
        handle.cancel()
        self.update()
        if self.wanted == 0:
            # The program may close the descriptor next and never mention it again: keep no registration of a bare number.
            self.driver.remove(self, not self.stale())
        return True

    def fail(self, error: BaseException) -> int:
        """Fail all waiters: the descriptor is gone."""
        self.sock = None
        for direction in (READ, WRITE):
            handle = self.swap_handle(direction, None)
            if handle is not None:
                handle.cancel()
        for waiting in (self.readers, self.writers):
            while waiting:
                future = waiting.pop()
                if not future.done():
                    future.set_exception(error)
        return 0

    def socket_died(self, reference: Any) -> None:
        """The socket object has died, and its descriptor with it. Any thread may call this."""
        if self.driver.channels.get(self.fd) is self:
            self.driver.remove(self, False)
            self.fail(OSError(errno.EBADF, f"the socket with descriptor {self.fd} was closed while it was waited on"))


def holds(channel: Any, fd: int) -> bool:
    """Whether the channel still has this number: nobody has closed its socket or file behind the driver's back."""
    return number_of(channel.sock) == fd


def number_of(thing: Any) -> int:
    """The current descriptor of a socket or file object; -1 if it is closed."""
    try:
        return int(thing.fileno())
    except (OSError, ValueError):
        return -1  # a closed file raises ValueError


def release(waiting: list[Future]) -> int:
    """Wake the operations that wait, in order of arrival: they try again."""
    if len(waiting) == 1:
        future = waiting.pop()
        if future.state == PENDING:
            future.finish(None)
        return 0
    told = waiting[:]
    waiting.clear()  # first: to schedule the callbacks of a future may run user code
    for future in told:
        if future.state == PENDING:
            future.finish(None)
    return 0
