"""A clock that goes on by steps, so that no program has to wait, and none depends on how fast the machine is.

It goes on where a program says so, and where the loop has nothing to do: that shows in the loop asking for the time again and again while
no statement of the program runs. Each value of the clock is then seen by the loop, so timers fire one by one, in the order of their times.
"""

from __future__ import annotations

import ctypes

# So small that a loop which sleeps until the next timer does not give up its processor for it: powers of two, so that sums are exact.
UNIT = 2.0**-28
TIE = 2.0**-44
BEGIN = 16
# A turn asks once or twice, and no chain of the runtime's own callbacks is so long: after a statement, and after a timer.
IDLE = 48
IDLE_STILL = 18
PR_SET_TIMERSLACK = 29


class Clock:
    """Seconds as a loop's `time` gives them, in whole units."""

    def __init__(self) -> None:
        self.units = BEGIN
        self.asked = 0
        self.given = 0

    def time(self) -> float:
        """The time; a loop that asks so often without running anything is idle."""
        self.asked += 1
        if self.asked >= IDLE:
            self.asked = IDLE - IDLE_STILL
            self.units += 1
        return self.units * UNIT

    def delay(self, units: int) -> float:
        """So many units, and a trifle that makes each time a different one: asyncio's heap has no order among equal times."""
        self.given += 1
        return units * UNIT + self.given * TIE


def sleep_exactly() -> None:
    """Linux adds 50 microseconds to each sleep unless it is told not to."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
