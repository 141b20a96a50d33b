"""Servers that choose a loop by themselves, where nobody tells them which: under `cede run` they choose cede's.

Each has a name for "the best loop there is here", which is its default, and takes uvloop where that is installed. That choice alone is
replaced, once the module that makes it has been imported. Whoever names a loop gets the one they name.
"""

from __future__ import annotations

from typing import Any

from cede.cli.start.cede_start import AfterImport
from cede.runner.run import new_event_loop


def adapt() -> None:
    calls = {"uvicorn.loops.auto": uvicorn, "gunicorn.config": gunicorn, "granian._loops": granian}
    AfterImport({**calls, "uvicorn.workers": uvicorns_workers, "uvicorn_worker._workers": uvicorns_workers})


def uvicorn(module: Any) -> None:
    """Which resolves its loop "auto" to a function of this module: one that returns a factory, or, before version 0.36, one that changes
    what asyncio makes."""
    if hasattr(module, "auto_loop_factory"):
        module.auto_loop_factory = lambda use_subprocess=False: new_event_loop
    if hasattr(module, "auto_loop_setup"):
        module.auto_loop_setup = lambda use_subprocess=False: None


def uvicorns_workers(module: Any) -> None:
    """Whose worker class for Gunicorn that is chosen for its parser, and has no option for the loop, names asyncio's."""
    worker = module.UvicornH11Worker
    worker.CONFIG_KWARGS = {**worker.CONFIG_KWARGS, "loop": "auto"}


def gunicorn(module: Any) -> None:
    """Whose own ASGI worker looks for uvloop when its setting says "auto"."""
    setting = getattr(module, "ASGILoop", None)
    if setting is not None and setting.default == "auto":
        setting.default = "asyncio"


def granian(module: Any) -> None:
    """Which lets programs register a loop under its name."""
    loops = module.loops
    loops.register("auto")(lambda: loops.get("asyncio"))
