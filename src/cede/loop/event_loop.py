"""The event loop: asyncio's face on the kernel, put together from its parts. Each idea has a file of its own beside
this one.
"""

from __future__ import annotations

import asyncio
from asyncio import coroutines
from typing import Any

from cede.core.scheduler.coop import Budget
from cede.core.scheduler.kernel import COMPILED, Kernel
from cede.core.scheduler.python_ports import check_inbox, check_offload, clock_port, order_port
from cede.core.weak_ordered_set import WeakOrderedSet
from cede.loop.asyncgens import AsyncgensMixin
from cede.loop.config import as_driver, choose_limit, choose_task_factory, make_driver
from cede.loop.connecting import ConnectingMixin
from cede.loop.datagrams import DatagramsMixin
from cede.loop.exception_handler import FailuresMixin
from cede.loop.executor import ExecutorMixin
from cede.loop.forking import ForkingMixin
from cede.loop.names import NamingMixin
from cede.loop.pipes import PipesMixin
from cede.loop.readers_writers import WatchingMixin
from cede.loop.run_state import Borrowed, on_main_thread
from cede.loop.running import RunningMixin
from cede.loop.sendfile import SendfileMixin
from cede.loop.serving import ServingMixin
from cede.loop.signals import SignalsMixin
from cede.loop.socket_transfer import SocketTransfer
from cede.loop.sockets import SocketsMixin
from cede.loop.statistics import StatisticsMixin
from cede.loop.streaming import StreamingMixin
from cede.loop.subprocesses import ChildrenMixin


class EventLoop(  # type: ignore[misc]
    # The kernel stands first: each call of a compiled method looks for its class along this line.
    SocketTransfer,
    RunningMixin,
    FailuresMixin,
    AsyncgensMixin,
    ExecutorMixin,
    NamingMixin,
    ConnectingMixin,
    ServingMixin,
    StreamingMixin,
    SocketsMixin,
    SendfileMixin,
    WatchingMixin,
    DatagramsMixin,
    PipesMixin,
    ChildrenMixin,
    SignalsMixin,
    ForkingMixin,
    StatisticsMixin,
    asyncio.AbstractEventLoop,
):
    """An asyncio event loop with cede's own kernel, tasks, futures and transports.

    driver: how it meets the world, or the name of that; by default the one that `cede.new_event_loop()` would choose. Any object with the
    methods that `cede.drivers.python_driver` lists will do.
    tasks, fair: whose tasks it makes, and how many awaits these may do in a step, as `cede.new_event_loop()` takes it.
    clock, order, inbox, offload: who says what time it is, in which order the work of a turn runs, keeps what other threads post, and calls
    what is not for the loop's thread; see `cede.core.scheduler.python_ports`.
    """

    # A loop has a dictionary as well, for whatever a program hangs on it. While that stays empty the interpreter looks a method up
    # by a shorter way, so what the parts keep has places of its own.
    __slots__ = (
        "_asyncgens",
        "_asyncgens_dropped",
        "_asyncgens_shutdown_called",
        "_borrowed",
        "_budget",
        "_children",
        "_cleared",
        "_default_executor",
        "_exception_handler",
        "_executor_shutdown_called",
        "_given_executors",
        "_home_pid",
        "_name_pool",
        "_offload",
        "_offloaded",
        "_ready_to_close",
        "_remembered",
        "_servers",
        "_signal_handlers",
        "_signals_due",
        "_signals_heard",
        "_watched_objects",
    )

    def __init__(
        self,
        driver: Any = None,
        *,
        tasks: str | None = None,
        fair: bool | int | None = None,
        clock: Any = None,
        order: Any = None,
        inbox: Any = None,
        offload: Any = None,
    ) -> None:
        self._asyncgens_shutdown_called = False
        self._default_executor = None
        self._exception_handler = None
        self._executor_shutdown_called = False
        self._home_pid = 0
        self._name_pool = None
        self._ready_to_close = False
        self._remembered = None
        self._borrowed = Borrowed()
        self._cleared = False
        if not COMPILED:
            from cede.core.build import tell_uncompiled  # here, because it reads files by modules that a compiled cede needs not

            tell_uncompiled()
        task_factory = choose_task_factory(tasks)
        limit = choose_limit(fair)
        # What is refused is refused before a driver is made.
        clock, order, inbox = clock_port(clock), order_port(order), check_inbox(inbox)
        self._offload = check_offload(offload)
        self._offloaded = {}
        if driver is None or isinstance(driver, str):
            # Not before there is a loop: where both are garbage the collector sees the older one first, and the loop closes the driver.
            driver = make_driver(driver)
        else:
            driver = as_driver(driver)
        SocketTransfer.__init__(self, driver, order, clock, inbox)
        driver.attach(self)
        self._task_factory = task_factory
        self._budget = Budget(self, limit) if limit else None
        self._asyncgens = WeakOrderedSet()
        self._asyncgens_dropped = {}
        self._children = {}
        self._given_executors = WeakOrderedSet()
        self._servers = WeakOrderedSet()
        self._signal_handlers = {}
        self._signals_heard = {}
        self._signals_due = []
        self._watched_objects = {}
        self._debug = coroutines._is_debug_mode()  # type: ignore[attr-defined]
        if on_main_thread():
            # Its first run would take it, at a moment when there may be no descriptors left.
            try:
                driver.wakeup_fd()
            except BaseException:
                driver.close()
                raise
        self._register_for_fork()

    if COMPILED:  # uncompiled, the kernel looks for itself: a `__setattr__` here would slow its every step

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "time":
                self.clock_replaced = True  # a program, or a test, brings a clock of its own
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            object.__delattr__(self, name)
            if name == "time":
                self.clock_replaced = self._has_clock() or type(self).time is not Kernel.time
