# cython: auto_pickle=False
"""Cancel scopes: blocks that can be cancelled, and in which every await then raises until the block is left.

A scope is entered and left with ``with``. Inside it may be scopes, time limits and groups; the tasks of a group that was entered in a scope
belong to that scope. Cancelling works as in trio and AnyIO, by level: a coroutine that catches the CancelledError and waits again gets
another one.

Nobody polls. A task in a cancelled scope is marked (`IN_CANCELLED_SCOPE`), and the step in which it waits for something new asks its scope,
which cancels that wait. A task that goes on being stubborn is asked at once `AT_ONCE` times, and then less and less often, down to every
`SLOWEST` seconds: there is no busy loop either. Tasks that are not cede's cannot be marked; they are looked at as often.

Invariants
----------
* A scope ends only its own cancellation: an error that an outer scope, a group, a time limit or ``task.cancel()`` asked for passes through
  it.
* A result that is there is never thrown away: what is done already is delivered, and the next await raises.
* A scope that was cancelled counts as one request (``task.cancelling()``) for the task that entered it, which is taken back when it is
  left.
* A task is in `tasks` of its innermost scope, and of no other; it is marked exactly while that one is cancelled, from inside or from
  outside unless shielded.
* Each scope knows in `felt` the cancelled scope outside that is felt in it, so that nobody has to walk outwards through thousands of them.
  `spread` carries on what changes. What is left inside a scope when that is left, a group's tasks and their scopes, belongs to the next one
  outside.
* Tasks and scopes are cancelled in the order in which they came in.
* A shield holds against what a group does to its tasks where one of them has failed: such a request is owed, and made when the shield is
  left. It does not hold against ``task.cancel()``.
* A shield of AnyIO's that was entered inside a scope holds against that scope. AnyIO is not imported for that.
"""

from __future__ import annotations

import asyncio
import math
import sys
from asyncio import events, exceptions
from typing import Any

from cede.core.task.task import Task
from cede.tasks.deadline import clear_deadline, set_deadline
from cede.tasks.foreign_scopes import scopes as elsewhere
from cede.tasks.task_group import PatientFuture
from cede.tasks.timeouts import requests_of, task_on

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if not cython.compiled:
    from cede.core.pure.shims import PENDING, monotonic
    from cede.core.task.task import IN_CANCELLED_SCOPE, PENDING_CANCEL

# Where AnyIO keeps the innermost of its own scopes for each task on asyncio's kind of loops.
ANYIO = "anyio._backends._asyncio"
modules = sys.modules

AT_ONCE = 8
SLOWEST = 0.05

CancelledError = exceptions.CancelledError
get_running_loop = events.get_running_loop
running_loop_or_none = events._get_running_loop


@cython.trashcan(True)
@cython.cclass
class CancelScope:
    """``with CancelScope() as scope``: ``scope.cancel()``, or the deadline, ends the block, which then is left without an exception.

    deadline: in seconds of ``loop.time()``; infinity for none. shield: cancellation from outside does not reach the block
    (``task.cancel()`` and asyncio's own time limits do), nor does a group that stops its tasks because one of them has failed.
    """

    def __init__(self, *, deadline: float = math.inf, shield: bool = False) -> None:
        self.until = checked_time(deadline, "deadline")
        self.shielded = bool(shield)
        self.host: Any = None
        self.parent: Any = None
        self.loop: Any = None
        self.timer: Any = None
        self.reason: Any = None
        self.late = False
        self.called = False
        self.caught = False
        self.was_entered = False
        self.counted = 0
        self.requests = 0
        self.tasks: dict[Any, None] = {}
        self.children: dict[Any, None] = {}
        self.felt: Any = None
        self.asked: dict[Any, int] = {}
        self.relative = -1.0
        self.owed = 0
        self.theirs: Any = None

    # -- what there is to know

    @property
    def cancel_called(self) -> bool:
        """Whether the scope was cancelled, by `cancel` or by its deadline."""
        return bool(self.called)

    @property
    def cancelled_caught(self) -> bool:
        """Whether the block was left because of that."""
        return bool(self.caught)

    @property
    def cancel_reason(self) -> Any:
        """What `cancel` was given, or None."""
        return self.reason

    @property
    def deadline(self) -> float:
        """When the scope is cancelled by itself, in seconds of ``loop.time()``; infinity for never."""
        return float(self.until)

    @deadline.setter
    def deadline(self, value: float) -> None:
        self.until = checked_time(value, "deadline")
        if self.host is not None and not self.called:
            self.arm()

    @property
    def shield(self) -> bool:
        """Whether cancellation of the scopes outside stops here."""
        return bool(self.shielded)

    @shield.setter
    def shield(self, value: bool) -> None:
        self.shielded = bool(value)
        if self.host is not None:
            self.spread()
            if not self.shielded:
                self.pay(self.host)

    # -- the block

    def __enter__(self) -> Any:
        loop = get_running_loop()
        host = task_on(loop)
        if host is None:
            raise RuntimeError("a cancel scope is for use inside a task")
        if self.was_entered:
            raise RuntimeError("a cancel scope can be entered only once")
        self.was_entered = True
        self.loop = loop
        self.host = host
        self.requests = requests_of(host)
        if ANYIO in modules:
            self.theirs = anyio_scope_of(host)
        if self.relative >= 0:
            self.until = loop.time() + self.relative
        self.parent = scope_of(host)
        if self.parent is not None:
            self.parent.tasks.pop(host, None)
            self.parent.children[self] = None
            self.felt = self.parent.effective()
        self.take_in(host)
        if self.called:
            self.called = False
            self.cancel(self.reason)
        elif self.until != math.inf:
            self.arm()
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        return self.leave(error)

    def leave(self, error: Any) -> Any:
        host = self.host
        if host is not None and running_loop_or_none() is not self.loop and isinstance(error, GeneratorExit):
            pass  # its coroutine is dropped, when its loop does not run any more: there is nobody to complain to
        elif host is None or scope_of(host) is not self or task_on(get_running_loop()) is not host:
            raise RuntimeError("cancel scopes must be left in the task that entered them, the inner ones first")
        if self.timer is not None:
            clear_deadline(self.timer)
            self.timer = None
        parent = self.parent
        self.host = self.parent = None
        self.tasks.pop(host, None)
        if parent is not None:
            parent.children.pop(self, None)
        if self.tasks or self.children:
            self.hand_on(parent)
        self.felt = None
        put(host, parent)
        self.theirs = None
        self.asked.clear()
        while self.counted:
            self.counted -= 1
            host.uncancel()
        if self.called and isinstance(error, CancelledError):
            # Where it is somebody else's cancellation too, it passes.
            somebody_else = requests_of(host) > self.requests
            self.caught = not somebody_else and (self.shielded or parent is None or parent.effective() is None)
        self.pay(host)  # what is owed comes after the block, and is no reason why it ended
        return True if self.caught else None

    def hand_on(self, parent: Any) -> int:
        """What is in here, of a group that outlives the scope in which it was entered, is in `parent` from now on, or in none."""
        for task in list(self.tasks):
            self.tasks.pop(task, None)
            put(task, parent)
        for child in list(self.children):
            self.children.pop(child, None)
            child.parent = parent
            if parent is not None:
                parent.children[child] = None
            child.spread()
        return 0

    def take_in(self, task: Any) -> int:
        """`task` is in this scope from now on."""
        self.tasks[task] = None
        if isinstance(task, Task):
            own = task
            own.scope = self
        else:
            elsewhere[task] = self
        self.mark(task)
        return 0

    # -- a group's tasks

    def adopt(self, task: Any) -> None:
        """A task of a group that was entered here."""
        self.take_in(task)

    def release(self, task: Any) -> None:
        """That task is done."""
        self.tasks.pop(task, None)
        self.asked.pop(task, None)

    def put_off(self, task: Any, outer: Any) -> bool:
        """A group that was entered in the scope `outer`, or in none, wants to stop `task`, whose innermost scope this is. Whether a shield
        further inside holds against that: then the task is asked when it leaves that one.
        """
        shield = None
        scope = self
        while scope is not None and scope is not outer:
            if scope.shielded and scope.host is task:
                shield = scope
            scope = scope.parent
        if shield is not None:
            shield.owed += 1
            return True
        return sheltered(task, self.effective())  # which cancels it when it leaves that shield of AnyIO's

    def pay(self, host: Any) -> int:
        """The shield is gone: what was put off is done."""
        while self.owed:
            self.owed -= 1
            host.cancel()
        return 0

    # -- cancelling

    def cancel(self, reason: Any = None) -> None:
        """End the block: from now on every await in it raises CancelledError, until it is left. Again: nothing."""
        if self.called:
            return
        self.called = True
        self.reason = reason
        if self.timer is not None:
            clear_deadline(self.timer)
            self.timer = None
        if self.host is None:
            return  # as soon as it is entered
        if isinstance(self.host, Task):
            self.counted += 1
            count_request(self.host)
        self.spread()

    def overdue(self) -> None:
        """The timer's part."""
        self.timer = None
        self.late = True
        self.cancel("the deadline of the cancel scope was reached")

    def arm(self) -> int:
        if self.timer is not None:
            clear_deadline(self.timer)
            self.timer = None
        if self.until <= self.loop.time():
            self.overdue()
        elif self.until != math.inf:
            self.timer = set_deadline(self.loop, self.until, self, True)
        return 0

    def effective(self) -> Any:
        """The scope whose cancellation is felt in here, or None."""
        if self.called:
            return self
        return None if self.shielded else self.felt

    def spread(self) -> int:
        """Mark the tasks in here and further inside, or take the marks away, and cancel what they wait for."""
        inside = [self]  # no call a scope: they may be nested in any number
        while inside:
            scope = inside.pop()
            scope.felt = None if scope.parent is None else scope.parent.effective()
            for task in list(scope.tasks):
                scope.mark(task)
            children = list(scope.children)
            children.reverse()
            for child in children:
                if child.shielded or child.called:
                    child.felt = scope.effective()  # felt again where its shield is taken away
                else:
                    inside.append(child)
        return 0

    def mark(self, task: Any) -> int:
        cancelled = self.effective() is not None
        if not isinstance(task, Task):
            if cancelled:
                self.press_foreign(task)
            return 0
        own = task
        if not cancelled:
            own.cancel_flags &= ~IN_CANCELLED_SCOPE
        elif own.state == PENDING and not own.cancel_flags & IN_CANCELLED_SCOPE:
            own.cancel_flags |= IN_CANCELLED_SCOPE
            if own.waits_for is not None:
                self.deliver(own)
            elif task_on(self.loop) is not own and getattr(own.coro, "cr_suspended", False):
                self.press_ready(own)  # it gave way, and is on the ready ring
        return 0

    def press_ready(self, task: Any) -> None:
        """A marked task gives way."""
        own = task
        if not sheltered(task, self.effective()):
            own.cancel_flags |= PENDING_CANCEL

    def redeliver(self, task: Any) -> None:
        """A marked task waits for something new."""
        if sheltered(task, self.effective()):
            # Only a shield that is taken away has to be looked out for: whoever leaves it comes here by itself.
            self.loop.call_later(SLOWEST, self.press_again, task, task._fut_waiter)
            return
        times = self.asked.get(task, 0) + 1
        self.asked[task] = times
        if times <= AT_ONCE:
            self.deliver(task)
        else:
            self.loop.call_later(min(0.001 * 2 ** min(times - AT_ONCE, 16), SLOWEST), self.press_again, task, task._fut_waiter)

    def press_again(self, task: Any, waited: Any) -> None:
        scope = scope_of(task)
        if scope is not None and not task.done() and task._fut_waiter is waited and scope.effective() is not None:
            scope.deliver(task)
            if waited is not None and not waited.done() and sheltered(task, scope.effective()):
                scope.loop.call_later(SLOWEST, scope.press_again, task, waited)

    def deliver(self, task: Any) -> int:
        """Cancel what a task waits for."""
        own = task
        waited = own.waits_for
        if waited is None or type(waited) is PatientFuture:
            return 0
        scope = self.effective()
        if sheltered(task, scope):
            return 0
        if waited.cancel(msg=None):
            own.cancel_request = (None, monotonic(), "its cancel scope was cancelled" if scope.reason is None else scope.reason, None, 0)
        return 0

    # -- tasks that are not cede's

    def press_foreign(self, task: Any) -> None:
        """Cancel a task where it waits; look again, as long as it is in a cancelled scope."""
        scope = scope_of(task)
        if task.done() or scope is None or scope.effective() is None:
            return
        if sheltered(task, scope.effective()):
            scope.loop.call_later(SLOWEST, scope.press_foreign, task)
            return
        times = scope.asked.get(task, 0)
        waited = task._fut_waiter
        running = asyncio.current_task(scope.loop) is task
        parked = waited is not None and not waited.done() and type(waited) is not PatientFuture
        gave_way = waited is None and not running and getattr(task.get_coro(), "cr_suspended", False) and not task._must_cancel
        if parked or gave_way:
            task.cancel()
            if scope.host is task:
                scope.counted += 1
            times += 1
        scope.asked[task] = times
        soon = parked or gave_way or running or (waited is not None and waited.done())
        if times <= AT_ONCE and soon:
            scope.loop.call_soon(scope.press_foreign, task)
        else:
            scope.loop.call_later(min(0.001 * 2 ** min(max(times - AT_ONCE, 0), 16), SLOWEST), scope.press_foreign, task)

    def __repr__(self) -> str:
        state = "left" if self.was_entered and self.host is None else "entered" if self.was_entered else "not entered"
        parts = [f"<{type(self).__name__} {state}"]
        if self.called:
            parts.append("cancelled" if self.reason is None else f"cancelled ({self.reason})")
        if self.shielded:
            parts.append("shielded")
        if self.until != math.inf:
            parts.append(f"deadline={self.until:.3f}")
        return f"{' '.join(parts)}>"


class FailingScope(CancelScope):
    """A scope that raises TimeoutError where its deadline ended the block."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        dealt_with = self.leave(error)
        if self.caught and self.late:
            try:
                raise TimeoutError from error
            finally:
                error = None  # the new error's traceback holds this frame
        return dealt_with


def put(task: Any, scope: Any) -> int:
    """Make `scope`, or none, the innermost scope of `task`."""
    if scope is not None:
        scope.take_in(task)
    elif isinstance(task, Task):
        own = task
        own.scope = None
        own.cancel_flags &= ~IN_CANCELLED_SCOPE
    else:
        elsewhere.pop(task, None)
    return 0


def anyio_scope_of(task: Any) -> Any:
    """The innermost scope of AnyIO's that `task` is in, or None."""
    states = getattr(modules.get(ANYIO), "_task_states", None)
    state = None if states is None else states.get(task)
    return None if state is None else state.cancel_scope


def sheltered(task: Any, scope: Any) -> bool:
    """Whether a shield of AnyIO's holds against `scope`: one that was entered further inside."""
    if scope is None or ANYIO not in modules:
        return False
    theirs = anyio_scope_of(task)
    while theirs is not None and theirs is not scope.theirs:
        if theirs.shield:
            return True
        theirs = getattr(theirs, "_parent_scope", None)
    return False


def ask_unless_shielded(task: Any) -> None:
    """Cancel a task that was made for the caller alone; where it is in a shield, when it leaves that."""
    scope = scope_of(task)
    if scope is None or not scope.put_off(task, None):
        task.cancel()


def count_request(task: Any) -> int:
    own = task
    own.cancels += 1
    return 0


def scope_of(task: Any) -> Any:
    """The innermost scope that `task` is in, or None."""
    if isinstance(task, Task):
        own = task
        return own.scope
    return elsewhere.get(task)


def checked_time(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if value != value:
        raise ValueError(f"{name} must not be NaN")
    return float(value)


def relative(scope: CancelScope, delay: Any) -> CancelScope:
    """`scope` with a deadline that many seconds after it is entered."""
    if delay is not None:
        seconds = checked_time(delay, "delay")
        if seconds < 0:
            raise ValueError(f"delay must be 0 or more seconds, got {delay!r}")
        if seconds != math.inf:
            scope.relative = seconds
    return scope


def move_on_after(delay: float | None, *, shield: bool = False) -> CancelScope:
    """A cancel scope whose block gets `delay` seconds, from its beginning on, and is then left quietly (``scope.cancelled_caught`` tells).
    None: no limit.
    """
    return relative(CancelScope(shield=shield), delay)


def move_on_at(deadline: float, *, shield: bool = False) -> CancelScope:
    """As `move_on_after`, with the time in seconds of ``loop.time()``."""
    return CancelScope(deadline=deadline, shield=shield)


def fail_after(delay: float | None, *, shield: bool = False) -> CancelScope:
    """As `move_on_after`, but the block raises TimeoutError when its time is up."""
    return relative(FailingScope(shield=shield), delay)


def fail_at(deadline: float, *, shield: bool = False) -> CancelScope:
    """As `fail_after`, with the time in seconds of ``loop.time()``."""
    return FailingScope(deadline=deadline, shield=shield)


def current_scope() -> Any:
    """The innermost scope of the running task, or None."""
    task = task_on(get_running_loop())
    return None if task is None else scope_of(task)


def current_effective_deadline() -> float:
    """When the running task is cancelled by a scope, in seconds of ``loop.time()``: infinity for never, minus infinity where it is
    already.
    """
    scope = current_scope()
    earliest = math.inf
    while scope is not None:
        if scope.called:
            return -math.inf
        earliest = min(earliest, scope.until)
        if scope.shielded:
            break
        scope = scope.parent
    return earliest
