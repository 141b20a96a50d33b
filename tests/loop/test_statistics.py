"""``loop.statistics()``: counts that are true, and the longest step where somebody wants to know."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest

import cede


def test_counts_of_a_loop_at_rest() -> None:
    loop = cede.new_event_loop()
    seen = loop.statistics()
    assert isinstance(seen, cede.LoopStatistics)
    assert seen[:9] == (0, 0, 0, False, 0, 0, 0, 0, 0)
    loop.call_soon(int)
    loop.call_soon_threadsafe(int)
    timer = loop.call_later(60, int)
    seen = loop.statistics()
    assert (seen.ready, seen.posted, seen.timers) == (1, True, 1)
    timer.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    seen = loop.statistics()
    assert (seen.ready, seen.posted, seen.timers) == (0, False, 0)
    assert seen.turns >= 2
    assert seen.steps >= 4
    loop.close()
    assert loop.statistics()[2:9] == (0, False, 0, 0, 0, 0, 0)


def test_counts_of_a_loop_at_work() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        sleeper = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        before = loop.statistics()
        assert (before.tasks, before.timers) == (2, 1)
        await asyncio.sleep(0)
        after = loop.statistics()
        assert (after.turns, after.steps) == (before.turns + 1, before.steps + 1)
        sleeper.cancel()

        async def serve(reader: Any, writer: Any) -> None:
            await reader.read()
            writer.close()

        server = await cede.start_server(serve, "127.0.0.1", 0)
        _, writer = await cede.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        child = await cede.create_subprocess_exec(sys.executable, "-c", "input()", stdin=cede.subprocess.PIPE)
        seen = loop.statistics()
        assert (seen.servers, seen.children) == (1, 1)
        assert seen.transports >= 2  # the connection and the pipe, and the other end once the server has looked
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        await child.communicate(b"\n")
        while loop.statistics().children:
            await asyncio.sleep(0.001)
        assert loop.statistics().transports == 0

    cede.run(main())


@pytest.mark.parametrize("debug", [False, True])
def test_longest_step_is_named(debug: bool) -> None:
    async def main() -> Any:
        loop: Any = asyncio.get_running_loop()
        loop.slow_callback_duration = 60
        loop.watch_steps = not debug

        async def quick() -> None:
            await asyncio.sleep(0)

        async def slow() -> None:
            await asyncio.sleep(0)
            time.sleep(0.05)
            await asyncio.sleep(0)

        await asyncio.gather(quick(), asyncio.create_task(slow(), name="Slow"), quick())
        return loop.statistics()

    with cede.Runner(debug=debug) as runner:
        seen = runner.run(main())
    assert seen.longest_step >= 0.05
    assert "Slow" in seen.longest_step_of
    assert "slow()" in seen.longest_step_of
    assert __file__ in seen.longest_step_of


def test_steps_are_not_timed_unless_wanted(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Any:
        loop: Any = asyncio.get_running_loop()
        loop.slow_callback_duration = 0
        await asyncio.sleep(0)
        before = loop.statistics()
        loop.watch_steps = True
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return before, loop.statistics()

    before, after = cede.run(main(), debug=False)
    assert (before.longest_step, before.longest_step_of) == (None, None)
    assert after.longest_step is not None
    assert not caplog.records  # debug mode's report stays debug mode's
