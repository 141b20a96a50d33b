"""How compiled modules are loaded: as Python loads them, and sealed before anybody sees them. To be imported before any of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from types import ModuleType

from cede.core.interpreters import refuse_where_compiled
from cede.runner.sealing import seal


class SealingLoader(ExtensionFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        seal(module)


class CompiledModules:
    """Finds the modules of the package as Python does."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith("cede."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        if isinstance(spec.loader, ExtensionFileLoader):
            spec.loader = SealingLoader(name, spec.loader.path)
        return spec


refuse_where_compiled()
sys.meta_path.insert(0, CompiledModules)
