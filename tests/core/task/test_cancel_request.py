"""Who asked a task to stop, why, and whether it does: what a cancellation tells."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cede
from cede.core.task.cancel_request import request_of

Run = Callable[..., Any]


async def forever() -> None:
    await asyncio.Event().wait()


def test_cancellation_says_who_asked(run: Run) -> None:
    """The arguments of CancelledError stay what they are; a note tells the rest."""

    async def main() -> tuple[Any, Any]:
        async def victim() -> Any:
            try:
                await forever()
            except asyncio.CancelledError as error:
                return error
            return None

        async def asker(why: Any) -> Any:
            task = cede.Task(victim(), loop=asyncio.get_running_loop())
            await asyncio.sleep(0)
            task.cancel(why)
            return await task

        asking = asyncio.create_task(asker("no longer needed"), name="Asker")
        with_reason = await asking
        without = await asyncio.create_task(asker(None))
        return with_reason, without

    with_reason, without = run(main)
    assert with_reason.args == ("no longer needed",)
    assert without.args == ()
    text = "".join(traceback.format_exception(with_reason))
    assert "cancelled" in text
    assert "no longer needed" in text
    assert "in test_cancellation_says_who_asked.<locals>.main.<locals>.asker() at" in text
    assert f"{__file__}:" in text
    request = request_of(without)
    assert request is not None
    assert request.why is None
    assert request.where.startswith(__file__)


def test_cancellation_names_the_task_that_asked() -> None:
    async def main() -> Any:
        async def victim() -> Any:
            try:
                await forever()
            except asyncio.CancelledError as error:
                return error

        async def asker() -> Any:
            task = asyncio.create_task(victim())
            await asyncio.sleep(0)
            task.cancel()
            return await task

        return await asyncio.create_task(asker(), name="Asker")

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        error = runner.run(main())
    assert request_of(error).by == "Asker"
    assert "cancelled by Asker in " in str(request_of(error))
    assert all(isinstance(note, str) for note in error.__notes__)
    error.add_note("and more")
    assert list(error.__notes__)[1] == "and more"


def test_time_limit_says_so() -> None:
    async def main() -> Any:
        try:
            async with cede.timeout(0.001):
                await forever()
        except TimeoutError as error:
            return error.__cause__

    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        cause = runner.run(main())
    assert cause.args == ()
    assert request_of(cause).why == "its time limit was reached"


@pytest.mark.parametrize("debug", [True, False])
def test_task_that_does_not_stop_is_reported(debug: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def stubborn() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)  # this line

        task = asyncio.create_task(stubborn(), name="Stubborn")
        await asyncio.sleep(0)
        task.cancel()
        await task

    cede.run(main(), debug=debug, slow_cancel_duration=0.01)
    [record] = [record for record in caplog.records if "was asked to stop and still runs" in record.getMessage()]
    lines = Path(__file__).read_text().splitlines()
    [line] = [number for number, text in enumerate(lines, 1) if text.endswith("# this line")]
    assert f"{__file__}:{line}" in record.getMessage()
    assert "Stubborn" in record.getMessage()


def test_late_cancellations_are_told_where_somebody_asked_for_it(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        assert loop.slow_cancel_duration is None
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        timers = [loop.statistics().timers]
        loop.slow_cancel_duration = 60
        task.cancel()
        timers.append(loop.statistics().timers)
        with pytest.raises(asyncio.CancelledError):
            await task
        return timers[1] - timers[0]

    assert cede.run(main(), debug=False) == 1
    assert not caplog.records
    for wrong, kind in (("soon", TypeError), (-1, ValueError), (float("nan"), ValueError)):
        with pytest.raises(kind, match="slow_cancel_duration must be"):
            cede.new_event_loop(slow_cancel_duration=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="slow_cancel_duration is for the loop that cede makes"):
        cede.Runner(slow_cancel_duration=1, loop_factory=cede.EventLoop)


def test_task_of_a_closed_loop_is_cancelled_without_a_report() -> None:
    loop = cede.new_event_loop(slow_cancel_duration=0.01)
    task = loop.create_task(forever())
    loop.close()
    task._log_destroy_pending = False
    task.cancel()
    assert task.cancelling() == 1
    task.get_coro().close()
