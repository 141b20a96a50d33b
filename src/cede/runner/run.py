"""Starting: `run`, `Runner` and `new_event_loop`; and an end in bounded time."""

from __future__ import annotations

import asyncio
import functools
import math
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from cede.loop.event_loop import EventLoop
from cede.loop.stopping import Stopping
from cede.loop.unfinished import Unfinished, open_transports, unfinished_tasks
from cede.runner.watchdog import Watchdog, give_up, leave, say

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from types import FrameType

T = TypeVar("T")

# How much longer than the grace the loop may take to say what did not end, in seconds, before a thread says it and leaves.
LAST_CHANCE = 1.0


class ShutdownError(RuntimeError):
    """A shutdown took longer than the `grace` it was given.

    tasks, threads, transports, pools: what was still at work, as lists of such objects. generators: the asynchronous generators whose
    cleaning up was cut off.
    """

    def __init__(self, message: str, unfinished: Unfinished) -> None:
        super().__init__(message)
        self.tasks = unfinished.tasks
        self.threads = unfinished.threads
        self.transports = unfinished.transports
        self.generators = [cut.generator for cut in unfinished.generators]
        self.pools = unfinished.pools


def new_event_loop(
    *,
    driver: str | None = None,
    tasks: str | None = None,
    fair: bool | int | None = None,
    slow_cancel_duration: float | None = None,
) -> EventLoop:
    """A new event loop.

    driver: "epoll" (the default where it is compiled in) or "selector" (works everywhere). None asks the environment
    variable CEDE_DRIVER first.
    tasks: "cede", or "asyncio" for asyncio's own tasks by `stock_task_factory`. None asks the environment variable CEDE_TASKS first, and
    else means cede's.

    fair: how many awaits of cede's objects (queues, locks, streams, futures that are done...) a task may end in one step before the next
        one has it give way for a turn; True for 128, False for as many as it likes. None asks the environment variable CEDE_FAIR ("on",
        "off" or a number) first, and else means False. See ``loop.statistics()`` for who had to be made to.
    slow_cancel_duration: a task that was asked to stop and still runs so many seconds later is logged, with the lines where it is. None: in
        debug mode only, after 5 seconds. It can be set on the loop too, by this name.

    Raises ValueError for an unknown name, TypeError and ValueError for a number that is none, RuntimeError where this install does not have
    the driver.
    """
    seconds = checked_seconds("slow_cancel_duration", slow_cancel_duration)
    loop: Any = EventLoop(driver, tasks=tasks, fair=fair)
    loop.slow_cancel_duration = seconds
    return loop  # type: ignore[no-any-return]


def factory_for(loop_factory: Any, fair: Any, slow_cancel_duration: Any) -> Any:
    """What makes the loop of a Runner."""
    if loop_factory is None:
        return functools.partial(new_event_loop, fair=fair, slow_cancel_duration=slow_cancel_duration)
    for name, value in (("fair", fair), ("slow_cancel_duration", slow_cancel_duration)):
        if value is not None:
            raise TypeError(f"{name} is for the loop that cede makes: with a loop_factory, have that set it")
    return loop_factory


class Runner(asyncio.Runner):  # type: ignore[misc]
    """asyncio.Runner, which makes a cede loop unless `loop_factory` says otherwise.

    debug: True or False sets the loop's debug mode; None leaves it to the environment.
    fair, slow_cancel_duration: for the loop, as `new_event_loop` takes them; not together with `loop_factory`.
    grace: how many seconds the end may take, None for as long as it takes. The time runs from Ctrl-C, from SIGTERM (which with a grace
        cancels the main task as Ctrl-C does, and then raises SystemExit(143)), or else from `close`. The loop is stopped in phases: accept
        no more, close idle connections, cancel the tasks, close generators and pools, end threads, close and then abort what is open. When
        the time is up, what is still at work, or was cut off, is printed to standard error, and `close` raises ShutdownError. Where the
        loop is so blocked that it cannot, the process is ended with status 1. Threads that are stuck then do not hold up the interpreter's
        exit, whose status is 1 as well.

    Raises TypeError or ValueError for a grace that is no number of seconds, and TypeError for a grace on a loop that is not cede's.
    """

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
        grace: float | None = None,
        fair: bool | int | None = None,
        slow_cancel_duration: float | None = None,
    ) -> None:
        super().__init__(debug=debug, loop_factory=factory_for(loop_factory, fair, slow_cancel_duration))
        self._grace = checked_seconds("grace", grace)
        self._deadline: float | None = None
        self._watchdog: Watchdog | None = None
        self._terminated = False
        self._out_of_time = False
        self._shut_down = False

    def run(self, coro: Coroutine[Any, Any, T], *, context: Context | None = None) -> T:
        """Run `coro` to its end and return its result, as asyncio's Runner does."""
        try:
            return self._run(coro, context)
        finally:
            # Twice: Ctrl-C may come in the first, and what it raises leaves that wherever it is.
            try:
                self._give_signals_back()
            finally:
                self._give_signals_back()

    def _give_signals_back(self) -> None:
        """A handler of ours that stayed, since an interrupt came at the very end, would keep the next run from having one."""
        if threading.current_thread() is not threading.main_thread():
            return
        interrupt: Any = signal.getsignal(signal.SIGINT)
        if isinstance(interrupt, functools.partial) and interrupt.func == self._on_sigint:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._grace is not None and signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _run(self, coro: Coroutine[Any, Any, T], context: Context | None) -> T:
        if self._grace is None:
            return super().run(coro, context=context)
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            return super().run(coro, context=context)
        except KeyboardInterrupt:
            if self._terminated:
                raise SystemExit(128 + signal.SIGTERM) from None
            raise
        except RuntimeError:
            if not self._out_of_time:
                raise
            raise (SystemExit(128 + signal.SIGTERM) if self._terminated else KeyboardInterrupt()) from None

    def _on_sigint(self, signum: int, frame: FrameType | None, main_task: asyncio.Task[Any]) -> None:
        if self._grace is not None and self._deadline is None:
            self._begin_to_stop()
            self.get_loop().call_soon_threadsafe(self._watch_main_task, main_task)
        super()._on_sigint(signum, frame, main_task)  # type: ignore[misc]

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        self._terminated = True
        interrupt = signal.getsignal(signal.SIGINT)
        if isinstance(interrupt, functools.partial) and interrupt.func == self._on_sigint:
            interrupt(signal.SIGINT, frame)
        else:  # the program's own Ctrl-C, about which nothing is known
            raise SystemExit(128 + signal.SIGTERM)

    def _begin_to_stop(self) -> None:
        assert self._grace is not None
        self._deadline = self.get_loop().time() + self._grace
        if threading.current_thread() is threading.main_thread():
            self._watchdog = Watchdog(self._grace + LAST_CHANCE, self._leave_blocked_loop)

    def _watch_main_task(self, main_task: asyncio.Task[Any]) -> None:
        assert self._grace is not None
        timer = self.get_loop().call_later(self._grace, self._leave_main_task)
        main_task.add_done_callback(lambda task: timer.cancel())

    def _leave_main_task(self) -> None:
        self._out_of_time = True
        self.get_loop().stop()

    def close(self) -> None:
        """End everything and close the loop. Raises ShutdownError where `grace` was given and was not enough."""
        loop: Any = getattr(self, "_loop", None)
        if loop is not None and loop.is_closed():
            self._forget_loop(loop)
            return
        if self._grace is None or loop is None or self._shut_down:
            super().close()
            return
        if not isinstance(loop, EventLoop):
            super().close()
            raise TypeError(f"grace needs a cede event loop; loop_factory made {loop!r}, which was closed without one")
        self._shut_down = True
        if self._deadline is None:
            self._begin_to_stop()
        assert self._deadline is not None
        left = Unfinished()
        try:
            left = loop.run_until_complete(Stopping(loop, self._deadline).run())
            if left:
                say(f"cede: still at work {self._grace:g} seconds after the shutdown began:\n{left.describe()}")
                self._abandon(loop, left)
            super().close()
        finally:
            if self._watchdog is not None:
                self._watchdog.call_off()
        if left:
            raise ShutdownError(f"the shutdown took longer than its grace of {self._grace:g} seconds: {left.count()} still at work", left)

    def _forget_loop(self, loop: Any) -> None:
        """An interrupt ended an earlier `close` when the loop was closed, or about to be."""
        loop.close()
        if self._set_event_loop:  # type: ignore[attr-defined]
            asyncio.set_event_loop(None)
        self._loop = None
        self._state = asyncio.runners._State.CLOSED  # type: ignore[attr-defined]

    def _abandon(self, loop: Any, left: Unfinished) -> None:
        """Leave nothing that the rest of the close would wait for."""
        for task in left.tasks:
            task._log_destroy_pending = False  # it has been told of
        loop._let_go_of_tasks()
        executor, loop._default_executor = loop._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        give_up(left.threads)

    def _leave_blocked_loop(self) -> None:
        """The loop's thread does not come back. Runs on the watchdog's."""
        loop: Any = self._loop  # type: ignore[attr-defined]
        left = Unfinished([], [threading.main_thread()], [])
        try:
            left.tasks, left.transports = unfinished_tasks(loop), open_transports(loop)
        except Exception as error:  # they may change while we look, and something is better than nothing
            say(f"cede: what else is at work cannot be told: {error!r}")
        say(f"cede: the event loop is blocked, {self._grace:g} seconds after the shutdown began:\n{left.describe()}")
        leave()


def checked_seconds(name: str, seconds: Any) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, got {seconds!r}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{name} must be 0 or more seconds, and finite, got {seconds!r}")
    return float(seconds)


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    grace: float | None = None,
    fair: bool | int | None = None,
    slow_cancel_duration: float | None = None,
) -> T:
    """Run the coroutine `main` on a new loop, then close that: pending tasks are cancelled, generators and threads
    ended. With `grace`, within so many seconds: see `Runner`. `fair` and `slow_cancel_duration` are for the loop: see `new_event_loop`.

    Raises ValueError if `main` is no coroutine, RuntimeError where a loop runs on this thread already, ShutdownError where the
    grace was not enough.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("cede.run() cannot be called from a running event loop")
    with Runner(
        debug=debug, loop_factory=loop_factory, grace=grace, fair=fair, slow_cancel_duration=slow_cancel_duration
    ) as runner:
        return runner.run(main)
