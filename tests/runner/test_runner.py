"""run, Runner and new_event_loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

import cede


async def loop_class() -> type:
    return type(asyncio.get_running_loop())


def test_run_returns_the_result_on_a_cede_loop() -> None:
    assert cede.run(loop_class()) is cede.EventLoop


def test_run_closes_everything() -> None:
    cancelled: list[str] = []

    async def background() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append("background")

    async def main() -> asyncio.AbstractEventLoop:
        asyncio.get_running_loop().create_task(background())
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    loop = cede.run(main())
    assert loop.is_closed()
    assert cancelled == ["background"]


@pytest.mark.parametrize("junk", [None, 5, loop_class])
def test_run_needs_a_coroutine(junk: Any) -> None:
    if sys.version_info >= (3, 14):
        with pytest.raises((TypeError, ValueError)):
            cede.run(junk)
    else:
        with pytest.raises(ValueError, match="a coroutine was expected"):
            cede.run(junk)


def test_run_inside_run() -> None:
    async def main() -> None:
        coroutine = loop_class()
        with pytest.raises(RuntimeError, match=r"cede\.run\(\) cannot be called from a running event loop"):
            cede.run(coroutine)
        with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
            cede.Runner().run(coroutine)
        coroutine.close()

    cede.run(main())


def test_run_takes_debug_and_loop_factory() -> None:
    async def main() -> tuple[type, bool]:
        loop = asyncio.get_running_loop()
        return type(loop), loop.get_debug()

    assert cede.run(main(), debug=True) == (cede.EventLoop, True)
    assert cede.run(main(), debug=False, loop_factory=asyncio.SelectorEventLoop) == (asyncio.SelectorEventLoop, False)


def test_errors_and_exits_come_out() -> None:
    async def fail(error: BaseException) -> None:
        raise error

    for kind in (ZeroDivisionError, KeyboardInterrupt, SystemExit, asyncio.CancelledError):
        with pytest.raises(kind):
            cede.run(fail(kind()))


def test_a_runner_runs_many_times_on_one_loop() -> None:
    import contextvars

    number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)

    async def count() -> tuple[int, asyncio.AbstractEventLoop]:
        number.set(number.get() + 1)
        return number.get(), asyncio.get_running_loop()

    with cede.Runner() as runner:
        assert isinstance(runner, asyncio.Runner)
        results = [runner.run(count()) for _ in range(3)]
        assert runner.get_loop() is results[0][1]
    assert [result[0] for result in results] == [1, 2, 3]
    assert len({result[1] for result in results}) == 1
    with pytest.raises(RuntimeError, match="closed"):
        runner.get_loop()


def test_asyncio_runs_on_our_factory() -> None:
    with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:
        assert runner.run(loop_class()) is cede.EventLoop
    if sys.version_info >= (3, 12):
        assert asyncio.run(loop_class(), loop_factory=cede.EventLoop) is cede.EventLoop


def test_the_driver_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    from cede.loop.config import driver_names

    for name in driver_names():
        loop = cede.new_event_loop(driver=name)
        assert type(loop.driver).__name__.lower().startswith(name)
        loop.close()
        monkeypatch.setenv("CEDE_DRIVER", name)
        loop = cede.new_event_loop()
        assert type(loop.driver).__name__.lower().startswith(name)
        loop.close()
        # what the program says wins over the environment
        loop = cede.new_event_loop(driver="selector")
        assert type(loop.driver).__name__ == "SelectorDriver"
        loop.close()
        monkeypatch.delenv("CEDE_DRIVER")
    default = cede.EventLoop()
    assert type(default.driver).__name__.lower().startswith(driver_names()[0])
    default.close()


def test_unknown_drivers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="driver must be one of epoll, selector, got 'kqueue'"):
        cede.new_event_loop(driver="kqueue")
    monkeypatch.setenv("CEDE_DRIVER", "nonsense")
    with pytest.raises(ValueError, match="CEDE_DRIVER must be one of"):
        cede.new_event_loop()


def test_the_public_names_are_there() -> None:
    for name in cede.__all__:
        assert hasattr(cede, name), name


def test_importing_cede_is_silent_and_leaves_asyncio_alone() -> None:
    code = (
        "import asyncio, warnings; before = dict(vars(asyncio)); warnings.simplefilter('error')\n"
        "import cede\n"
        "assert {name: vars(asyncio)[name] for name in before} == before\n"
    )
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
