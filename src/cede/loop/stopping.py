"""Stopping a loop in phases, within a time that somebody has set.

1. Stop accepting: every server closes its listening sockets.
2. Close the connections of servers that are idle: those whose reader waits for its peer. A connection that is at work may finish what it
   does, within half of the time, and is closed when it waits again. Where no server has a connection nothing is waited for.
3. Cancel the tasks, and wait for them, but for those that close generators which nobody holds any more. Then close the asynchronous
   generators, and what else the loop closes with them, such as pools; then end the tasks that these have left; then the threads of
   executors.
4. Close what is still open, after what was written is sent; at the end of the time, abort it.

Each phase has at least a turn of the loop, even when the time is up.
"""

from __future__ import annotations

import asyncio
from typing import Any

from cede.loop.unfinished import Cut, Unfinished, busy_threads, open_transports, unfinished_tasks
from cede.net.server.idle import waits_for_data

# How often is looked whether a connection has become idle, or a thread has ended, which nobody tells: in seconds.
LOOK_EVERY = 0.02


class Stopping:
    """One shutdown of `loop`, which is to be over at `deadline`, by the loop's clock."""

    def __init__(self, loop: Any, deadline: float) -> None:
        self.loop = loop
        self.deadline = deadline
        self._closers: list[Any] = []  # of generators and pools that do not even end when they are cut off

    def left(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.deadline - self.loop.time())

    async def run(self) -> Unfinished:
        """All phases. Returns what was still at work when the time was up; empty where all ended."""
        await self._let_servers_finish()
        tasks = await self._end_tasks([])
        generators, pools = await self._end_generators()
        tasks += await self._end_tasks(tasks)
        threads = await self._end_threads()
        transports = await self._end_transports()
        # What took its time may have come to an end since.
        return Unfinished(
            [task for task in tasks if not task.done()],
            [thread for thread in threads if thread in self._busy()],
            transports,
            generators,
            pools,
        )

    async def _let_servers_finish(self) -> None:
        servers = list(self.loop._servers)
        for server in servers:
            server.close()
        until = self.loop.time() + self.left() / 2
        while sum(map(self._close_idle, servers)):  # each of them, so no any()
            await asyncio.sleep(0)
            if self.loop.time() >= until:
                return
            await asyncio.sleep(min(LOOK_EVERY, self.left()))

    def _close_idle(self, server: Any) -> bool:
        """Whether the server has connections."""
        clients = server._clients
        for transport in clients:
            protocol = transport.get_protocol()
            # With TLS between them, the connection is the program's by another transport, which says goodbye properly.
            face = getattr(protocol, "_app_transport", None) or transport
            if face.is_closing():
                continue
            # Nobody has been promised anything yet by a connection that is in its handshake.
            if getattr(face, "_in_handshake", False) or waits_for_data(getattr(protocol, "_app_protocol", protocol)):
                face.close()
        return bool(clients)

    async def _end_tasks(self, told: list[Any]) -> list[Any]:
        """Those that do not end in time, besides `told`."""
        but = {asyncio.current_task(), *told, *self._closers}
        while tasks := [task for task in unfinished_tasks(self.loop) if task not in but and task not in self.loop._asyncgens_dropped]:
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)
            _, pending = await asyncio.wait(tasks, timeout=self.left())
            for task in tasks:
                self._report(task)
            if pending:
                return [task for task in tasks if task in pending]
        return []

    def _report(self, task: Any) -> None:
        if task.done() and not task.cancelled() and task.exception() is not None:
            self.loop.call_exception_handler(
                {"message": "unhandled exception during the shutdown", "exception": task.exception(), "task": task}
            )

    async def _end_generators(self) -> tuple[list[Cut], list[Any]]:
        """The generators, and the pools, that do not end in time: they are cut off, by a cancellation."""
        dropped = self.loop._asyncgens_dropped
        generators: list[Cut] = []
        pools: list[Any] = []
        while closing := self.loop._close_asyncgens() | dropped:
            await asyncio.sleep(0)
            _, pending = await asyncio.wait(closing, timeout=self.left())
            for task in pending:
                found = closing[task]
                if hasattr(found, "ag_frame"):
                    generators.append(Cut(found))  # where it waits is to be seen now, and not after that
                else:
                    pools += getattr(found, "closing", None) or [found]
                task.cancel()
            if pending:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            for task, found in closing.items():
                dropped.pop(task, None)
                if task.done():
                    if not getattr(found, "ag_running", False):
                        self.loop._tell_of_asyncgen(found, task)
                    elif not task.cancelled():
                        task.exception()  # a task is in it that does not end, and is told of
                else:
                    task._log_destroy_pending = False  # it is told of as what it closes
                    self._closers.append(task)
        return generators, pools

    def _busy(self) -> list[Any]:
        executors = list(self.loop._given_executors)
        if self.loop._default_executor is not None:
            executors.append(self.loop._default_executor)
        return [thread for executor in executors for thread in busy_threads(executor)]

    async def _end_threads(self) -> list[Any]:
        if await self.loop._end_default_executor(self.left()):
            self.loop._default_executor = None
        # Other executors are the program's to shut down; a job that it left in one would hold up the interpreter's exit.
        while (busy := self._busy()) and self.left():  # noqa: ASYNC110 - a given executor tells nobody
            await asyncio.sleep(min(LOOK_EVERY, self.left()))
        return busy

    async def _end_transports(self) -> list[Any]:
        for transport in open_transports(self.loop):
            transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while (stuck := open_transports(self.loop)) and self.left():  # noqa: ASYNC110 - their protocols are told, not we
            await asyncio.sleep(min(LOOK_EVERY, self.left()))
        for transport in stuck:
            getattr(transport, "abort", transport.close)()
        if stuck:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return stuck
