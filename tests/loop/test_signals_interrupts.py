"""Ctrl-C at each moment, and a sleep that no signal can miss: each in a process of its own."""

from __future__ import annotations

import sys

import pytest

import cede.core.scheduler.kernel
from cede.loop.config import driver_names
from tests.support.scripts import run_script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(params=driver_names())
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
        CEDE_DRIVER=driver,
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
        CEDE_DRIVER=driver,
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
        CEDE_DRIVER=driver,
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
        CEDE_DRIVER=driver,
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
    while len(hits) < 3:
        began = loop.time()
        await asyncio.sleep(0.02)
        assert loop.time() - began >= 0.02
    signal.setitimer(signal.ITIMER_REAL, 0)
    return True
print(cede.run(main()))
""",
        CEDE_DRIVER=driver,
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
        CEDE_DRIVER=driver,
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
        CEDE_DRIVER=driver,
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
        CEDE_DRIVER=driver,
    )
    assert (status, out, err) == (0, "10000\n", "")


@pytest.mark.compiled
@pytest.mark.skipif(
    cede.core.scheduler.kernel.__file__.endswith(".py"), reason="uncompiled, an interrupt can hit the kernel's own code, as asyncio's"
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
        CEDE_DRIVER=driver,
    )
    assert (status, out, err) == (0, "whole\n", "")
