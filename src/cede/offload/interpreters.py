"""Sub-interpreters, for what computes in Python: each has an interpreter lock of its own, in the same process. Python 3.14 and later."""

from __future__ import annotations

import pickle
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from cede.offload import worker
from cede.offload.pool import Pool
from cede.offload.processes import outcome, pack_call, preparation
from cede.offload.threads import in_thread

# Under this name an interpreter finds what runs there: `worker`, which it loads by its path, since a compiled cede cannot be imported in
# it.
MODULE = "_cede_offload_worker"
LOAD = f"""
import importlib.util, sys
found = importlib.util.spec_from_file_location({MODULE!r}, {worker.__file__!r})
module = sys.modules[{MODULE!r}] = importlib.util.module_from_spec(found)
found.loader.exec_module(module)
"""


class InterpreterPool(Pool):
    """Calls in sub-interpreters of its own, at most `size` at once, each on a thread and one call after the other.

    An interpreter has imported the program's main module, and shares nothing with this one: what travels is what travels to a process,
    and modules that do not know sub-interpreters cannot be imported there. It is started when it is needed (some milliseconds) and used
    again. It cannot be stopped: a cancelled call stops waiting, and keeps its place until the function has returned.

    Raises RuntimeError before Python 3.14.
    """

    kind = "interpreter"

    def __init__(self, size: int | None = None, *, name: str | None = None, queue: int | None = None) -> None:
        if sys.version_info < (3, 14):
            version = ".".join(map(str, sys.version_info[:2]))
            raise RuntimeError(f"interpreters for work need Python 3.14, and this is {version}: use to_process, or to_thread")
        super().__init__(size, name=name, queue=queue)
        self._executor: Any = ThreadPoolExecutor(self._size, thread_name_prefix=f"cede-{self._name}")
        self._idle: list[Any] = []
        self._finalizer = weakref.finalize(self, close_all, self._idle)

    async def perform(self, function: Any, args: Any, kwargs: Any, over: Callable[[], object]) -> Any:
        """Do it in an interpreter."""
        try:
            packed = pack_call(function, args, kwargs)
            setup = None if self._idle else pickle.dumps(preparation(f"cede-{self._name}"))
        except BaseException:
            over()
            raise
        kind, payload = await in_thread(self._executor, self._do, (packed, setup), {}, over)
        return outcome(function, kind, payload)

    def _do(self, packed: bytes, setup: bytes | None) -> Any:
        """On the thread."""
        try:
            interpreter = self._idle.pop()
        except IndexError:
            interpreter = import_module("concurrent.interpreters").create()
            try:
                interpreter.exec(LOAD)
                unfit = interpreter.call(set_up, pickle.dumps(preparation(f"cede-{self._name}")) if setup is None else setup)
            except BaseException:
                interpreter.close()
                raise
            if unfit is not None:
                interpreter.close()
                return worker.UNFIT, unfit
        try:
            return interpreter.call(answer, packed)
        finally:
            self._idle.append(interpreter)
            if self._closed and not self._places.busy:  # nobody waited for it
                close_all(self._idle)

    async def end(self) -> None:
        """Wait for the threads, which have nothing to do, and end the interpreters."""
        self._executor.shutdown(wait=True)
        close_all(self._idle)

    def abandon(self) -> None:
        """What works goes when it has done it."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        close_all(self._idle)


# These two are sent as code, and run over there: they may use nothing of this module.


def set_up(packed: bytes) -> Any:
    import sys

    return sys.modules["_cede_offload_worker"].set_up(packed)


def answer(packed: bytes) -> Any:
    import sys

    return sys.modules["_cede_offload_worker"].answer(packed)


def close_all(interpreters: list[Any]) -> None:
    """End interpreters in which nothing runs."""
    while interpreters:
        try:
            interpreters.pop().close()
        except IndexError:
            return  # the thread of another call was faster
