# cython: auto_pickle=False
"""TaskGroup: tasks that end before the block that made them does.

Invariants
----------
* The block is not left before each task of the group is done, however often it is cancelled meanwhile.
* A task that fails stops the others and the block, once; the block's request to stop is taken back when it is left, so `cancelling()` is
  what others made it. A cancellation that came from elsewhere is never lost.
* A task is in ``_tasks`` until what became of it has been seen to, and ``_tasks`` keeps the order in which they came: in that order they
  are cancelled.
* One that succeeded, or was cancelled, is seen to in its last step (`notice`) while there are others. The last one is seen to in the turn
  after that step, where asyncio's callback would run: the group itself stands on the ring for it. One that failed is seen to there by a
  callback, because stopping the others may run code of theirs. While a callback is to come each task is seen to by one: this happens in
  the order in which they ended.
* Afterwards the group holds no task and no exception.
"""

from __future__ import annotations

import sys
from asyncio import events, exceptions
from types import CoroutineType, GenericAlias
from typing import Any

from cede.core import stdlib
from cede.core.scheduler.task_kernel import TaskKernel
from cede.core.task.coroutine_methods import coroutine_methods
from cede.core.task.future import Future
from cede.core.task.handle import Runnable
from cede.core.task.operation import NAMES, StreamOperation, begin, new_waiter
from cede.core.task.task import Task
from cede.sync.limited_coroutine import CoroutineLimiter, LimitedCoroutine
from cede.tasks import blocks
from cede.tasks.completed import Instant, instant
from cede.tasks.foreign_scopes import scopes as elsewhere
from cede.tasks.timeouts import task_on

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import FINISHED, PENDING
    from cede.core.task.awaitable import ENDED, SUSPENDED
    from cede.core.task.operation import OVER, PARKED
    from cede.sync import pure

NAMES["GroupExit"] = "TaskGroup.__aexit__"

CancelledError = exceptions.CancelledError
get_running_loop = events.get_running_loop


# What `__aexit__` gives where the block raised nothing, as asyncio's group of this Python does.
NOTHING_TO_SUPPRESS = True if sys.version_info >= (3, 15) else None


class PatientFuture(Future):
    """What a group that is being stopped waits for: a cancelled scope does not ask again, since it asked all the tasks."""


@cython.trashcan(True)
@cython.cclass
class TaskGroup(Runnable):
    """``async with TaskGroup() as group``: tasks made by ``group.create_task`` are done when the block is left.

    Where one fails the others are cancelled, and the block raises an ExceptionGroup of what they raised. asyncio.TaskGroup's API, and
    ``isinstance(group, asyncio.TaskGroup)`` holds.

    limit: how many tasks run at a time; the others wait for their turn, in order. None for all of them.
    """

    if not cython.compiled:
        __slots__ = (
            "__dict__",
            "__weakref__",
            "_aborting",
            "_base_error",
            "_cancel_on_enter",
            "_entered",
            "_errors",
            "_exiting",
            "_loop",
            "_on_completed_fut",
            "_parent_cancel_requested",
            "_parent_task",
            "by_callback",
            "came_late",
            "ended",
            "gate",
            "kernel",
            "members",
            "propagated",
            "scope",
        )
        is_task = False

    def __init__(self, *, limit: int | None = None) -> None:
        if cython.compiled:
            self.is_task = False
        self._entered = self._exiting = self._aborting = self._parent_cancel_requested = self._cancel_on_enter = False
        self.members: dict[Any, None] = {}
        self.ended: Any = None
        self.by_callback = 0
        self._errors: list[BaseException] = []
        self._loop: Any = None
        self._parent_task: Any = None
        self._base_error: BaseException | None = None
        self._on_completed_fut: Any = None
        self.kernel: Any = None
        self.scope: Any = None
        self.propagated: BaseException | None = None
        self.came_late: BaseException | None = None
        self.gate = None if limit is None else CoroutineLimiter(limit, "TaskGroup()")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return stdlib.TaskGroup if type(self) is TaskGroup else type(self)

    __class_getitem__: Any = classmethod(GenericAlias)

    @property
    def _tasks(self) -> Any:
        return self.members.keys()

    @property
    def awaiting_task(self) -> Any:
        """The task whose block it is."""
        return self._parent_task

    # -- the block

    def __aenter__(self) -> Any:
        return entering_group(self)

    def enter(self) -> int:
        if self._entered:
            raise RuntimeError(f"TaskGroup {self!r} has already been entered")
        if self._loop is None:
            self._loop = get_running_loop()
        parent = task_on(self._loop)
        if parent is None:
            raise RuntimeError(f"TaskGroup {self!r} cannot determine the parent task")
        self._parent_task = parent
        if isinstance(self._loop, TaskKernel):
            self.kernel = self._loop
        self.scope = scope_around(parent)
        self._entered = True
        if self._cancel_on_enter:
            self.cancel()
        return 0

    def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        return self.leaving(error)

    def _aexit(self, kind: Any, error: Any) -> Any:
        return self.leaving(error)

    def leaving(self, error: Any) -> Any:
        self._exiting = True
        try:
            if error is not None:
                if self._base_error is None and is_base_error(error):
                    self._base_error = error
                if isinstance(error, CancelledError):
                    self.propagated = error
                if not self._aborting:
                    self._abort()
            if self.members:
                return begin(GroupExit.__new__(GroupExit), self, error)
            return instant(self.conclude(error))
        finally:
            error = None  # the traceback of what is raised holds this frame

    def wait_again(self) -> Any:
        """A future that is done when the last task is."""
        if self._on_completed_fut is None:
            if self._aborting:
                patient = PatientFuture(loop=self._loop)
                patient.value = self  # type: ignore[assignment]
                self._on_completed_fut = patient
            else:
                self._on_completed_fut = new_waiter(self._loop, self)
        return self._on_completed_fut

    def interrupted(self, error: BaseException) -> int:
        """The wait at the end of the block was cancelled."""
        self._on_completed_fut = None
        self.came_late = error
        if not self._aborting:
            self.propagated = error
            self._abort()
        return 0

    def conclude(self, error: Any) -> Any:
        """All tasks are done: raise what is to be raised, or return whether the block's own exception is dealt with."""
        parent = self._parent_task
        try:
            if self._base_error is not None:
                raise self._base_error
            if self._parent_cancel_requested:
                if parent.uncancel() == 0:
                    self.propagated = None
                elif self.propagated is None:
                    self.propagated = self.came_late  # what remains is somebody else's request
            if self.propagated is not None and not self._errors:
                raise self.propagated
            if error is not None and not isinstance(error, CancelledError):
                self._errors.append(error)
            if self._errors:
                if parent.cancelling():
                    # Somebody else's request stays, and is delivered after the errors.
                    parent.uncancel()
                    parent.cancel()
                if len(self._errors) == 1 and error is not None and isinstance(error, GeneratorExit):
                    raise error  # an asynchronous generator that is being closed
                raise BaseExceptionGroup("unhandled errors in a TaskGroup", self._errors) from None
            return NOTHING_TO_SUPPRESS if error is None else True
        finally:
            self._parent_task = parent = None
            self._errors = []
            self._base_error = self.propagated = self.came_late = error = None
            self._on_completed_fut = None

    # -- its tasks

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **options: Any) -> Any:
        """Run a coroutine as a task of the group. The options are those of ``loop.create_task``.

        Raises RuntimeError before the block, after it, and while the group is being stopped.
        """
        return self.create_task_in_full(coro, name, context, options)

    def create_task_in_full(self, coro: Any, name: Any, context: Any, options: dict[str, Any]) -> Any:
        own: Any = None
        if not self._entered or self._aborting or (self._exiting and not self.members):
            self.refuse(coro)
        if self.gate is not None:
            coro = LimitedCoroutine(self.gate, coro)
        if options:
            task = self._loop.create_task(coro, name=name, context=context, **options)
        elif self.kernel is not None and self.kernel._task_factory is None:
            if self.kernel._state:
                self.kernel._refuse()
            if cython.compiled:
                own = self.kernel.new_task(coro, name, context, False)
            else:
                own = self.kernel.create_task(coro, name=name, context=context)
            if type(own) is Task and own.state == PENDING:
                own.waiter = self
                self.members[own] = None
                if self.scope is not None:
                    self.scope.adopt(own)
                return own
            task = own
        elif context is not None:
            task = self._loop.create_task(coro, name=name, context=context)
        else:
            task = self._loop.create_task(coro, name=name)
        try:
            return self.adopt(task)
        finally:
            task = own = None  # an eager task has run under this frame, and a traceback may keep it

    def adopt(self, task: Any) -> Any:
        """Where the task is not plainly ours: it may be done already, or know nothing of waiter slots."""
        self.members[task] = None
        if self.scope is not None and not task.done():
            self.scope.adopt(task)
        self.by_callback += 1
        task.add_done_callback(self.called_back)
        if self._aborting and not task.done():
            self.ask(task)  # in its first step, which it took at once, it stopped the group that it was not yet in
        return task

    def refuse(self, coro: Any) -> int:
        coro.close()
        if not self._entered:
            raise RuntimeError(f"TaskGroup {self!r} has not been entered")
        if self._exiting and not self.members:
            raise RuntimeError(f"TaskGroup {self!r} is finished")
        raise RuntimeError(f"TaskGroup {self!r} is shutting down")

    def notice(self, future: Any) -> int:
        task = future
        if self.by_callback or (task.state == FINISHED and task.failure is not None):
            self.by_callback += 1
            self._loop.call_soon(self.called_back, task)
            return 0
        if self.scope is not None:
            self.scope.release(task)
        if len(self.members) == 1:
            self.ended = task
            self.kernel._ready.wake(self)
        else:
            self.members.pop(task, None)
        return 0

    def run_ready(self) -> int:
        task = self.ended
        self.ended = None
        self.members.pop(task, None)
        if self._on_completed_fut is not None and not self.members:
            self.complete()
        return 0

    def complete(self) -> int:
        if not self._on_completed_fut.done():
            self._on_completed_fut.set_result(True)
        return 0

    def wakeup_callback(self) -> Any:
        """What the group adds to a task as its callback, where the task's waiter slot is not free."""
        return self.called_back

    def get_context(self) -> Any:
        """The context of that callback, which runs no code of the user's."""
        return None

    def called_back(self, task: Any) -> None:
        """The callback of a task that is not seen to otherwise."""
        self.by_callback -= 1
        self._on_task_done(task)

    def _on_task_done(self, task: Any) -> None:
        if self.scope is not None:
            self.scope.release(task)
        self.members.pop(task, None)
        if self._on_completed_fut is not None and not self.members:
            self.complete()
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        self._errors.append(error)
        if self._base_error is None and is_base_error(error):
            self._base_error = error
        parent = self._parent_task
        if parent is None or parent.done():
            self._loop.call_exception_handler(
                {
                    "message": f"Task {task!r} has errored out but its parent task {parent} is already completed",
                    "exception": error,
                    "task": task,
                }
            )
        elif not self._aborting and not self._parent_cancel_requested:
            self._abort()
            self._parent_cancel_requested = True
            self.ask(parent)

    # -- stopping

    def _abort(self) -> None:
        self._aborting = True
        for task in list(self.members):
            if not task.done():
                self.ask(task)

    def ask(self, task: Any) -> int:
        """Cancel one of the tasks, or the block's; where it is in a shielded scope, when it leaves that."""
        scope = scope_around(task)
        if scope is None or not scope.put_off(task, self.scope):
            task.cancel()
        return 0

    def cancel(self) -> None:
        """Stop the tasks and the block, which is then left without an exception. Before the block: as soon as it is entered."""
        if not self._entered:
            self._cancel_on_enter = True
            return
        if self._aborting or (self._exiting and not self.members):
            return
        self._abort()
        if self._parent_task is not None and not self._parent_cancel_requested:
            self._parent_cancel_requested = True
            self.ask(self._parent_task)

    def _is_base_error(self, exc: BaseException) -> bool:
        # Code that knows asyncio's groups knows this name.
        return is_base_error(exc)

    def __repr__(self) -> str:
        parts = ["<TaskGroup"]
        if self.members:
            parts.append(f"tasks={len(self.members)}")
        if self._errors:
            parts.append(f"errors={len(self._errors)}")
        if self._aborting:
            parts.append("cancelling")
        elif self._entered:
            parts.append("entered")
        return f"{' '.join(parts)}>"


coroutine_methods(TaskGroup, __aenter__=blocks.enter_group, __aexit__=blocks.leave_group, _aexit=blocks.end_group)
if not cython.compiled:
    pure.take_part(TaskGroup, "__aenter__")


class EnteringGroup(Instant):
    """What ``async with`` awaits first."""

    if not cython.compiled:
        __slots__ = ()

    def begin(self) -> int:
        group = self.value
        return group.enter()

    def may_give_way(self) -> bool:
        return True


def entering_group(group: TaskGroup) -> EnteringGroup:
    entering = EnteringGroup.__new__(EnteringGroup)
    entering.value = group
    return entering


class GroupExit(StreamOperation):
    """The end of the block. `owner` is the group, `argument` the exception with which the block was left."""

    def step(self) -> int:
        if self.waiter is not None:
            group = self.owner
            group._on_completed_fut = None
            self.settle()
        return self.go_on()

    def go_on(self) -> int:
        group = self.owner
        if group.members:
            return self.park(group.wait_again())
        error = self.argument
        self.argument = None
        try:
            self.value = group.conclude(error)
        finally:
            error = None  # the error's traceback holds this frame
        return ENDED

    def may_give_way(self) -> bool:
        return False  # cancelled before it began, it would leave the tasks of the group behind

    def go_on_after(self, error: BaseException) -> int:
        group = self.owner
        self.stage = OVER
        self.waiter = None
        group.interrupted(error)
        return self.go_on()

    def throw(self, *args: Any) -> Any:
        """A cancellation stops the group, and the wait goes on; everything else ends it."""
        try:
            if self.stage != PARKED or len(args) != 1 or not isinstance(args[0], CancelledError):
                return StreamOperation.throw(self, *args)
            if self.go_on_after(args[0]) == SUSPENDED:
                value = self.value
                self.value = None
                return value
            raise StopIteration(self.value)
        finally:
            args = ()  # the error's traceback holds this frame

    if not cython.compiled:

        def __await__(self) -> Any:
            value: Any = None
            try:
                outcome = self.advance()
                while outcome == SUSPENDED:
                    value = self.value
                    self.value = None
                    try:
                        yield value
                    except CancelledError as error:
                        outcome = self.go_on_after(error)
                    except BaseException:
                        self.abandon()
                        raise
                    else:
                        outcome = self.advance()
                return self.value
            finally:
                del self, value  # an error's traceback holds this frame


def scope_around(task: Any) -> Any:
    """The innermost scope that `task` is in, or None."""
    if isinstance(task, Task):
        own = task
        return own.scope
    return elsewhere.get(task)


def is_base_error(error: Any) -> bool:
    """Whether it is one of those that end the program rather than the group."""
    return isinstance(error, (SystemExit, KeyboardInterrupt))


if cython.compiled:
    # What `create_task` is when called without options: see methods.h.

    def quick_create_task(group: TaskGroup, coro: Any, name: Any, context: Any) -> Any:
        kernel = group.kernel
        if (
            kernel is None
            or kernel._task_factory is not None
            or kernel._state
            or group.scope is not None
            or group.gate is not None
            or group._aborting
            or not group._entered
            or (group._exiting and not group.members)
            or type(coro) is not CoroutineType
        ):
            return group.create_task_in_full(coro, name, context, {})
        task = kernel.new_task(coro, name, context, False)
        task.waiter = group
        group.members[task] = None
        return task

    install_create_in_group(TaskGroup, cython.cast("void *", quick_create_task))  # type: ignore # noqa: F821
