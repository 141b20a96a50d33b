# cython: auto_pickle=False
"""A plain function that is driven as a coroutine is: the switch between its stack and its driver's.

Invariants
----------
* A stack is in exactly one state: FRESH (nothing ran yet), RUNNING, PARKED (suspended in `wait`) or OVER.
* Control comes back to whoever drives the coroutine, each time it gives way or ends: the stack's parent is the driver of the moment,
  which may itself run on a stack of this kind.
* The function runs in the context that its driver was in at the first step; a task's own, if a task drives it.
* What is thrown in rises at the `wait`, after what is awaited there has had it first, as with ``await``.
* What is thrown in is carried across the switch in `thrown`, and raised on the other side. What ends the function, greenlet hands to the
  driver.

A switch copies the part of the machine's stack that lies between the two sides, out and back, so each frame of ours there costs at every
switch: the function is the first thing on its stack, and `wait` reaches the switch in two calls.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Awaitable, Callable, Generator
from typing import Any, ParamSpec, TypeVar

from greenlet import GreenletExit, greenlet

from cede.core.task.awaitable import Operation
from cede.core.task.future import Future
from cede.core.task.operation import StreamOperation
from cede.core.task.task import Task

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython

if cython.compiled:
    import_stacks()  # type: ignore # noqa: F821
else:
    from greenlet import getcurrent as current_stack

    from cede.core.pure.shims import RAISED, RETURNED, YIELDED
    from cede.core.task.awaitable import ENDED, FAILED, SUSPENDED

    FRESH, RUNNING, PARKED, OVER = range(4)

    def switch_to(stack: Any) -> Any:
        """Go on with `stack` until it, or somebody else, comes back here."""
        return stack.switch()

    running: Any = None


T = TypeVar("T")
P = ParamSpec("P")

CoroutineType = types.CoroutineType


class StackCoroutine(Operation):
    """``function(*args, **kwargs)`` as a coroutine. `run_sync` makes one.

    It has a coroutine's methods and attributes: `send`, `throw`, `close`, ``cr_frame`` (the innermost frame while it is suspended; the
    others by ``f_back``), ``cr_await``, ``cr_running``, ``cr_code``. It is driven to its end once.
    """

    if not cython.compiled:
        state = FRESH
        function = None

    args: Any
    kwargs: Any
    stack: Any
    driver: Any  # the greenlet that drives us
    thrown: Any
    awaited: Any  # what `wait` is given, while it waits
    handed: Any  # what was given to the driver to be awaited there, by code that has its own `wait`

    def __init__(self, function: Any, args: Any, kwargs: Any) -> None:
        if not callable(function):
            raise TypeError(
                f"a function is expected, not {type(function).__name__!r}; an async function's coroutine needs no stack: await it"
            )
        if self.function is not None:
            raise RuntimeError("a stackful coroutine is made once")
        self.args = tuple(args)
        self.kwargs = kwargs
        self.function = function
        self.stack = self.driver = None
        self.value = self.thrown = self.awaited = self.handed = None
        self.state = FRESH

    # -- the driver's side

    def advance(self) -> int:
        if self.state == PARKED and self.handed is None and self.driver is current_stack():
            return self.run_on(NOTHING, None, None)
        return self.go_on(None)

    def go_on(self, error: Any) -> int:
        """Run until it gives way or ends, with `error` thrown in unless that is None."""
        if self.state == OVER:
            raise RuntimeError("cannot reuse already awaited coroutine")
        if self.state == RUNNING:
            raise ValueError("coroutine already executing")
        driver = current_stack()
        if self.state == FRESH:
            if error is not None:
                self.finish()
                raise error
            return self.begin(driver)
        if self.driver is not driver:
            self.stack.parent = driver
            self.driver = driver
        if self.handed is not None:
            return self.feed(error)
        self.thrown = error
        return self.run_on(NOTHING, None, None)

    def begin(self, driver: Any) -> int:
        """The first step, on a new stack."""
        if self.function is None:
            raise RuntimeError("the stackful coroutine is not initialized: run_sync() makes one")
        # Not a subclass: greenlet checks the type of whatever it handles, many times in each switch, and the exact one at no cost.
        stack: Any = greenlet(self.function, driver)
        stack.coroutine = self
        # By this SQLAlchemy's `await_only` recognises that it may hand an awaitable to the parent.
        stack.__sqlalchemy_greenlet_provider__ = True
        # Of the running greenlet this is the very context that is entered, no copy: what the function sets there stays set.
        stack.gr_context = driver.gr_context
        self.stack = stack
        self.driver = driver
        args, kwargs = self.args, self.kwargs
        self.args = self.kwargs = None
        return self.run_on(args, kwargs or None, None)

    def run_on(self, args: Any, kwargs: Any, error: Any) -> int:
        """Switch to the function, until it gives way or ends.

        It is called with `args` and `kwargs` at the first step; later that is what its own switch returns, unless `error` is to rise
        there. `wait` looks at neither.
        """
        global running  # noqa: PLW0603 - compiled, a C variable
        outcome = YIELDED
        self.state = RUNNING
        running = self
        if cython.compiled:
            handed = switch_step(self.stack, args, kwargs, error, cython.address(outcome))  # type: ignore # noqa: F821
        else:
            try:
                handed = self.stack.switch(*args, **kwargs or {}) if error is None else self.stack.throw(error)
            except BaseException as failure:
                handed = failure
                outcome = RAISED
            error = None  # its traceback holds this frame
        running = None
        if self.state == PARKED:
            return SUSPENDED
        try:
            return self.look(handed, outcome)
        finally:
            handed = args = kwargs = None  # uncompiled, this frame is in the traceback of what ended the function

    def look(self, handed: Any, outcome: int) -> int:
        """Control is back, and it was not `wait` that gave it: why?"""
        try:
            if not self.stack.dead:
                if outcome == RAISED:
                    raise handed
                # Somebody switched to the driver without `wait`, and expects that it awaits what it is handed.
                self.handed = iterator_of(handed)
                return self.feed(None)
            self.finish()
            self.value = handed
            if outcome == RAISED:
                if isinstance(handed, StopIteration):
                    # It would look like the end of an iteration to whoever awaits this.
                    self.value = RuntimeError("stackful function raised StopIteration")
                    self.value.__cause__ = handed
                return FAILED
            if isinstance(handed, GreenletExit):
                self.value = None  # the stack was thrown away, and nobody waits for an answer
            return ENDED
        finally:
            handed = None  # the error's traceback holds this frame

    def feed(self, error: Any) -> int:
        """Drive what was handed over; when it ends, switch back with its result or its error."""
        outcome = self.drive(self.handed, error)
        if outcome == YIELDED:
            self.state = PARKED
            return SUSPENDED
        value = self.value
        self.value = None
        self.handed = None
        if outcome == RETURNED:
            return self.run_on((value,), None, None)
        try:
            return self.run_on(NOTHING, None, value)
        finally:
            value = None  # the error's traceback holds this frame

    # -- the function's side

    def finish(self) -> int:
        self.state = OVER
        self.args = self.kwargs = None
        self.driver = self.stack = self.awaited = None
        return 0

    def suspend(self) -> bool:
        """Yield `value` to whoever drives us. Afterwards: whether an exception was thrown in, for `rise`."""
        self.state = PARKED
        if cython.compiled:
            failure = give_way(self.driver)  # type: ignore # noqa: F821
            if failure is not None:
                self.thrown = failure
        else:
            try:
                switch_to(self.driver)
            except BaseException as error:
                self.thrown = error
        return self.thrown is not None

    def rise(self) -> int:
        error = self.thrown
        self.thrown = None
        try:
            raise error
        finally:
            error = None  # its traceback holds this frame

    def drive(self, iterator: Any, error: Any) -> int:
        """One step of `iterator`; what it yielded, returned or raised is in `value`."""
        if cython.compiled:
            outcome = RAISED
            self.value = drive_step(iterator, error, cython.address(outcome))  # type: ignore # noqa: F821
            return outcome
        try:
            if error is not None:
                if not hasattr(iterator, "throw"):
                    raise error
                self.value = iterator.throw(error)
            else:
                self.value = iterator.send(None) if hasattr(iterator, "send") else next(iterator)
        except StopIteration as stop:
            self.value = stop.value
            return RETURNED
        except BaseException as failure:
            self.value = failure
            return RAISED
        finally:
            error = None
        return YIELDED

    # No handlers below: each costs room on the stack and time, and that at every switch.

    def wait_for_future(self, future: Any) -> Any:
        """`wait` for one of our own futures or tasks, without an iterator in between."""
        own: Future = future
        if not own.done():
            own.blocking = True
            self.awaited = self.value = own
            interrupted = self.suspend()
            self.awaited = None
            if interrupted:
                self.rise()
            if not own.done():
                raise RuntimeError("await wasn't used with future")
        return own.result()

    def wait_for_operation(self, awaitable: Any) -> Any:
        """`wait` for one of the toolbox's operations, likewise."""
        operation: StreamOperation = awaitable
        while True:
            outcome = operation.advance()
            if outcome != SUSPENDED:
                break
            self.value = operation.value
            operation.value = None
            self.awaited = operation
            interrupted = self.suspend()
            self.awaited = None
            if interrupted:
                operation.abandon()
                self.rise()
        value = operation.value
        operation.value = None
        if outcome == ENDED:
            return value
        try:
            raise value
        finally:
            value = None  # the error's traceback holds this frame

    def wait_for(self, awaitable: Any) -> Any:
        iterator = iterator_of(awaitable)
        error: Any = None
        while True:
            self.awaited = awaitable
            outcome = self.drive(iterator, error)
            error = None
            if outcome != YIELDED:
                break
            if self.suspend():
                error = self.thrown
                self.thrown = None
        self.awaited = None
        value = self.value
        self.value = None
        if outcome == RETURNED:
            return value
        try:
            raise value
        finally:
            value = None  # the error's traceback holds this frame

    # -- what a coroutine has

    def __await__(self) -> Generator[Any, None, Any]:
        return self  # type: ignore[return-value]

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Raise an exception at the `wait` where the function is; as ``coroutine.throw``."""
        error = value if isinstance(value, BaseException) else kind
        if isinstance(error, type) and issubclass(error, BaseException):
            error = error() if value is None else error(value)
        if not isinstance(error, BaseException):
            raise TypeError(f"exceptions must be classes or instances deriving from BaseException, not {type(kind).__name__}")
        if traceback is not None:
            error = error.with_traceback(traceback)
        try:
            outcome = self.go_on(error)
            answer = self.value
            self.value = None
            if outcome == SUSPENDED:
                return answer
            if outcome == FAILED:
                raise answer
            raise StopIteration(answer)
        finally:
            error = answer = kind = value = None  # an error's traceback holds this frame

    def close(self) -> None:
        """Raise GeneratorExit at the `wait` where the function is, so that its ``finally`` run; as ``coroutine.close``."""
        if self.state == FRESH:
            self.finish()
        if self.state == OVER:
            return
        outcome = self.go_on(GeneratorExit())
        value = self.value
        self.value = None
        try:
            if outcome == SUSPENDED:
                raise RuntimeError("stackful coroutine ignored GeneratorExit")
            if outcome == FAILED and not isinstance(value, GeneratorExit):
                raise value
        finally:
            value = None

    def abandon(self) -> int:
        return 0  # `throw` and `close` are our own

    @property
    def cr_frame(self) -> Any:
        """The innermost frame of the suspended function, or None."""
        return self.stack.gr_frame if self.state == PARKED else None

    @property
    def cr_await(self) -> Any:
        """What the function waits for, or None."""
        return self.awaited if self.handed is None else self.handed

    @property
    def cr_running(self) -> bool:
        """Whether the function runs at this moment."""
        return self.state == RUNNING  # type: ignore[no-any-return]

    @property
    def cr_code(self) -> Any:
        """The function's code object, None where it has none."""
        return getattr(self.function, "__code__", None)

    @property
    def cr_origin(self) -> Any:
        """None: it is not recorded where these are made."""
        return None

    @property
    def entry(self) -> Any:
        """The function."""
        return self.function

    @property
    def phase(self) -> str:
        """``"fresh"``, ``"running"``, ``"suspended"`` or ``"over"``."""
        return PHASES[self.state]

    def __getattr__(self, name: str) -> Any:
        # A property of this name cannot be had in a compiled class.
        if name in ("__name__", "__qualname__"):
            return getattr(self.function, name, type(self.function).__name__)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<stackful coroutine {self.__qualname__} {PHASES[self.state]} at {id(self):#x}>"

    def __del__(self) -> None:
        if self.state == FRESH and self.function is not None:
            warnings.warn(f"stackful coroutine '{self.__qualname__}' was never awaited", RuntimeWarning, stacklevel=2, source=self)


NOTHING = ()
PHASES = ("fresh", "running", "suspended", "over")


def iterator_of(awaitable: Any) -> Any:
    """What an ``await`` would drive."""
    if type(awaitable) is CoroutineType:
        return awaitable
    method = getattr(type(awaitable), "__await__", None)
    if method is not None:
        return method(awaitable)
    code = getattr(awaitable, "gi_code", None)
    if code is not None and code.co_flags & 0x100:  # CO_ITERABLE_COROUTINE: made by types.coroutine
        return awaitable
    raise TypeError(f"an awaitable is expected, not {type(awaitable).__name__!r}")


def coroutine_of(stack: Any) -> Any:
    """The stackful coroutine that runs on `stack`, or None."""
    found = getattr(stack, "coroutine", None)
    if type(found) is StackCoroutine:
        coroutine: StackCoroutine = found
        if coroutine.stack is stack:
            return coroutine
    return None


def run_sync(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> StackCoroutine:
    """``function(*args, **kwargs)`` as a coroutine, on a stack of its own: ``await run_sync(parse, file)``.

    Whatever is below it may `wait`. Awaited, it runs in the task that awaits it, with that task's context and cancellation, and no thread
    is involved: the function must not block. Raises TypeError where `function` cannot be called.
    """
    return StackCoroutine(function, args, kwargs)


def wait(awaitable: Awaitable[T]) -> T:
    """Suspend this whole stack until `awaitable` is done: ``await``, for plain functions.

    Returns its result and raises its error. If the task is cancelled, CancelledError rises here. Raises RuntimeError outside of a stackful
    coroutine, TypeError for what cannot be awaited.
    """
    stack = current_stack()
    coroutine: StackCoroutine | None = running
    if coroutine is None or coroutine.stack is not stack:
        coroutine = coroutine_of(stack)
    if coroutine is None:
        if type(awaitable) is CoroutineType:
            awaitable.close()  # the error below says enough; it was never awaited, indeed
        raise RuntimeError(
            "stackful.wait() was called outside of a stackful coroutine: start the function with stackful.spawn() or "
            "stackful.run_sync(), or use await in an async function"
        )
    if type(awaitable) is Future or type(awaitable) is Task:
        return coroutine.wait_for_future(awaitable)  # type: ignore[no-any-return]
    if isinstance(awaitable, StreamOperation):
        return coroutine.wait_for_operation(awaitable)  # type: ignore[no-any-return]
    return coroutine.wait_for(awaitable)  # type: ignore[no-any-return]
