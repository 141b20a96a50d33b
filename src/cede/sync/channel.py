# cython: auto_pickle=False
"""Channels: many senders, many receivers, and an end that everybody hears of.

Invariants
----------
* An item enters the buffer in the step in which a `send` ends, and leaves it in the step in which a `receive` ends. Cancelled before
  that, neither has done anything.
* Those who wait are served in the order in which they came; see queue.py, whose lines these are.
* While there is an item, or no sender is left, and somebody waits for one, at least one who waits is on its way. The same for room.
* Without a buffer, `send` ends once a receiver waits for the item. If that one is cancelled in the same turn, the next gets it.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Coroutine
from typing import Any, NamedTuple, Self

from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.operation import NAMES, begin
from cede.sync import coroutines, pure
from cede.sync.completed import DONE
from cede.sync.errors import BrokenResourceError, ClosedResourceError, EndOfChannel, WouldBlock
from cede.sync.loop_bound import LoopBound
from cede.sync.parking_lot import ParkingLot, Waiting

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED, FAILED

    append = deque.append
    popleft = deque.popleft
else:
    prepare_deque(deque)  # type: ignore # noqa: F821

NAMES.update(Send="Sender.send", Receive="Receiver.receive", ReceiveMany="Receiver.receive_many", NextItem="Receiver.__anext__")


class ChannelStatistics(NamedTuple):
    """What `statistics` tells: counts of items, of ends that are open, and of tasks that wait."""

    current_buffer_used: int
    max_buffer_size: int | float
    open_senders: int
    open_receivers: int
    tasks_waiting_send: int
    tasks_waiting_receive: int


class Send(Waiting):
    """``sender.send(item)``; `argument` is the item."""

    def step(self) -> int:
        sender = self.owner
        channel = sender.channel
        if self.waiter is None:
            sender.check_open()
            if channel.senders.count or not channel.has_room():
                return self.stand(channel.new_waiter(), channel.senders)
        else:
            self.check()
            if not sender.closed and channel.open_receivers and not channel.has_room():
                return self.stand_again(channel.new_waiter(), channel.senders)
            channel.senders.drop(self)
            self.waiter = None
            try:
                sender.check_open()
            except BaseException:
                channel.pass_on_room()
                raise
        channel.push(self.argument)
        channel.pass_on_room()
        if cython.compiled:
            self.owner = None
            self.argument = None
            keep_spare(0, self)  # type: ignore # noqa: F821
        return ENDED

    def release(self) -> int:
        sender = self.owner
        sender.channel.senders.drop(self)
        sender.channel.pass_on_room()
        return 0


class Receive(Waiting):
    """``receiver.receive()``."""

    def step(self) -> int:
        receiver = self.owner
        channel = receiver.channel
        if self.waiter is None:
            receiver.check_open()
            if channel.receivers.count or not channel.has_items():
                if not channel.has_items() and not channel.open_senders:
                    return self.ended()
                outcome = self.stand(channel.new_waiter(), channel.receivers)
                if channel.bound == 0:
                    channel.pass_on_room()
                return outcome
        else:
            self.check()
            if not receiver.closed and not channel.has_items() and channel.open_senders:
                return self.stand_again(channel.new_waiter(), channel.receivers)
            channel.receivers.drop(self)
            self.waiter = None
            if receiver.closed or not channel.has_items():
                channel.pass_on_items()
                receiver.check_open()
                return self.ended()
        self.value = self.take(channel)
        channel.pass_on_items()
        return self.over()

    def take(self, channel: Any) -> Any:
        return channel.pop()

    def ended(self) -> int:
        """There is nothing, and nobody left to send."""
        raise EndOfChannel

    def over(self) -> int:
        if cython.compiled:
            self.owner = None
            keep_spare(1, self)  # type: ignore # noqa: F821
        return ENDED

    def release(self) -> int:
        receiver = self.owner
        receiver.channel.receivers.drop(self)
        receiver.channel.pass_on_items()
        return 0


class ReceiveMany(Receive):
    """``receiver.receive_many(max)``; `number` is the largest count."""

    def take(self, channel: Any) -> Any:
        taken: list[Any] = []
        while len(taken) < self.number and channel.has_items():
            taken.append(channel.pop())
        return taken

    def over(self) -> int:
        return ENDED


class NextItem(Receive):
    """``async for item in receiver``."""

    def ended(self) -> int:
        self.value = StopAsyncIteration()
        return FAILED

    def over(self) -> int:
        if cython.compiled:
            self.owner = None
            keep_spare(2, self)  # type: ignore # noqa: F821
        return ENDED


class Channel(LoopBound):
    """What the ends of a channel have in common."""

    if not cython.compiled:
        senders: Any
        receivers: Any

    def __init__(self, capacity: int | float) -> None:
        if capacity == math.inf:
            self.bound = sys.maxsize
        elif not isinstance(capacity, int):
            raise TypeError(f"channel(): capacity must be a whole number of items, or math.inf, got {capacity!r}")
        elif capacity < 0:
            raise ValueError(f"channel(): capacity must not be negative, got {capacity}")
        else:
            self.bound = min(capacity, sys.maxsize)
        self.capacity = capacity
        self.buffer: deque[Any] = deque()
        self.senders = ParkingLot()
        self.receivers = ParkingLot()
        self.open_senders = 0
        self.open_receivers = 0

    def has_room(self) -> bool:
        held = len(self.buffer)
        return held < self.bound or (self.bound == 0 and held < self.receivers.count)

    def has_items(self) -> bool:
        return len(self.buffer) > 0

    def push(self, item: Any) -> int:
        append(self.buffer, item)
        if self.receivers.count:
            self.receivers.wake_next()
        return 0

    def pop(self) -> Any:
        item = popleft(self.buffer)
        if self.senders.count and self.bound:
            self.senders.wake_next()
        return item

    def pass_on_items(self) -> int:
        if self.receivers.count and (self.has_items() or not self.open_senders):
            self.receivers.wake_next()
        return 0

    def pass_on_room(self) -> int:
        if self.senders.count and (self.has_room() or not self.open_receivers):
            self.senders.wake_next()
        return 0

    def statistics(self) -> ChannelStatistics:
        return ChannelStatistics(
            len(self.buffer), self.capacity, self.open_senders, self.open_receivers, self.senders.count, self.receivers.count
        )

    # The ends keep their counts here.

    def opened(self, senders: int, receivers: int) -> None:
        self.open_senders += senders
        self.open_receivers += receivers

    def sender_closed(self, sender: Any) -> None:
        self.open_senders -= 1
        self.senders.wake_of(sender)
        if not self.open_senders:
            self.receivers.wake_all()

    def receiver_closed(self, receiver: Any) -> None:
        self.open_receivers -= 1
        self.receivers.wake_of(receiver)
        if not self.open_receivers:
            self.buffer.clear()
            self.senders.wake_all()


@cython.trashcan(True)
@cython.cclass
class End:
    """What both ends of a channel do in the same way."""

    if not cython.compiled:
        closed = False

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.closed = False

    def clone(self) -> Self:
        """Another end of this kind. Each item goes to one receiver; the channel ends when all its senders are closed."""
        if self.closed:
            raise ClosedResourceError(f"clone() of a {'sender' if isinstance(self, Sender) else 'receiver'} that was closed")
        return type(self)(self.channel)

    def close(self) -> None:
        """Have no more to do with the channel."""
        raise NotImplementedError

    def shut(self) -> bool:
        """Whether it was open until now."""
        was_open = not self.closed
        self.closed = True
        return was_open

    def aclose(self) -> Coroutine[Any, Any, None]:
        """As `close`, for those who await it. It takes no turn."""
        self.close()
        return DONE  # type: ignore[return-value]

    def statistics(self) -> ChannelStatistics:
        """Counts of the whole channel."""
        return self.channel.statistics()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.close()

    def __aenter__(self) -> Any:
        return coroutines.entered(self)

    def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        self.close()
        return DONE

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle a channel's end")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self.closed else 'open'} at {id(self):#x}>"


coroutine_methods(
    End,
    aclose=coroutines.close_end,
    __aenter__=coroutines.entered,
    __aexit__=coroutines.close_after_body,
)


class Sender(End):
    """The end of a channel that items are put in. Made by `channel` and `clone`. Not thread-safe."""

    def __init__(self, channel: Channel) -> None:
        End.__init__(self, channel)
        channel.opened(1, 0)

    def send(self, item: Any) -> Coroutine[Any, Any, None]:
        """Send `item`, as soon as there is room and all who came before have sent theirs.

        Raises BrokenResourceError where no receiver is left, ClosedResourceError where this sender was closed, also while this waits.
        """
        spare = take_spare(0) if cython.compiled else None  # type: ignore # noqa: F821
        return begin(Send.__new__(Send) if spare is None else spare, self, item)  # type: ignore[no-any-return]

    def send_nowait(self, item: Any) -> None:
        """Send `item` now. Raises WouldBlock where there is no room, and what `send` raises."""
        self.check_open()
        if not self.channel.has_room():
            raise WouldBlock
        self.channel.push(item)

    if not cython.compiled:
        slow_send = send

    def close(self) -> None:
        """Send no more. With the last sender the channel ends: the receivers get what is left, and then EndOfChannel."""
        if self.shut():
            self.channel.sender_closed(self)

    def check_open(self) -> int:
        if self.closed:
            raise ClosedResourceError("this sender was closed")
        if not self.channel.open_receivers:
            raise BrokenResourceError("no receiver is left")
        return 0


class Receiver(End):
    """The end of a channel that items come out of. Made by `channel` and `clone`. ``async for`` ends with the channel. Not thread-safe."""

    def __init__(self, channel: Channel) -> None:
        End.__init__(self, channel)
        channel.opened(0, 1)

    def receive(self) -> Coroutine[Any, Any, Any]:
        """The next item, as soon as there is one and all who came before have theirs.

        Raises EndOfChannel where there is none and no sender is left, ClosedResourceError where this receiver was closed, also while
        this waits.
        """
        spare = take_spare(1) if cython.compiled else None  # type: ignore # noqa: F821
        return begin(Receive.__new__(Receive) if spare is None else spare, self, None)  # type: ignore[no-any-return]

    def receive_many(self, max: int | None = None) -> Coroutine[Any, Any, list[Any]]:
        """A list of the items that are there, `max` at most; waits for the first, and raises, as `receive` does."""
        if max is None:
            max = sys.maxsize
        elif not isinstance(max, int) or max < 1:
            raise ValueError(f"receive_many(): max must be a number of items, 1 or more, got {max!r}")
        operation = begin(ReceiveMany.__new__(ReceiveMany), self, None)
        operation.number = min_size(max)
        return operation  # type: ignore[no-any-return]

    def receive_nowait(self) -> Any:
        """The next item, now. Raises WouldBlock where there is none, and what `receive` raises."""
        self.check_open()
        if not self.channel.has_items():
            if not self.channel.open_senders:
                raise EndOfChannel
            raise WouldBlock
        return self.channel.pop()

    def close(self) -> None:
        """Receive no more. With the last receiver the channel breaks: what lies in it is dropped, and `send` raises BrokenResourceError."""
        if self.shut():
            self.channel.receiver_closed(self)

    def check_open(self) -> int:
        if self.closed:
            raise ClosedResourceError("this receiver was closed")
        return 0

    def __aiter__(self) -> Receiver:
        return self

    def __anext__(self) -> Any:
        spare = take_spare(2) if cython.compiled else None  # type: ignore # noqa: F821
        return begin(NextItem.__new__(NextItem) if spare is None else spare, self, None)

    if not cython.compiled:
        slow_receive, slow_receive_many, slow_next = receive, receive_many, __anext__


def min_size(count: int) -> int:
    return min(count, sys.maxsize)


def channel(capacity: int | float = 0) -> tuple[Sender, Receiver]:
    """A channel between tasks: its sender and its receiver.

    capacity: how many items may lie in it before `send` waits; math.inf for no limit, 0 for none at all: then `send` waits for a
    receiver. Raises TypeError and ValueError for what is no such number.
    """
    made = Channel(capacity)
    return Sender(made), Receiver(made)


coroutine_methods(Sender, send=pure.send)
coroutine_methods(Receiver, receive=pure.receive, receive_many=pure.receive_many, __anext__=pure.next_item)
if not cython.compiled:
    pure.take_part(Sender, "send")
    pure.take_part(Receiver, "receive", "__anext__")
