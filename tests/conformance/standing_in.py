"""A package called ``uvloop`` that makes other loops: its suite, and AnyIO's, ask for loops by that name.

The package is in ``stand_in/``. A suite's processes, and those that its tests start, find it first on their path.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).with_name("stand_in")


@contextmanager
def stepped_aside() -> Iterator[None]:
    """While this lasts, ``import uvloop`` finds the installed one."""
    path = list(sys.path)
    mine = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "uvloop"}
    sys.path[:] = [entry for entry in path if Path(entry or ".").resolve() != FOLDER]
    for name in mine:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        if mine:  # an import of the stand-in is under way, or was
            for name in [name for name in sys.modules if name.partition(".")[0] == "uvloop"]:
                del sys.modules[name]
            sys.modules.update(mine)
