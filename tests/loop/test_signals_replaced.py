"""Signal handlers that a program puts in place of the loop's, behind its back: both its handler and the loop's callback run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


class Told:
    """What ran, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.changed = asyncio.Event()

    def note(self, what: str) -> None:
        self.log.append(what)
        self.changed.set()

    async def wait(self, count: int) -> list[str]:
        """Until so much was said; then some turns more, in which nothing may come."""
        async with asyncio.timeout(30):
            while len(self.log) < count:
                self.changed.clear()
                await self.changed.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        return self.log


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_both_run(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told = Told()
        loop.add_signal_handler(signal.SIGUSR1, told.note, "callback")
        ours = signal.signal(signal.SIGUSR1, lambda *_: told.note("handler"))
        kill_myself()
        assert await told.wait(2) == ["handler", "callback"]
        kill_myself()
        assert await told.wait(4) == ["handler", "callback"] * 2
        # What was there before is put back, as programs do that borrow a signal for a while.
        signal.signal(signal.SIGUSR1, ours)
        kill_myself()
        assert await told.wait(5) == ["handler", "callback"] * 2 + ["callback"]
        assert loop.remove_signal_handler(signal.SIGUSR1) is True
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL

    run(main)


def test_both_run_where_the_loop_sleeps(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told = Told()
        loop.add_signal_handler(signal.SIGUSR1, told.note, "callback")
        signal.signal(signal.SIGUSR1, lambda *_: told.log.append("handler"))
        killer = subprocess.Popen([sys.executable, "-c", f"import os, signal; os.kill({os.getpid()}, signal.SIGUSR1)"])
        assert await told.wait(2) == ["handler", "callback"]
        killer.wait()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


def test_each_signal_is_told_once(run: Callable[..., Any]) -> None:
    """One that our handler had is not told again when that is replaced."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        told = Told()
        loop.add_signal_handler(signal.SIGUSR1, told.note, "callback")
        kill_myself()  # heard by our handler at once, while its byte waits to be read
        signal.signal(signal.SIGUSR1, lambda *_: told.note("handler"))
        assert await told.wait(1) == ["callback"]
        kill_myself()
        kill_myself()
        assert sorted(await told.wait(5)) == ["callback"] * 3 + ["handler"] * 2
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


def test_a_handler_that_was_replaced_and_removed_says_nothing(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        told = Told()
        loop.add_signal_handler(signal.SIGUSR1, told.note, "callback")
        loop.remove_signal_handler(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, lambda *_: told.note("handler"))
        kill_myself()
        assert await told.wait(1) == ["handler"]

    run(main)


def test_a_signal_of_the_run_before_is_not_told_again(loop: asyncio.AbstractEventLoop) -> None:
    """The run ended before the byte was read."""
    log: list[str] = []

    def arrived() -> None:
        log.append("callback")
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, arrived)
    loop.call_soon(kill_myself)
    loop.run_forever()
    assert log == ["callback"]
    if "cede" in type(loop).__module__:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert log == ["callback"]
    loop.remove_signal_handler(signal.SIGUSR1)


def test_what_the_other_handler_raises_comes_out_of_the_run(loop: asyncio.AbstractEventLoop) -> None:
    """As Ctrl-C does; and the callback is not lost by it."""
    script = textwrap.dedent(
        """
        import asyncio, os, signal, sys
        import cede
        loop = asyncio.SelectorEventLoop() if sys.argv[1] == "asyncio" else cede.new_event_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: (print("callback"), loop.stop()))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        loop.call_soon(os.kill, os.getpid(), signal.SIGINT)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted")
            loop.run_forever()
        loop.close()
        """
    )
    kind = "cede" if "cede" in type(loop).__module__ else "asyncio"
    answer = subprocess.run([sys.executable, "-c", script, kind], capture_output=True, text=True, timeout=60, check=False)
    assert (answer.stdout, answer.stderr) == ("interrupted\ncallback\n", "")
