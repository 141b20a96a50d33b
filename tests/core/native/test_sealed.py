"""What the runtime makes for itself cannot be made bare from Python: its fields would never have been set."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
from typing import Any

import pytest

import cede
from cede.core.scheduler.kernel import COMPILED
from cede.core.task.operation import StreamOperation
from cede.runner.sealing import compiled_classes, made_from_c

pytestmark = pytest.mark.skipif(not COMPILED, reason="uncompiled there is no field that was never set")


def sealed() -> list[Any]:
    for name in cede.__all__:
        getattr(cede, name)  # loads it
    return [kind for kind in compiled_classes() if made_from_c(kind)]


def test_there_is_no_way_to_a_bare_operation() -> None:
    kinds = sealed()
    assert len(kinds) > 30
    for kind in kinds:
        ways = [kind, lambda kind=kind: kind.__new__(kind), lambda kind=kind: type("Heir", (kind,), {"__init__": lambda self: None})()]
        ways += [lambda kind=kind, base=base: base.__new__(kind) for base in kind.__mro__[1:]]
        for way in ways:
            with pytest.raises(TypeError):
                way()


def test_an_operation_is_not_copied() -> None:
    async def main() -> None:
        queue: Any = cede.Queue()
        putting = queue.put(1)
        assert isinstance(putting, StreamOperation)
        with pytest.raises(TypeError):
            copy.copy(putting)
        await putting
        waiting = cede.wait_for(queue.get(), 5)
        with pytest.raises(TypeError):
            copy.copy(waiting)
        assert await waiting == 1

    asyncio.run(main())


def test_what_is_public_can_be_derived_from() -> None:
    for kind in (cede.Future, cede.Task, cede.Lock, cede.Queue, cede.TaskGroup, cede.Timeout, cede.StreamReader, cede.EventLoop):
        assert type("Heir", (kind,), {}).__new__ is not None
        kind.__new__(kind)


def test_a_kernel_without_a_driver_is_refused_in_words() -> None:
    program = """
import asyncio, cede
from cede.core.scheduler.kernel import Kernel
from cede.core.scheduler.coop import Budget
from cede.loop.socket_transfer import SocketTransfer
loop = cede.new_event_loop()
async def main():
    await asyncio.sleep(0)
# In the loop: from Python 3.14 on nobody is the current task of a loop that does not run.
loop.call_soon(lambda: SocketTransfer().run_one(task))
task = loop.create_task(main())
for refused in (Kernel().run_until_stopped, Kernel()._run_once, Budget(None, 1).open):
    try:
        refused()
    except RuntimeError:
        continue
    raise AssertionError(refused)
loop.run_until_complete(task)
assert task.done() and not hasattr(loop, "_inbox")
loop.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
