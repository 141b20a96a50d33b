"""What is still at work in a loop: tasks and generators and where they wait, threads and where they are, transports and pools that are
open.

Read when a shutdown has run out of time, from whatever thread finds that out: everything here only looks, and takes what it can get.
"""

from __future__ import annotations

import asyncio
import gc
import linecache
import sys
import threading
import traceback
from concurrent.futures import thread as pool_module
from types import FrameType
from typing import Any

from cede.loop.threads.executor import LoopThreads

# Where the threads of a pool rest between two jobs.
_REST = pool_module._worker.__code__


class Cut:
    """An asynchronous generator whose closing was cut off, and where it waited then."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.lines = where_waits(generator)


class Unfinished:
    """What was still at work."""

    def __init__(self, tasks: Any = (), threads: Any = (), transports: Any = (), generators: Any = (), pools: Any = ()) -> None:
        self.tasks: list[Any] = list(tasks)
        self.threads: list[threading.Thread] = list(threads)
        self.transports: list[Any] = list(transports)
        self.generators: list[Cut] = list(generators)
        self.pools: list[Any] = list(pools)

    def __bool__(self) -> bool:
        return bool(self.tasks or self.threads or self.transports or self.generators or self.pools)

    def count(self) -> str:
        """How many of each, in words."""
        kinds = (
            ("task", self.tasks),
            ("asynchronous generator", self.generators),
            ("pool", self.pools),
            ("thread", self.threads),
            ("transport", self.transports),
        )
        return ", ".join(f"{len(items)} {name}{'s' * (len(items) != 1)}" for name, items in kinds if items)

    def describe(self) -> str:
        """All of it, with stacks, for people."""
        lines: list[str] = []
        for task in self.tasks:
            lines.append(f"task {task.get_name()!r} waits:")
            lines += where_task_waits(task)
        for cut in self.generators:
            name = getattr(cut.generator, "__qualname__", None) or repr(cut.generator)
            lines.append(f"asynchronous generator {name!r} is closed, and its cleaning up was cut off where it waited:")
            lines += cut.lines
        lines += [f"{pool!r} is closed, and was cut off" for pool in self.pools]
        frames = sys._current_frames()
        for thread in self.threads:
            lines.append(f"thread {thread.name!r} is at:")
            lines += where_thread_is(frames.get(thread.ident or 0))
        lines += [f"transport {transport!r} is open" for transport in self.transports]
        return "\n".join(lines)


def where_task_waits(task: Any) -> list[str]:
    """The chain of awaits of a task, outermost first, then what it ends in."""
    return where_waits(task.get_coro())


def where_waits(awaitable: Any) -> list[str]:
    """The chain of awaits of a coroutine or a generator."""
    lines = []
    current = awaitable
    while current is not None:
        for frame_name, next_name in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
            if hasattr(current, frame_name):
                frame = getattr(current, frame_name)
                if frame is not None:
                    lines += _place(frame.f_code.co_filename, frame.f_lineno, getattr(current, "__qualname__", "?"))
                current = getattr(current, next_name)
                break
        else:
            generator = generator_behind(current)
            if generator is None:
                lines.append(f"  for {current!r}")
                break
            current = generator
    return lines


def generator_behind(step: Any) -> Any:
    """The asynchronous generator whose step, or whose closing, is awaited; None for everything else."""
    if type(step).__name__ not in ("async_generator_asend", "async_generator_athrow"):
        return None
    return next((each for each in gc.get_referents(step) if hasattr(each, "ag_frame")), None)  # no attribute tells


def where_thread_is(frame: FrameType | None) -> list[str]:
    """The stack of a thread, outermost call first."""
    if frame is None:
        return ["  (it has just ended)"]
    lines = []
    for entry in traceback.extract_stack(frame):
        lines += _place(entry.filename, entry.lineno or 0, entry.name)
    return lines


def _place(filename: str, number: int, name: str) -> list[str]:
    lines = [f'  File "{filename}", line {number}, in {name}']
    source = linecache.getline(filename, number).strip()
    if source:
        lines.append(f"    {source}")
    return lines


def busy_threads(executor: Any) -> list[threading.Thread]:
    """The threads of a ThreadPoolExecutor that are inside a job; none for an executor of another kind."""
    if isinstance(executor, LoopThreads):
        return executor.pool.busy_threads()
    frames = sys._current_frames()
    busy = []
    for thread in list(getattr(executor, "_threads", None) or ()):
        frame = frames.get(thread.ident or 0) if isinstance(thread, threading.Thread) else None
        if frame is not None and thread.is_alive() and frame.f_code is not _REST:
            busy.append(thread)
    return busy


def open_transports(loop: Any) -> list[Any]:
    """Transports whose connection is not over, children included."""
    driver = loop.driver
    owners = [driver.stream_owner(fd) for fd in list(getattr(driver, "channels", ()))]
    owners += [getattr(child.ended, "__self__", None) for child in list(loop._children)]
    return list({id(owner): owner for owner in owners if owner is not None}.values())


def in_order(task: Any) -> tuple[int, str]:
    """A key that sorts tasks in the order in which they were made, as far as their names are numbers."""
    name = task.get_name()
    return len(name), name


def unfinished_tasks(loop: Any, but: Any = None) -> list[Any]:
    """Tasks of `loop` that are not done, `but` excepted."""
    # A set, in the order of addresses in memory: by their names, which are numbers where nobody gave them one, the order is the program's.
    return [task for task in sorted(asyncio.all_tasks(loop), key=in_order) if task is not but and not task.done()]
