"""Plain functions as coroutines: each runs on a stack of its own, and gives way from however deep inside it.

    from cede import stackful

    def handle(reader, writer):                      # no async, no await
        while line := stackful.wait(reader.readline()):
            writer.write(line)

    task = stackful.spawn(handle, reader, writer)    # a task like any other

A stackful coroutine is a coroutine to everybody else: `spawn` makes a task of it, ``await run_sync(fn)`` runs it inside of the task that
awaits it, groups and timeouts take it. What it costs more than a native one is a stack: see ``docs/stackful.md`` for the figures.

Needs the greenlet package: ``pip install cede[stackful]``.
"""

from __future__ import annotations

try:
    import greenlet as _greenlet  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "cede.stackful needs the greenlet package, which switches stacks: pip install 'cede[stackful]'", name="greenlet"
    ) from error

from cede.stackful.async_bridge import entered as entered
from cede.stackful.async_bridge import iterate as iterate
from cede.stackful.coroutine import StackCoroutine as StackCoroutine
from cede.stackful.coroutine import run_sync as run_sync
from cede.stackful.coroutine import wait as wait
from cede.stackful.files import open_file as open_file
from cede.stackful.inspect import SavedStack as SavedStack
from cede.stackful.inspect import saved_stack as saved_stack
from cede.stackful.spawn import spawn as spawn

__all__ = ["spawn", "wait", "run_sync", "StackCoroutine", "entered", "iterate", "open_file", "saved_stack", "SavedStack"]
