"""How this install was made: what setup.py wrote down, and what is there in fact."""

from __future__ import annotations

import importlib.machinery
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["compiled", "pure", "pure-no-compiler"]
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Build:
    """mode, the reason for it ("" when there is nothing to explain), and the number of compiled modules found."""

    mode: Mode
    reason: str
    extensions: int

    @property
    def disappointing(self) -> bool:
        """True when the user got a slower install than they asked for."""
        return self.mode == "pure-no-compiler"


def look() -> Build:
    """The build of the package this file belongs to."""
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    extensions = sum(1 for path in PACKAGE.rglob("*") if path.name.endswith(suffixes))
    try:
        record = json.loads((PACKAGE / "_build.json").read_text())
    except FileNotFoundError:
        record = {"mode": "compiled" if extensions else "pure", "reason": "run from the source tree, not installed"}
    return Build(record["mode"], record["reason"], extensions)
