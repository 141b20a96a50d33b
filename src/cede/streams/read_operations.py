"""The operations of a reader: some bytes, exactly so many, up to a separator, a line.

Each looks at the inflow, ends if it can, else waits and looks again. Bytes leave the inflow in the step in which the
operation ends and in no other, so a cancelled one has lost nothing.
"""

from __future__ import annotations

import operator
import sys
from asyncio.exceptions import IncompleteReadError, LimitOverrunError
from typing import Any

from cede.core.task.operation import StreamOperation

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.task.awaitable import ENDED, FAILED

    def clipped(n: Any) -> int:
        return max(-1, min(n, sys.maxsize))


def as_size(label: str, n: Any) -> int:
    """`n` as a count of bytes; a count beyond all memory is as good as the largest there is."""
    if type(n) is not int:
        try:
            n = operator.index(n)
        except TypeError:
            raise TypeError(f"{label}(): n must be an integer, a number of bytes, got {n!r}") from None
    return clipped(n)


class ReadOperation(StreamOperation):
    """An operation on an ReadBuffer, its `owner`."""

    def finish(self, count: int) -> int:
        """End with the next `count` bytes."""
        flow = self.owner
        self.value = flow.take(count)
        if flow._paused:
            flow.resume_if_low()
        return ENDED

    def wait(self, name: str, wanted: int) -> int:
        flow = self.owner
        return self.park(flow.wait(name, wanted))

    def release(self) -> int:
        flow = self.owner
        flow.forget(self.waiter)
        return 0

    def fail(self, error: BaseException) -> int:
        self.value = error
        return FAILED


class Read(ReadOperation):
    """``read(n)``; `number` is n."""

    def step(self) -> int:
        flow = self.owner
        if self.waiter is not None:
            self.settle()
        else:
            if flow._exception is not None:
                return self.fail(flow._exception)
            self.number = as_size("StreamReader.read", self.argument)
            if self.number == 0:
                self.value = b""
                return ENDED
        if self.number < 0:
            if not flow._eof:
                return self.wait("read", sys.maxsize)
            return self.finish(sys.maxsize)
        if not flow._eof and flow.held() == 0:
            return self.wait("read", 1)
        return self.finish(self.number)


class ReadExactly(ReadOperation):
    """``readexactly(n)``; `number` is n."""

    def step(self) -> int:
        flow = self.owner
        if self.waiter is not None:
            self.settle()
        else:
            self.number = as_size("StreamReader.readexactly", self.argument)
            if self.number < 0:
                return self.fail(ValueError("readexactly size can not be less than zero"))
            if flow._exception is not None:
                return self.fail(flow._exception)
        if flow.held() >= self.number:
            return self.finish(self.number)
        if not flow._eof:
            return self.wait("readexactly", self.number)
        return self.fail(IncompleteReadError(flow.take(sys.maxsize), self.argument))


class ReadUntil(ReadOperation):
    """``readuntil(separator)``; `argument` becomes the list of separators, shortest first.

    `number` is where to search on, `mark` what the inflow's `taken` was when that was written down.
    """

    def prepare(self, flow: Any) -> int:
        separators = self.argument
        if type(separators) is bytes:
            separators = [separators]
        elif isinstance(separators, tuple):
            separators = sorted(separators, key=len)
        else:
            separators = [separators]
        if not separators:
            raise ValueError("Separator should contain at least one element")
        if len(separators[0]) == 0:
            raise ValueError("Separator should be at least one-byte string")
        self.argument = separators
        self.mark = flow.taken
        if flow._exception is not None:
            raise flow._exception
        return 0

    def locate(self, flow: Any) -> int:
        """The place where the first separator to be complete begins, or -1; its length goes into `mark`."""
        if len(self.argument) == 1:
            separator = self.argument[0]
            self.mark = len(separator)
            return flow.find(separator, self.number)
        found = -1
        for separator in self.argument:
            at = flow.find(separator, self.number)
            end = at + len(separator)
            if at >= 0 and (found < 0 or end < found + self.mark):
                found = at
                self.mark = len(separator)
        return found

    def step(self) -> int:
        flow = self.owner
        if self.waiter is not None:
            self.settle()
            if self.mark != flow.taken:
                # Somebody took bytes meanwhile: the place is void.
                self.number = 0
        else:
            self.prepare(flow)
        held = flow.held()
        shortest = len(self.argument[0])
        if held - self.number >= shortest:
            at = self.locate(flow)
            if at > flow.limit:
                return self.overrun(flow, "Separator is found, but chunk is longer than limit", at)
            if at >= 0:
                return self.finish(at + self.mark)
            # A separator may have begun in the last bytes, all but its last byte at most.
            longest = len(self.argument[len(self.argument) - 1])
            self.number = held + 1 - longest if held >= longest else 0
            if self.number > flow.limit:
                return self.overrun(flow, "Separator is not found, and chunk exceed the limit", self.number)
        if flow._eof:
            return self.ended(flow)
        self.mark = flow.taken
        return self.wait("readuntil", 0)

    def ended(self, flow: Any) -> int:
        return self.fail(IncompleteReadError(flow.take(sys.maxsize), None))

    def overrun(self, flow: Any, message: str, consumed: int) -> int:
        return self.fail(LimitOverrunError(message, consumed))


class ReadLine(ReadUntil):
    """``readline()``: a separator known in advance, and other ways to fail."""

    def prepare(self, flow: Any) -> int:
        self.argument = NEWLINE
        self.mark = flow.taken
        if flow._exception is not None:
            raise flow._exception
        return 0

    def ended(self, flow: Any) -> int:
        return self.finish(sys.maxsize)

    def overrun(self, flow: Any, message: str, consumed: int) -> int:
        # A line too long is removed whole where its end is known, else as far as it came.
        flow.take(consumed + 1 if flow.find(b"\n", consumed) == consumed else sys.maxsize)
        flow.resume_if_low()
        return self.fail(ValueError(message))


NEWLINE = [b"\n"]


class NextLine(ReadLine):
    """``async for line in reader``."""

    def step(self) -> int:
        outcome = ReadLine.step(self)
        if outcome == ENDED and not self.value:
            return self.fail(StopAsyncIteration())
        return outcome


class WaitForData(ReadOperation):
    """The wait alone, for subclasses that read in their own way; `argument` is their method's name."""

    def step(self) -> int:
        if self.waiter is None:
            return self.wait(self.argument, 0)
        self.settle()
        return ENDED
