"""How compiled modules are loaded: many out of one shared object, and sealed before anybody sees them.

To be imported before any of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from types import ModuleType
from typing import TYPE_CHECKING

from cede.core.interpreters import refuse_where_compiled
from cede.runner.sealing import seal

if TYPE_CHECKING:  # for tools that put programs together, which look for statements and find the objects by these
    import cede.drivers.epoll  # noqa: F401
    from cede import _compiled, _compiled_extras, _compiled_tls  # type: ignore[attr-defined]  # noqa: F401

MAIN = "cede._compiled"


class Loader(ExtensionFileLoader):
    """Takes a module out of a shared object; see core/native/modules.h."""

    def __init__(self, name: str, path: str, place: str) -> None:
        super().__init__(name, path)
        self.place = place

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        made: ModuleType = import_module(self.place).create(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        seal(module)


class CompiledModules:
    """Finds what is in the shared objects, and nothing else: no file is opened for it but the object's own, once."""

    def __init__(self, main: ModuleType) -> None:
        self.places: dict[str, str] = main.places  # module -> object
        self.folder, name = os.path.split(str(main.__file__))
        self.suffix = name.removeprefix(MAIN.rpartition(".")[2])

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        place = self.places.get(name)
        if place is None:
            return None
        file = os.path.join(self.folder, place.rpartition(".")[2] + self.suffix)
        return spec_from_file_location(name, file, loader=Loader(name, file, place))


if find_spec(MAIN) is not None:
    refuse_where_compiled()
    sys.meta_path.insert(0, CompiledModules(import_module(MAIN)))
