# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""TaskKernel makes futures and tasks: the last compiled layer below the event loop."""

from __future__ import annotations

from types import CoroutineType
from typing import Any

from cede.core.scheduler.kernel import Kernel
from cede.core.scheduler.timers import TimerHandle
from cede.core.scheduler.waking_timer import wake_sleeper
from cede.core.task.factory import start_with_factory
from cede.core.task.future import Future
from cede.core.task.task import Task

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure import turn as pure_turn
    from cede.core.pure.shims import places
    from cede.core.scheduler.waking_timer import set_waking_timer


class TaskKernel(Kernel):
    """A kernel that makes futures and tasks of its own."""

    if not cython.compiled:
        __slots__ = places("_task_factory")

    def __init__(self, driver: Any = None, order: Any = None, clock: Any = None, inbox: Any = None) -> None:
        Kernel.__init__(self, driver, order, clock, inbox)
        self._task_factory = None

    if cython.compiled:

        def create_future(self) -> Future:
            """A pending future of this loop."""
            return self.new_future()

        def new_future(self) -> Future:
            future = Future.__new__(Future)
            future.born(self)
            return future

        def waiter_for(self, subject: Any) -> Future:
            future = self.new_future()
            future.value = subject
            return future

        def new_waiter(self, subject: Any) -> Future:
            """A pending future for a task to wait on. It refers to `subject`, what the task waits for, until it is done.

            The runtime makes every future that it waits on with this method, so one place knows what each task waits for: a lock, a
            queue, a timer, a server.
            """
            return self.waiter_for(subject)

        def _new_timer(self, when: float, callback: Any, args: Any, context: Any, name: str) -> TimerHandle:
            if callback is wake_sleeper and context is None and not (self._state or self._debug) and when == when:
                if len(args) == 2 and type(args[0]) is Future:
                    return set_waking_timer(self, when, args[0], args[1], callback)
            return Kernel._new_timer(self, when, callback, args, context, name)

    else:
        turn = pure_turn.turn
        create_future = new_future = pure_turn.create_future  # type: ignore[assignment]
        new_waiter = waiter_for = pure_turn.new_waiter  # type: ignore[assignment]

    def new_task(self, coro: Any, name: Any, context: Any, eager: bool) -> Task:
        task = Task.__new__(Task)
        if type(coro) is not CoroutineType:
            task.check_coroutine(coro)
        task.born(self)
        task.launch(coro, name, context, eager)
        if cython.compiled:
            return task
        try:
            return task
        finally:
            task = coro = None  # an eager task has run under this frame, and a traceback may keep it: see task.py

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **options: Any) -> Any:
        """Run a coroutine, or a generator, as a task; a bare ``yield`` in a generator gives way.

        name: the task's name. context: the contextvars.Context to run in, a copy of the current one by default.
        eager_start=True: run the first step now. Other options are for the task factory, where one is set.
        Raises TypeError where `coro` is no coroutine, RuntimeError on a closed loop.
        """
        if self._state or self._debug:
            self._check_spawn()
        if self._task_factory is not None:
            return start_with_factory(self, self._task_factory, coro, name, context, options)
        if not options:
            return self.new_task(coro, name, context, False)
        eager = options.pop("eager_start", False)
        if options:
            raise TypeError(f"create_task() got an unexpected keyword argument {next(iter(options))!r}")
        return self.new_task(coro, name, context, bool(eager))

    if not cython.compiled:
        create_any_task = create_task
        create_task = pure_turn.create_task  # type: ignore[assignment]

    def _check_spawn(self) -> int:
        if self._state:
            self._refuse()
        self._check_thread()
        return 0

    def set_task_factory(self, factory: Any) -> None:
        """Make tasks by ``factory(loop, coro, **options)``; None restores our own."""
        if factory is not None and not callable(factory):
            raise TypeError(f"task factory must be a callable or None, got {factory!r}")
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        """The task factory, or None."""
        return self._task_factory


if cython.compiled:
    # methods.h calls this in place of `create_task` when there are no options.

    def quick_create_task(spawner: TaskKernel, coro: Any, name: Any, context: Any) -> Any:
        if spawner._state or spawner._debug:
            spawner._check_spawn()
        if spawner._task_factory is not None:
            return start_with_factory(spawner, spawner._task_factory, coro, name, context, {})
        return spawner.new_task(coro, name, context, False)

    install_create_task(TaskKernel, cython.cast("void *", quick_create_task))  # type: ignore # noqa: F821
