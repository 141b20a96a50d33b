"""How a Python child of a program under `cede run` gets onto cede: when it imports asyncio, and not at all when it does not.

It stands beside `sitecustomize` in a folder of its own, and is imported by itself there, so that a child without asyncio imports nothing
of cede's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

VARIABLE = "CEDE_RUN"


class AfterImport:
    """A finder that finds nothing itself, and calls functions once modules have been imported: name -> function of the module."""

    def __init__(self, calls: dict[str, Callable[[Any], object]]) -> None:
        self._calls = calls
        sys.meta_path.insert(0, self)  # type: ignore[arg-type]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self._calls:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec: ModuleSpec | None = finder.find_spec(name, path, target)
                if spec is not None:
                    self._follow(name, spec.loader)
                    return spec
        return None

    def _follow(self, name: str, loader: Any) -> None:
        if isinstance(loader, type) or not hasattr(loader, "exec_module"):
            return  # the interpreter's own, for what is built in, or a namespace's
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            if module.__name__ != name:
                return  # a loader may be shared
            vars(loader).pop("exec_module", None)
            call = self._calls.pop(name, None)
            if call is not None:
                call(module)

        loader.exec_module = exec_module


def begin() -> None:
    """What `sitecustomize` calls: nothing happens unless the program that started this one wants it (see `cede.cli.children`)."""
    how = os.environ.get(VARIABLE)
    if not how or is_the_command(sys.orig_argv[1:]):
        return

    def asyncio_is_there(module: Any = None) -> None:
        if "cede" not in sys.modules:  # else it is being imported, and imports asyncio
            try:
                import cede  # noqa: F401
            except ModuleNotFoundError as error:
                if error.name != "cede":
                    raise
                # another environment, which has nothing of cede's

    def cede_is_there(module: Any) -> None:
        from cede.cli import children

        children.inherit(how)

    AfterImport({"asyncio": asyncio_is_there, "cede": cede_is_there})
    if "asyncio" in sys.modules:  # something else of the start has imported it
        asyncio_is_there()


def is_the_command(words: list[str]) -> bool:
    """Whether Python was started for `cede` itself, which decides on its own."""
    while words and words[0].startswith("-") and words[0][:2] not in ("-m", "-c"):
        words = words[2 if words[0] in ("-X", "-W", "--check-hash-based-pycs") else 1 :]
    if not words:
        return False
    if words[0].startswith("-m"):
        return (words[0][2:] or "".join(words[1:2])) == "cede"
    return os.path.basename(words[0]) == "cede"
