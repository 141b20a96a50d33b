"""Sub-interpreters, for what computes in Python: each has an interpreter lock of its own, in the same process. Python 3.14 and later."""

from __future__ import annotations

import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from cede.offload import worker
from cede.offload.errors import unpack_error
from cede.offload.pool import Pool
from cede.offload.processes import outcome, pack_call, preparation
from cede.offload.threads import in_thread, on_own_thread

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

    An interpreter shares nothing with this one, and imports the program's main module only for a call that needs it: what travels is what
    travels to a process, and modules that do not know sub-interpreters cannot be imported there. It is started when it is needed (some
    milliseconds) and used again. It cannot be stopped: a cancelled call stops waiting, and keeps its place until the function has returned.

    Raises RuntimeError before Python 3.14.
    """

    kind = "interpreter"

    def __init__(self, size: int | None = None, *, name: str | None = None, queue: int | None = None) -> None:
        if sys.version_info < (3, 14):
            version = ".".join(map(str, sys.version_info[:2]))
            raise RuntimeError(f"interpreters for work need Python 3.14, and this is {version}: use to_process, or to_thread")
        super().__init__(size, name=name, queue=queue)
        self._executor: Any = ThreadPoolExecutor(self._size, thread_name_prefix=f"cede-{self._name}")
        self._idle: list[Seat] = []
        self._finalizer = weakref.finalize(self, close_elsewhere, self._idle)

    async def perform(self, function: Any, args: Any, kwargs: Any, over: Callable[[], object]) -> Any:
        """Do it in an interpreter."""
        try:
            packed = pack_call(function, args, kwargs)
            told = preparation(f"cede-{self._name}")
        except BaseException:
            over()
            raise
        kind, payload = await in_thread(self._executor, self._do, (packed, told), {}, over)
        return outcome(function, kind, payload)

    def _do(self, packed: bytes, told: dict[str, Any]) -> Any:
        """On the thread."""
        try:
            seat = self._idle.pop()
        except IndexError:
            seat = Seat(told)
        left = False
        try:
            outcome = seat.answer(packed, told)
            left = outcome[0] == worker.LEFT
            return outcome
        finally:
            if left:
                close_all([seat])  # what was to end it is given its way
            else:
                self._idle.append(seat)
            if self._closed and not self._places.busy:  # nobody waited for it
                close_all(self._idle)

    async def end(self) -> None:
        """Wait for the threads, which have nothing to do, and end the interpreters: on a thread, since an interpreter ends when the threads
        that were started in it have.
        """
        await on_own_thread(self._end_all, f"cede-{self._name}-end")

    def _end_all(self) -> None:
        self._executor.shutdown(wait=True)
        close_all(self._idle)

    def abandon(self) -> None:
        """What works goes when it has done it."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        close_elsewhere(self._idle)


class Seat:
    """One interpreter. It imports the program's main module only for a call that needs it, since most such modules import cede."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.interpreter = import_module("concurrent.interpreters").create()
        self.has_main = False
        try:
            self.interpreter.exec(LOAD)
            unfit = self.set_up({key: value for key, value in told.items() if not key.startswith("init_main")})
            if unfit is not None:
                raise unpack_error(unfit)
        except BaseException:
            self.interpreter.close()
            raise

    def set_up(self, told: dict[str, Any]) -> Any:
        return self.interpreter.call(set_up, pickle.dumps(told))

    def answer(self, packed: bytes, told: dict[str, Any]) -> Any:
        if not self.has_main and b"__main__" in packed:
            unfit = self.set_up(told)
            if unfit is not None:
                return worker.UNFIT, unfit
            self.has_main = True
        return self.interpreter.call(answer, packed)


# These two are sent as code, and run over there: they may use nothing of this module.


def set_up(packed: bytes) -> Any:
    import sys

    return sys.modules["_cede_offload_worker"].set_up(packed)


def answer(packed: bytes) -> Any:
    import sys

    return sys.modules["_cede_offload_worker"].answer(packed)


def close_all(seats: list[Seat]) -> None:
    """End interpreters in which nothing runs."""
    while seats:
        try:
            seats.pop().interpreter.close()
        except IndexError:
            return  # the thread of another call was faster


def close_elsewhere(seats: list[Seat]) -> None:
    """`close_all`, which may take long, on a thread of its own; here, where the program ends and none can be started any more."""
    if seats:
        try:
            threading.Thread(target=close_all, args=(seats,), name="cede-interpreters-end").start()
        except RuntimeError:
            close_all(seats)
