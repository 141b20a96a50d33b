"""What travels: functions, arguments, results and context variables, as bytes.

A context variable cannot be pickled. It travels by name where it is a global of a module, and its value where that can be pickled. The
modules of the machinery itself (asyncio, distributed, cede and such) keep theirs at home.
"""

from __future__ import annotations

import contextvars
import importlib
import io
import logging
import pickle
import sys
from collections import ChainMap
from typing import Any, ClassVar

import cloudpickle

from cede.offload.errors import Unpicklable

logger = logging.getLogger("cede")

AT_HOME = frozenset(sys.stdlib_module_names - {"__main__"}) | {"cede", "dask", "distributed", "tornado", "anyio", "sniffio", "greenlet"}

# Where each variable is found; those of a program's main file are made anew in a worker that has not got them.
_places: dict[contextvars.ContextVar[Any], tuple[str, str] | None] = {}
_made: dict[tuple[str, str], contextvars.ContextVar[Any]] = {}


def place_of(variable: contextvars.ContextVar[Any]) -> tuple[str, str] | None:
    """The module and the name under which it can be found, or None."""
    if variable not in _places:
        _places[variable] = None
        for name, module in list(sys.modules.items()):
            for attribute, value in list(getattr(module, "__dict__", {}).items()):
                if value is variable:
                    _places[variable] = (name, attribute)
                    return _places[variable]
    return _places[variable]


def reduce_variable(variable: contextvars.ContextVar[Any]) -> Any:
    """How a variable is pickled."""
    place = place_of(variable)
    if place is None:
        raise pickle.PicklingError(f"{variable!r} is no global of a module, and so cannot travel")
    return found_variable, place


class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """cloudpickle's, for which context variables have a name."""

    dispatch_table: ClassVar[Any] = ChainMap({contextvars.ContextVar: reduce_variable}, cloudpickle.CloudPickler.dispatch_table)


def dumps(value: Any) -> bytes:
    """Pickle it, by value where it comes from the program's main file or was made on the spot."""
    file = io.BytesIO()
    Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def found_variable(module: str, name: str) -> contextvars.ContextVar[Any]:
    """The variable of that name here."""
    if module != "__main__":
        found: contextvars.ContextVar[Any] = getattr(importlib.import_module(module), name)
        return found
    here = getattr(sys.modules.get("__mp_main__", sys.modules["__main__"]), name, None)
    if isinstance(here, contextvars.ContextVar):
        return here
    return _made.setdefault((module, name), contextvars.ContextVar(name))


def pack_context() -> list[bytes]:
    """The variables of the running context that can travel, with their values."""
    packed = []
    for variable, value in contextvars.copy_context().items():
        place = place_of(variable)
        if place is None or place[0].partition(".")[0] in AT_HOME:
            continue
        try:
            packed.append(dumps((variable, value)))
        except Exception as error:
            logger.debug("%r stays at home, its value cannot be pickled: %r", variable, error)
    return packed


def set_context(packed: list[bytes]) -> None:
    """Set them in the running context. One that is not known here is left out."""
    for each in packed:
        try:
            variable, value = pickle.loads(each)
        except Exception as error:
            logger.debug("a context variable is not known here: %r", error)
        else:
            variable.set(value)


def pack_call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """The call and its context. Raises Unpicklable where the function or an argument cannot travel."""
    try:
        call = dumps((function, args, kwargs))
    except Exception as error:
        raise Unpicklable(f"the call of {function!r} cannot travel to a worker: {type(error).__name__}: {error}") from error
    return pickle.dumps((pack_context(), call), pickle.HIGHEST_PROTOCOL)


def unpack_call(packed: bytes) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The call; its context is set in the running one."""
    context, call = pickle.loads(packed)
    set_context(context)
    function, args, kwargs = pickle.loads(call)
    return function, args, kwargs


def pack_result(result: Any) -> bytes:
    """Raises Unpicklable where it cannot travel."""
    try:
        return dumps(result)
    except Exception as error:
        raise Unpicklable(f"the result, of {type(result)!r}, cannot travel: {type(error).__name__}: {error}") from error
