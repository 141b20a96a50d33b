"""Faults that the judge must see, which no program is drawn with."""

from __future__ import annotations

import threading
from typing import Any

from ..world import Script, World


def crashes(world: World, script: Script) -> None:
    import ctypes

    ctypes.string_at(8)


def hangs(world: World, script: Script) -> None:
    threading.Event().wait()


def loses(world: World, script: Script) -> None:
    world.take_in(lambda run: world.loop.create_future().get_loop().call_later(1000, run), script)


def errs(world: World, script: Script) -> None:
    """An error of the kind that only a mistake of cede's makes, in code of cede's."""
    namespace: dict[str, Any] = {}
    exec(compile("def mistaken():\n    return [][0]", "cede/core/mistaken.py", "exec"), namespace)
    world.ticks.append(namespace["mistaken"])
