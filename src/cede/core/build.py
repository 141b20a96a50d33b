"""How this install was made: what setup.py wrote down, and what is there in fact."""

from __future__ import annotations

import functools
import json
import platform
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from cede.core.notice import Notice

Mode = Literal["compiled", "pure", "pure-no-compiler"]
ASKED_FOR = "CEDE_PURE"  # so setup.py says it
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Build:
    """mode, the reason for it ("" when there is nothing to explain), and the number of compiled modules found."""

    mode: Mode
    reason: str
    extensions: int

    @property
    def asked_for(self) -> bool:
        """Whether the user wanted it uncompiled."""
        return ASKED_FOR in self.reason


def compiled_modules() -> dict[str, str]:
    """Compiled module -> the shared object that it is in."""
    try:
        places: dict[str, str] = import_module("cede._compiled").places
    except ModuleNotFoundError:
        return {}
    return places


def look() -> Build:
    """The build of the package this file belongs to."""
    extensions = len(compiled_modules())
    loader: Any = __spec__.loader
    try:
        record = json.loads(loader.get_data(str(PACKAGE / "_build.json")))  # out of an archive, too
    except OSError:
        record = {"mode": "compiled" if extensions else "pure", "reason": "run from the source tree, not installed"}
    return Build(record["mode"], record["reason"], extensions)


def advice(made: Build) -> str:
    """What to do about an install that is slower than it could be."""
    if made.mode == "pure-no-compiler":
        return "install a C compiler and the Python headers, then reinstall cede"
    if made.mode == "compiled":
        return "reinstall cede with this Python"
    if sys.implementation.name != "cpython":
        return "use CPython"
    return "install cede, by `pip install`"


_uncompiled = Notice()


@functools.cache  # a look at the files, once
def tell_uncompiled() -> None:
    """Say once that this process runs cede uncompiled, unless the install was made so on purpose. To be called only where it does."""
    made = look()
    if made.asked_for:
        return
    reason = made.reason or f"its compiled modules are not for Python {platform.python_version()} here, or in an archive"
    _uncompiled.say(f"running uncompiled, and slower ({reason}): {advice(made)}; CEDE_QUIET=1 silences this")
