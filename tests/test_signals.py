"""Signals: handlers on the loop, Ctrl-C at each moment, and a sleep that no signal can miss."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest

import cede.core.kernel
from cede.loop.choice import driver_names

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def is_cede(loop: asyncio.AbstractEventLoop) -> bool:
    return "cede" in type(loop).__module__


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


# -- Ctrl-C, each in a process of its own


@pytest.fixture(params=driver_names())
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run_script(script: str, driver: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"CEDE_DRIVER": driver},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


INTERRUPT_SOON = """
import asyncio, os, signal, subprocess, sys, threading, time
import cede

def interrupt_when(ready):
    # From another process, so that no thread of ours is awake at the time.
    code = f"import os, signal, sys; sys.stdin.read(); os.kill({os.getpid()}, signal.SIGINT)"
    killer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    ready(killer.stdin.close)
    return killer
"""


def test_ctrl_c_while_idle_cancels_the_main_task(driver: str) -> None:
    """uvloop 94, uvloop 295, uvloop 296, uvloop 335, uvloop 270: Ctrl-C at each moment, and the wake-up descriptor given back."""
    status, out, err = run_script(
        INTERRUPT_SOON
        + """
async def main():
    loop = asyncio.get_running_loop()
    killer = interrupt_when(loop.call_soon)
    try:
        await loop.create_future()
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise
    finally:
        killer.wait()
try:
    cede.run(main())
except KeyboardInterrupt:
    print("interrupted")
""",
        driver,
    )
    assert (status, out, err) == (0, "cancelled\ninterrupted\n", "")


def test_ctrl_c_while_idle_in_run_forever(driver: str) -> None:
    status, out, err = run_script(
        INTERRUPT_SOON
        + """
loop = cede.new_event_loop()
killer = interrupt_when(loop.call_soon)
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted", loop.is_running())
killer.wait()
print(loop.run_until_complete(asyncio.sleep(0, "usable")))
loop.close()
""",
        driver,
    )
    assert (status, out, err) == (0, "interrupted False\nusable\n", "")


@pytest.mark.parametrize("where", ["callback", "task", "c-call"])
def test_ctrl_c_in_running_code(driver: str, where: str) -> None:
    """uvloop 94: Ctrl-C at each moment, and the wake-up descriptor given back."""
    status, out, err = run_script(
        INTERRUPT_SOON
        + f"""
where = {where!r}
loop = cede.new_event_loop()
def spin():
    killer.stdin.close()
    while True:
        pass
async def task():
    spin()
def c_call():
    killer.stdin.close()
    time.sleep(1000)
killer = interrupt_when(lambda close: None)
if where == "task":
    loop.create_task(task())
else:
    loop.call_soon(spin if where == "callback" else c_call)
left = []
loop.call_soon(left.append, "ran later")
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("interrupted", left)
killer.wait()
loop.run_until_complete(asyncio.sleep(0))
print(left)
loop.close()
""",
        driver,
    )
    assert (status, out) == (0, "interrupted []\n['ran later']\n"), err


def test_ctrl_c_twice_ends_a_task_that_will_not(driver: str) -> None:
    status, out, err = run_script(
        """
import asyncio, os, signal, sys
import cede

async def main():
    for _ in range(2):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("first", flush=True)
try:
    cede.run(main())
except KeyboardInterrupt:
    print("second")
""",
        driver,
    )
    assert (status, out) == (0, "first\nsecond\n"), err


def test_interrupted_waits_go_on(driver: str) -> None:
    """EINTR: a signal whose handler is not the loop's ends no sleep early, and no timer is early."""
    status, out, err = run_script(
        """
import asyncio, signal, time
import cede

hits = []
signal.signal(signal.SIGALRM, lambda *args: hits.append(1))

async def main():
    loop = asyncio.get_running_loop()
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    began = loop.time()
    await asyncio.sleep(0.05)
    assert loop.time() - began >= 0.05
    signal.setitimer(signal.ITIMER_REAL, 0)
    return len(hits) > 2
print(cede.run(main()))
""",
        driver,
    )
    assert (status, out, err) == (0, "True\n", "")


def test_a_handler_that_raises_ends_the_wait(driver: str) -> None:
    status, out, err = run_script(
        """
import asyncio, signal
import cede

class Alarm(Exception):
    pass
def alarm(*args):
    raise KeyboardInterrupt("alarm")
signal.signal(signal.SIGALRM, alarm)
loop = cede.new_event_loop()
loop.call_soon(signal.setitimer, signal.ITIMER_REAL, 0.005)
try:
    loop.run_forever()
except KeyboardInterrupt as error:
    print(error)
loop.close()
""",
        driver,
    )
    assert (status, out, err) == (0, "alarm\n", "")


def test_signals_just_before_the_sleep_are_not_missed(driver: str) -> None:
    """Thousands of signals at random moments: each is answered by the loop before the next is sent."""
    status, out, err = run_script(
        """
import asyncio, os, signal, threading
import cede

COUNT = 2000
async def main():
    loop = asyncio.get_running_loop()
    answered = threading.Semaphore(0)
    loop.add_signal_handler(signal.SIGUSR1, answered.release)
    def send():
        for number in range(COUNT):
            os.kill(os.getpid(), signal.SIGUSR1)
            if not answered.acquire(timeout=20):
                return f"signal {number} was missed"
        return "all answered"
    return await loop.run_in_executor(None, send)
print(cede.run(main()))
""",
        driver,
    )
    assert (status, out, err) == (0, "all answered\n", "")


def test_none_of_ten_thousand_sigterms_is_lost(driver: str) -> None:
    """cpython#74224: sent by another process, while a thread fills the wake-up descriptor; each is answered before the next is sent."""
    status, out, err = run_script(
        """
import asyncio, os, signal, subprocess, sys, threading
import cede

COUNT = 10_000
SENDER = (
    "import os, signal, sys\\n"
    f"for number in range({COUNT}):\\n"
    f"    os.kill({os.getpid()}, signal.SIGTERM)\\n"
    "    if not os.read(0, 1): break\\n"
)
async def main():
    loop = asyncio.get_running_loop()
    received = 0
    stop = threading.Event()
    def arrived():
        nonlocal received
        received += 1
        if sender.poll() is None:
            os.write(sender.stdin.fileno(), b"x")
    def wake():
        while not stop.wait(0.0005):
            for _ in range(50):
                loop.call_soon_threadsafe(int)
    loop.add_signal_handler(signal.SIGTERM, arrived)
    sender = subprocess.Popen([sys.executable, "-I", "-S", "-c", SENDER], stdin=subprocess.PIPE)
    waker = threading.Thread(target=wake)
    waker.start()
    try:
        await asyncio.wait_for(loop.run_in_executor(None, sender.wait), 50)
    finally:
        stop.set()
        waker.join()
        sender.stdin.close()
    return received
print(cede.run(main()))
""",
        driver,
    )
    assert (status, out, err) == (0, "10000\n", "")


@pytest.mark.compiled
@pytest.mark.skipif(
    cede.core.kernel.__file__.endswith(".py"), reason="uncompiled, an interrupt can hit the kernel's own code, as asyncio's"
)
def test_the_stack_of_a_late_interrupt_is_whole(driver: str) -> None:
    """An interrupt never leaves the interpreter in a state where the next run fails."""
    status, out, err = run_script(
        """
import asyncio, signal, sys
import cede

signal.signal(signal.SIGALRM, signal.default_int_handler)
for attempt in range(20):
    loop = cede.new_event_loop()
    async def churn():
        signal.setitimer(signal.ITIMER_REAL, 0.0002 * (attempt % 5 + 1))
        while True:
            await asyncio.sleep(0)
    try:
        loop.run_until_complete(churn())
    except KeyboardInterrupt:
        pass
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    async def collect():
        await asyncio.gather(*tasks, return_exceptions=True)
    loop.run_until_complete(collect())
    loop.close()
print("whole")
""",
        driver,
    )
    assert (status, out, err) == (0, "whole\n", "")
