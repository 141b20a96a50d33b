"""Imports that Python puts off until a name is used (3.15, ``-X lazy_imports=all``), seen from inside of the module that has them."""

from __future__ import annotations

import types
from typing import Any

LAZY = getattr(types, "LazyImportType", None)


def own(namespace: dict[str, Any], name: str) -> Any:
    """What a module itself has under `name`. Raises KeyError where it has nothing.

    A package's ``__getattr__`` is asked for a name that is bound lazily as if it were not there.
    """
    found = namespace[name]
    if LAZY is not None and type(found) is LAZY:
        found = namespace[name] = found.resolve()
    return found
