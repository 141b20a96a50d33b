"""A cede loop with a virtual clock and no I/O, steered as CPython's TestLoop is.

A generator is told the time of each timer that was set, and answers how far the clock is to go. It is asked after each turn, and once
more when the loop is closed, where it must have finished.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from cede import EventLoop
from cede.core.scheduler import kernel
from cede.core.scheduler.ports import DriverPort

Steering = Generator[float | None, float, None]


class Stillness(DriverPort):
    """A driver in whose world nothing happens: it never sleeps, and tells the loop that a turn is over."""

    idle = False  # compiled, this is a field; it is set again in __init__

    def __init__(self) -> None:
        self.idle = False  # to be asked before each turn
        self.loop: VirtualLoop | None = None

    def wait(self, timeout: float) -> int:
        assert self.loop is not None
        self.loop.between_turns()
        return 0

    def wake(self) -> None:
        pass

    def wakeup_fd(self) -> int:
        return -1  # no signal is waited for

    def attach(self, loop: VirtualLoop) -> None:
        self.loop = loop

    def close(self) -> None:
        pass


def no_time() -> Steering:
    yield None


class VirtualLoop(EventLoop):
    """What CPython's suites call a test loop."""

    if not hasattr(EventLoop, "_ready") and not (kernel.__file__ or "").endswith(".py"):

        @property
        def _ready(self) -> range:
            """The suites ask only how much is ready, and a compiled kernel keeps the ring to itself."""
            return range(self.ready_count())

    def __init__(self, steering: Callable[[], Steering] | None = None) -> None:
        super().__init__(driver=Stillness())
        self._strict = steering is not None
        self._steering = (steering or no_time)()
        next(self._steering)
        self._now = 0.0
        self._set: list[float] = []
        self._turned = False
        self._broken: BaseException | None = None

    # -- the clock

    def time(self) -> float:
        return self._now

    def advance_time(self, seconds: float | None) -> None:
        if seconds:
            self._now += seconds

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        self._set.append(when)
        return super().call_at(when, callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    # -- turns

    def between_turns(self) -> None:
        """Called before each turn. Before the first of a run nothing has turned yet, and the clock stays."""
        if self._turned:
            self._steer()
        self._turned = True

    def _steer(self) -> None:
        timers, self._set = self._set, []
        try:
            for when in timers:
                self.advance_time(self._steering.send(when))
        except BaseException as error:  # a driver may not raise: the run ends with it instead
            self._broken = error
            self.stop()

    def run_forever(self) -> None:
        self._turned = False
        super().run_forever()
        self._steer()
        broken, self._broken = self._broken, None
        if broken is not None:
            raise RuntimeError("the time generator failed") from broken

    def close(self) -> None:
        super().close()
        if not self._strict:
            return
        self._strict = False
        try:
            self._steering.send(0)
        except StopIteration:
            return
        raise AssertionError("the time generator is not finished")
