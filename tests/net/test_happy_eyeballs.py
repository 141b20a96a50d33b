"""The race of connections by itself, with attempts that end when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cede.net import happy_eyeballs


class FakeSocket:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Attempts:
    """Stands in for `connect_one`: each attempt waits for its future."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[Any] = []
        self.outcomes: dict[Any, asyncio.Future[Any]] = {}
        monkeypatch.setattr(happy_eyeballs, "connect_one", self.attempt)

    def of(self, info: Any) -> asyncio.Future[Any]:
        return self.outcomes.setdefault(info, asyncio.get_running_loop().create_future())

    async def attempt(self, loop: Any, info: Any, local_infos: Any) -> Any:
        self.begun.append(info)
        outcome = self.of(info)
        try:
            return await outcome
        except asyncio.CancelledError:
            if outcome.done() and not outcome.cancelled():
                outcome.result().close()  # cancelled in the turn in which it connected: the attempt closes it, as the real one does
            raise


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_race_failure_starts_the_next_at_once(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        attempts = Attempts(monkeypatch)
        racing = asyncio.ensure_future(happy_eyeballs.race(asyncio.get_running_loop(), ["a", "b", "c"], None, 1000))  # type: ignore[list-item]
        await settle()
        assert attempts.begun == ["a"]
        attempts.of("a").set_result(OSError("a"))
        await settle()
        assert attempts.begun == ["a", "b"]
        attempts.of("b").set_result(sock := FakeSocket())
        assert await racing is sock
        assert attempts.begun == ["a", "b"]
        assert not sock.closed

    run(main)


def test_race_delay_starts_the_next(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        attempts = Attempts(monkeypatch)
        racing = asyncio.ensure_future(happy_eyeballs.race(asyncio.get_running_loop(), ["a", "b"], None, 0.001))  # type: ignore[list-item]
        while len(attempts.begun) < 2:
            await asyncio.sleep(0)
        attempts.of("a").set_result(sock := FakeSocket())
        assert await racing is sock
        assert attempts.of("b").cancelled()

    run(main)


def test_race_two_winners_in_one_turn(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        attempts = Attempts(monkeypatch)
        racing = asyncio.ensure_future(happy_eyeballs.race(asyncio.get_running_loop(), ["a", "b"], None, 0))  # type: ignore[list-item]
        while len(attempts.begun) < 2:
            await asyncio.sleep(0)
        attempts.of("a").set_result(one := FakeSocket())
        attempts.of("b").set_result(other := FakeSocket())
        assert await racing is one
        assert other.closed
        assert not one.closed

    run(main)


@pytest.mark.parametrize("turns", range(6))
def test_race_cancelled_about_when_it_is_won(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, turns: int) -> None:
    async def main() -> None:
        attempts = Attempts(monkeypatch)
        racing = asyncio.ensure_future(happy_eyeballs.race(asyncio.get_running_loop(), ["a", "b"], None, 0))  # type: ignore[list-item]
        while len(attempts.begun) < 2:
            await asyncio.sleep(0)
        attempts.of("a").set_result(sock := FakeSocket())
        for _ in range(turns):
            await asyncio.sleep(0)
        racing.cancel()
        try:
            assert await racing is sock
        except asyncio.CancelledError:
            await settle()
            assert sock.closed
        else:
            assert not sock.closed
        assert len(asyncio.all_tasks()) == 1, "no attempt may be left behind"

    run(main)


def test_race_an_error_that_is_no_oserror_comes_out(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        attempts = Attempts(monkeypatch)
        racing = asyncio.ensure_future(happy_eyeballs.race(asyncio.get_running_loop(), ["a", "b"], None, 0))  # type: ignore[list-item]
        while len(attempts.begun) < 2:
            await asyncio.sleep(0)
        attempts.of("a").set_exception(TypeError("bad address"))
        with pytest.raises(TypeError, match="bad address"):
            await racing
        assert attempts.of("b").cancelled()

    run(main)
