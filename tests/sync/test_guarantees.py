"""The guarantees of docs/guarantees.md: whatever happens between tasks, in whatever order of turns, holds them.

Hypothesis writes the programs: who puts, gets, acquires and waits, who is cancelled or timed out, and when the loop takes a turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cede

# The fixture `run` makes a new loop at each call, so examples share nothing.
examples = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

TURNS_TO_SETTLE = 30


class Actor:
    """A task of a program, which can be cancelled, or timed out."""

    def __init__(self, number: int, work: Callable[[], Coroutine[Any, Any, Any]], ended: list[Actor]) -> None:
        self.number = number
        self.scope: asyncio.Timeout | None = None
        self.ended = ended
        self.result: Any = None
        self.failure: BaseException | None = None
        self.task = asyncio.ensure_future(self.main(work))

    async def main(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        try:
            async with asyncio.timeout(None) as self.scope:
                self.result = await work()
        except (asyncio.CancelledError, TimeoutError, cede.QueueShutDown, asyncio.BrokenBarrierError) as error:
            self.failure = error
        finally:
            self.ended.append(self)

    @property
    def succeeded(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.failure is None

    def interrupt(self, by_timeout: bool) -> None:
        if self.task.done():
            return
        if by_timeout and self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time() - 1)
        elif not by_timeout:
            self.task.cancel()


class Program:
    """What a program has done so far."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.ended: list[Actor] = []

    def start(self, method: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Actor:
        actor = Actor(len(self.actors), lambda: method(*args), self.ended)
        self.actors.append(actor)
        return actor

    def interrupt(self, index: int, by_timeout: bool) -> None:
        pending = [actor for actor in self.actors if not actor.task.done()]
        if pending:
            pending[index % len(pending)].interrupt(by_timeout)

    async def settle(self) -> None:
        for _ in range(TURNS_TO_SETTLE):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for actor in self.actors:
            actor.task.cancel()
        await asyncio.gather(*(actor.task for actor in self.actors), return_exceptions=True)

    def in_order(self, actors: list[Actor]) -> bool:
        """Whether those of `actors` who got through did so in the order in which they started."""
        done = [actor.number for actor in self.ended if actor in actors and actor.succeeded]
        return done == sorted(done)


interruption = st.tuples(st.sampled_from(["cancel", "timeout"]), st.integers(0, 7))
turn = st.tuples(st.just("turn"), st.just(0))


def programs(*names: str) -> Any:
    return st.lists(st.one_of(st.tuples(st.sampled_from(names), st.integers(0, 3)), interruption, turn, turn), max_size=40)


async def common(program: Program, name: str, number: int) -> None:
    if name == "turn":
        await asyncio.sleep(0)
    else:
        program.interrupt(number, name == "timeout")


@examples
@given(steps=programs("put", "get", "put_nowait", "get_nowait"), maxsize=st.integers(0, 3), shut=st.booleans())
def test_a_queue_loses_no_item_and_serves_in_order(run: Callable[..., Any], steps: Any, maxsize: int, shut: bool) -> None:
    """A cancelled or timed out get takes nothing, a cancelled put puts nothing (50)."""

    async def main() -> None:
        queue: Any = cede.Queue(maxsize)
        program = Program()
        getters: list[Actor] = []
        putters: list[Actor] = []
        offered = 0
        put_now: list[int] = []
        got_now: list[int] = []
        for name, number in steps:
            if name == "put":
                actor = program.start(queue.put, offered)
                actor.item = offered  # type: ignore[attr-defined]
                putters.append(actor)
                offered += 1
            elif name == "get":
                getters.append(program.start(queue.get))
            elif name == "put_nowait":
                try:
                    queue.put_nowait(offered)
                    put_now.append(offered)
                except asyncio.QueueFull:
                    assert queue.full()
                offered += 1
            elif name == "get_nowait":
                try:
                    got_now.append(queue.get_nowait())
                except asyncio.QueueEmpty:
                    assert queue.empty()
            else:
                await common(program, name, number)
            assert not maxsize or queue.qsize() <= maxsize
        await program.settle()
        waiting_to_get = [actor for actor in getters if not actor.task.done()]
        waiting_to_put = [actor for actor in putters if not actor.task.done()]
        assert not (waiting_to_get and not queue.empty()), "somebody waits, and there is an item"
        assert not (waiting_to_put and not queue.full()), "somebody waits, and there is room"
        if shut:
            queue.shutdown()
            await program.settle()
            assert not [actor for actor in program.actors if not actor.task.done()], "somebody waits at a queue that was shut down"
        put = put_now + [actor.item for actor in putters if actor.succeeded]  # type: ignore[attr-defined]
        got = got_now + [actor.result for actor in getters if actor.succeeded]
        left = list(queue._queue)
        assert sorted(got + left) == sorted(put)
        assert program.in_order(getters)
        assert program.in_order(putters)
        await program.end()
        assert len(queue._getters) == len(queue._putters) == 0
        assert list(queue._queue) == left

    run(main)


@examples
@given(steps=programs("acquire", "release"), permits=st.integers(0, 3))
def test_a_semaphore_loses_no_permit_and_serves_in_order(run: Callable[..., Any], steps: Any, permits: int) -> None:
    """A cancelled acquire loses no permit, and wakes the next (49)."""

    async def main() -> None:
        semaphore = cede.Semaphore(permits)
        program = Program()
        released = 0
        for name, number in steps:
            if name == "acquire":
                program.start(semaphore.acquire)
            elif name == "release":
                semaphore.release()
                released += 1
            else:
                await common(program, name, number)
        await program.settle()
        held = sum(actor.succeeded for actor in program.actors)
        waiting = [actor for actor in program.actors if not actor.task.done()]
        assert held + semaphore._value == permits + released
        assert not (waiting and semaphore._value)
        assert program.in_order(program.actors)
        await program.end()
        assert held + semaphore._value == permits + released
        assert len(semaphore._waiters) == 0

    run(main)


@examples
@given(steps=programs("acquire", "release"))
def test_a_lock_has_one_holder_and_serves_in_order(run: Callable[..., Any], steps: Any) -> None:
    """A cancelled acquire neither takes the lock nor swallows the release (49)."""

    async def main() -> None:
        lock = cede.Lock()
        program = Program()
        releases = 0
        for name, number in steps:
            if name == "acquire":
                program.start(lock.acquire)
            elif name == "release":
                if lock.locked():
                    lock.release()
                    releases += 1
            else:
                await common(program, name, number)
            assert sum(actor.succeeded for actor in program.actors) - releases in (0, 1)
        await program.settle()
        waiting = [actor for actor in program.actors if not actor.task.done()]
        assert sum(actor.succeeded for actor in program.actors) - releases == lock.locked()
        assert not (waiting and not lock.locked())
        assert program.in_order(program.actors)
        await program.end()
        assert len(lock._waiters) == 0

    run(main)


@examples
@given(steps=programs("wait", "notify", "hold", "free"))
def test_a_condition_swallows_no_notification(run: Callable[..., Any], steps: Any) -> None:
    """Each notification that found somebody lets somebody through, whoever is cancelled meanwhile (49)."""

    async def main() -> None:
        condition = cede.Condition()
        program = Program()
        tokens = 0
        held = False

        async def take() -> None:
            nonlocal tokens
            async with condition:
                while not tokens:
                    await condition.wait()
                tokens -= 1

        for name, number in steps:
            if name == "wait":
                program.start(take)
            elif name == "hold" and not held and not condition.locked() and not condition._lock._waiters:
                await condition.acquire()
                held = True
            elif name == "notify" and held:
                tokens += 1
                condition.notify()
            elif name == "free" and held:
                condition.release()
                held = False
            elif name in ("turn", "cancel", "timeout"):
                await common(program, name, number)
        if held:
            condition.release()
        await program.settle()
        waiting = [actor for actor in program.actors if not actor.task.done()]
        assert not condition.locked()
        assert not (waiting and tokens), "somebody waits for what was announced"
        await program.end()
        assert not condition.locked()
        assert len(condition._waiters) == len(condition._lock._waiters) == 0

    run(main)


@examples
@given(steps=programs("wait", "set", "clear"))
def test_an_event_lets_everybody_through_who_waited(run: Callable[..., Any], steps: Any) -> None:
    async def main() -> None:
        event = cede.Event()
        program = Program()
        standing: set[int] = set()
        promised: set[int] = set()
        for name, number in steps:
            if name == "wait":
                program.start(event.wait)
            elif name == "set":
                standing = {i for i, actor in enumerate(program.actors) if actor.scope is not None and not actor.task.done()}
                promised |= standing
                event.set()
            elif name == "clear":
                event.clear()
            else:
                await common(program, name, number)
        await program.settle()
        for number in promised:
            assert program.actors[number].task.done()
        assert not (event.is_set() and any(not actor.task.done() for actor in program.actors))
        assert program.in_order(program.actors)
        await program.end()
        assert len(event._waiters) == 0

    run(main)


@examples
@given(steps=programs("wait", "reset", "abort"), parties=st.integers(1, 4))
def test_a_barrier_lets_through_whole_rounds(run: Callable[..., Any], steps: Any, parties: int) -> None:
    """Nobody is left inside; each number of a round is given once, unless the round was broken or somebody cancelled as it left."""

    async def main() -> None:
        barrier = cede.Barrier(parties)
        program = Program()
        disturbed = False
        for name, number in steps:
            if name == "wait":
                program.start(barrier.wait)
            elif name in ("reset", "abort"):
                disturbed = True
                await (barrier.reset() if name == "reset" else barrier.abort())
                assert barrier.broken == (name == "abort")
            else:
                disturbed = disturbed or name != "turn"
                await common(program, name, number)
        await program.settle()
        waiting = [actor for actor in program.actors if not actor.task.done()]
        assert barrier._count == barrier.n_waiting == len(waiting) < parties
        assert not (barrier.broken and waiting)
        if not disturbed:
            numbers = sorted(actor.result for actor in program.actors if actor.succeeded)
            assert numbers == sorted(list(range(parties)) * (len(numbers) // parties))
        await program.end()
        assert barrier._count == 0

    run(main)


@examples
@given(steps=programs("send", "receive", "receive_many", "send_nowait", "receive_nowait"), capacity=st.integers(0, 3), end=st.booleans())
def test_a_channel_loses_no_item_and_serves_in_order(run: Callable[..., Any], steps: Any, capacity: int, end: bool) -> None:
    async def main() -> None:
        sender, receiver = cede.channel(capacity)
        program = Program()
        senders: list[Actor] = []
        receivers: list[Actor] = []
        offered = 0
        sent_now: list[int] = []
        got_now: list[int] = []
        for name, number in steps:
            if name == "send":
                actor = program.start(sender.send, offered)
                actor.item = offered  # type: ignore[attr-defined]
                senders.append(actor)
                offered += 1
            elif name == "receive":
                receivers.append(program.start(receiver.receive))
            elif name == "receive_many":
                receivers.append(program.start(receiver.receive_many, number + 1))
            elif name == "send_nowait":
                try:
                    sender.send_nowait(offered)
                    sent_now.append(offered)
                except cede.WouldBlock:
                    pass
                offered += 1
            elif name == "receive_nowait":
                try:
                    got_now.append(receiver.receive_nowait())
                except cede.WouldBlock:
                    assert sender.statistics().current_buffer_used == 0
            else:
                await common(program, name, number)
        await program.settle()
        held = sender.statistics().current_buffer_used
        waiting_receivers = [actor for actor in receivers if not actor.task.done()]
        waiting_senders = [actor for actor in senders if not actor.task.done()]
        assert not (waiting_receivers and held)
        assert not (waiting_senders and held < capacity)
        assert not (waiting_senders and waiting_receivers)
        sent = sent_now + [actor.item for actor in senders if actor.succeeded]  # type: ignore[attr-defined]
        got = list(got_now)
        for actor in receivers:
            if actor.succeeded:
                got.extend(actor.result if isinstance(actor.result, list) else [actor.result])
        await program.end()
        left = []
        while receiver.statistics().current_buffer_used:
            left.append(receiver.receive_nowait())
        assert sorted(got + left) == sorted(sent)
        assert program.in_order(senders)
        assert program.in_order(receivers)
        if end:
            sender.close()
            with pytest.raises(cede.EndOfChannel):
                await receiver.receive()

    run(main)
