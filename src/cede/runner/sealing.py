"""What the runtime makes for itself has no door for anybody else, once everything is imported. See core/task/sealed.h."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from cede.core.task.operation import StreamOperation
from cede.core.task.sealed import take_door
from cede.tasks.completed import Instant
from cede.tasks.wait_for import WaitFor

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a `class` statement that is not compiled

# Their objects are made from C alone, by their __new__: where such a class has no __init__ of its own, nobody calls it.
MADE_FROM_C = (StreamOperation, Instant, WaitFor)


def compiled_classes() -> Iterator[Any]:
    """Every compiled class of the package, of the modules that are imported."""
    for name, module in list(sys.modules.items()):
        if name.startswith("cede.") and not str(getattr(module, "__file__", ".py")).endswith(".py"):
            for value in list(vars(module).values()):
                if isinstance(value, type) and not value.__flags__ & HEAP_TYPE and type.__getattribute__(value, "__module__") == name:
                    yield value


def seal(public: Iterable[Any]) -> None:
    """Seal what is neither `public` nor the base of a class written in Python."""
    kept = {id(kind) for kind in public}
    for kind in compiled_classes():
        if id(kind) not in kept and not any(heir.__flags__ & HEAP_TYPE for heir in kind.__subclasses__()):
            take_door(kind, issubclass(kind, MADE_FROM_C) and kind.__init__ is object.__init__)
