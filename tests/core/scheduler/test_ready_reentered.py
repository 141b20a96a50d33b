"""What dies while the ready ring, the timers or the spare handles change may queue, cancel or run something: nothing is lost.

Each program in a process of its own, since without the mends it ends by a signal.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run_script(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout


WAITERS = """
import asyncio, gc
import cede

class Dies:
    def __init__(self, then):
        self.then = then
    def __del__(self):
        self.then()

def wake(future):
    if not future.done():
        future.set_result(None)
"""


@pytest.mark.parametrize("many", [10, 63, 64, 65, 400])
def test_a_finalizer_wakes_tasks_while_the_queue_is_dropped(many: int) -> None:
    run_script(
        WAITERS
        + f"""
loop = cede.new_event_loop()
async def waits(future):
    await future
futures = [loop.create_future() for _ in range({many})]
tasks = [loop.create_task(waits(future)) for future in futures]
loop.call_soon(loop.stop)
loop.run_forever()
for future in futures:
    loop.call_soon(print, Dies(lambda future=future: wake(future)))
    loop.call_later(1000, print, Dies(lambda future=future: wake(future)))
loop.close()
for task in tasks:
    task._log_destroy_pending = False
junk = [bytes(100 + number) for number in range(10_000)]
"""
    )


def test_a_finalizer_queues_while_the_queue_grows() -> None:
    """The collector may run where the larger queue is made."""
    out = run_script(
        WAITERS
        + """
loop = cede.new_event_loop()
ran = []
gc.disable()
def queue(first):
    for number in range(first, first + 100):
        loop.call_soon(ran.append, number)
given = 0
for length in range(50, 70):
    gc.set_threshold(100_000)
    gc.enable()
    end = Dies(lambda first=given: queue(first))
    end.me = end
    del end
    gc.set_threshold(1)  # the next list that is made collects
    for number in range(given + 100, given + 100 + length):
        loop.call_soon(ran.append, number)
    gc.set_threshold(100_000)
    gc.collect()
    given += 100 + length
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert sorted(ran) == list(range(given)), (length, len(ran), given)
loop.close()
print("all ran")
"""
    )
    assert out == "all ran\n"
