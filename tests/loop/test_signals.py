"""Signals: handlers on the loop, and what it gives back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.loops import is_cede

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def raise_signal(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_handler_runs_on_the_loop(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, arrived.set_result, "hello")
        raise_signal(signal.SIGUSR1)
        assert await arrived == "hello"
        assert loop.remove_signal_handler(signal.SIGUSR1) is True
        assert loop.remove_signal_handler(signal.SIGUSR1) is False
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL

    run(main)


def test_a_signal_from_outside_wakes_a_sleeping_loop(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, arrived.set_result, None)
        killer = subprocess.Popen([sys.executable, "-c", f"import os, signal; os.kill({os.getpid()}, signal.SIGUSR1)"])
        await arrived
        killer.wait()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


def test_a_signal_delivered_to_another_thread_wakes_the_loop(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        arrived = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, arrived.set_result, None)

        def kill_myself() -> None:
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

        thread = threading.Thread(target=kill_myself)
        loop.call_soon(thread.start)
        await arrived
        thread.join()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


def test_the_next_handler_replaces_the_one_before(run: Callable[..., Any]) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        done = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, seen.append, "first")
        loop.add_signal_handler(signal.SIGUSR1, lambda: (seen.append("second"), done.set_result(None)))
        raise_signal(signal.SIGUSR1)
        await done
        loop.remove_signal_handler(signal.SIGUSR1)
        return seen

    assert run(main) == ["second"]


def test_a_handler_that_raises_is_reported(run: Callable[..., Any]) -> None:
    def boom() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reported = loop.create_future()
        loop.set_exception_handler(lambda loop, context: reported.set_result(context["exception"]))
        loop.add_signal_handler(signal.SIGUSR1, boom)
        raise_signal(signal.SIGUSR1)
        assert isinstance(await reported, ZeroDivisionError)
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


def test_a_burst_of_different_signals(run: Callable[..., Any]) -> None:
    numbers = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio loses some when its wake-up descriptor is full")
        waiting = set(numbers)
        done = loop.create_future()

        def arrive(number: signal.Signals) -> None:
            waiting.discard(number)
            if not waiting and not done.done():
                done.set_result(None)

        for number in numbers:
            loop.add_signal_handler(number, arrive, number)
        for _ in range(200):
            for number in numbers:
                raise_signal(number)
        await done
        for number in numbers:
            loop.remove_signal_handler(number)

    run(main)


def test_wakeups_do_not_lose_signals(run: Callable[..., Any]) -> None:
    """However full the wake-up descriptor is of other threads' wake-ups, the signal arrives (cpython 74224)."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if not is_cede(loop):
            pytest.skip("asyncio loses it when its wake-up descriptor is full")
        arrived = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, arrived.set_result, None)
        for _ in range(10_000):
            loop.call_soon_threadsafe(int)
        raise_signal(signal.SIGUSR1)
        await arrived
        loop.remove_signal_handler(signal.SIGUSR1)

    run(main)


def test_bad_arguments(loop: asyncio.AbstractEventLoop) -> None:
    async def coroutine_function() -> None:
        pass

    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.add_signal_handler(signal.SIGUSR1, coroutine_function)
    with pytest.raises(TypeError, match="sig must be an int"):
        loop.add_signal_handler("SIGUSR1", print)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="invalid signal number"):
        loop.add_signal_handler(1000, print)
    with pytest.raises(RuntimeError, match="cannot be caught"):
        loop.add_signal_handler(signal.SIGKILL, print)
    with pytest.raises(TypeError, match="sig must be an int"):
        loop.remove_signal_handler("SIGUSR1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="invalid signal number"):
        loop.remove_signal_handler(1000)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_outside_the_main_thread(loop: asyncio.AbstractEventLoop) -> None:
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            loop.add_signal_handler(signal.SIGUSR1, print)
        except BaseException as error:
            errors.append(error)
        # running there needs no signals
        loop.run_until_complete(asyncio.sleep(0))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert [type(error) for error in errors] == [RuntimeError]
    assert "main thread" in str(errors[0])


def test_close_gives_signals_back(loop: asyncio.AbstractEventLoop) -> None:
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.add_signal_handler(signal.SIGINT, print)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_between_two_runs_is_kept(loop: asyncio.AbstractEventLoop) -> None:
    arrived = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, arrived.set_result, "kept")
    loop.run_until_complete(asyncio.sleep(0))
    raise_signal(signal.SIGUSR1)
    assert loop.run_until_complete(arrived) == "kept"


def test_the_wakeup_descriptor_is_given_back(loop: asyncio.AbstractEventLoop) -> None:
    """uvloop 94: Ctrl-C at each moment, and the wake-up descriptor given back."""
    if not is_cede(loop):
        pytest.skip("asyncio overwrites it, and leaves it at -1")
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    before = signal.set_wakeup_fd(mouth)
    try:

        async def main() -> int:
            loop.add_signal_handler(signal.SIGUSR1, print)
            loop.remove_signal_handler(signal.SIGUSR1)
            current = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(current)
            return current

        assert loop.run_until_complete(main()) not in (-1, mouth)
        assert signal.set_wakeup_fd(mouth) == mouth
        # Even where the outer one was closed meanwhile, the end of the run says no more than it must.
        loop.call_soon(os.close, mouth)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(before)
        os.close(ear)


def test_a_wakeup_descriptor_that_somebody_replaced_is_left_to_them_with_a_warning(loop: asyncio.AbstractEventLoop) -> None:
    if not is_cede(loop):
        pytest.skip("asyncio does not look")
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    try:
        loop.call_soon(signal.set_wakeup_fd, mouth)
        loop.call_soon(loop.stop)
        with pytest.warns(RuntimeWarning, match="was replaced while the event loop ran"):
            loop.run_forever()
        assert signal.set_wakeup_fd(-1) == mouth
    finally:
        signal.set_wakeup_fd(-1)
        os.close(ear)
        os.close(mouth)


def test_sigchld_stays_the_programs(run: Callable[..., Any]) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, frame: seen.append(number))
    try:

        async def main() -> None:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
            assert await process.wait() == 0

        run(main)
        assert seen
    finally:
        signal.signal(signal.SIGCHLD, before)
