"""What the runtime makes for itself has no door for anybody else, from the moment its module is loaded. See core/native/objects.h."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from cede._names import HOMES

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a `class` statement that is not compiled

# Not public, but the base of a class that is written in Python and may be loaded later. A test compares them with what there is.
BASES = frozenset(
    (
        "cede.core.scheduler.ports.DriverPort",
        "cede.drivers.contract.AcceptSink",
        "cede.loop.socket_transfer.SocketTransfer",
        "cede.streams.flow_control.FlowControlMixin",
        "cede.sync.thread_channel_fast.FastThreadChannel",
    )
)

# Objects of these and of what derives from them are made from C alone, by their __new__: where such a class has no __init__ of its own,
# nobody calls it.
MADE_FROM_C = frozenset(("cede.core.task.operation.StreamOperation", "cede.tasks.completed.Instant", "cede.tasks.wait_for.WaitFor"))


def full_name(kind: type) -> str:
    return f"{type.__getattribute__(kind, '__module__')}.{kind.__name__}"


def made_from_c(kind: Any) -> bool:
    return kind.__init__ is object.__init__ and any(full_name(base) in MADE_FROM_C for base in kind.__mro__)


def is_public(kind: type) -> bool:
    return f"cede.{HOMES.get(kind.__name__)}.{kind.__name__}" == full_name(kind)


def classes_of(module: ModuleType) -> Iterator[Any]:
    """The compiled classes that a compiled module defines."""
    for value in list(vars(module).values()):
        if isinstance(value, type) and not value.__flags__ & HEAP_TYPE and type.__getattribute__(value, "__module__") == module.__name__:
            yield value


def compiled_modules() -> Iterator[ModuleType]:
    """Those of the package that are loaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith("cede.") and not str(getattr(module, "__file__", ".py")).endswith(".py"):
            yield module


def compiled_classes() -> Iterator[Any]:
    """Every compiled class of the package, of the modules that are loaded."""
    for module in compiled_modules():
        yield from classes_of(module)


def seal(module: ModuleType) -> None:
    """Seal the classes of a compiled module but for those that programs, or classes written in Python, make objects of."""
    for kind in classes_of(module):
        if is_public(kind):
            from cede.core.task.coroutine_methods import tell_module

            tell_module(kind)
        elif full_name(kind) not in BASES:
            from cede.core.task.sealed import take_door

            take_door(kind, made_from_c(kind))
