"""A loop whose steps take no time, however long the machine does something else meanwhile."""

from __future__ import annotations

import time
from typing import Any

SLOWER = 1e-4


def slow_down(loop: Any) -> None:
    """From now on the loop's clock goes ten thousand times slower. A timer of microseconds still comes."""
    began = time.monotonic()
    loop.time = lambda: began + (time.monotonic() - began) * SLOWER
