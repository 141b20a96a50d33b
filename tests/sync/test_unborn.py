"""Objects that nobody initialised, and operations that nobody was given: an exception, never a crash."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import cede

SCRIPT = """
import asyncio, cede, warnings
warnings.simplefilter("ignore")

KINDS = [cede.Lock, cede.Event, cede.Condition, cede.Semaphore, cede.BoundedSemaphore, cede.Barrier, cede.Queue, cede.PriorityQueue,
         cede.LifoQueue, cede.Sender, cede.Receiver, cede.ThreadChannel]
ARGUMENTS = ((), (1,), (None,), (None, None, None))

def attempt(call):
    try:
        return call()
    except Exception:
        return None

async def main():
    tried = 0
    for kind in KINDS:
        class Forgetful(kind):
            def __init__(self):
                pass
        for make in (lambda: kind.__new__(kind), Forgetful):
            for name in dir(kind):
                if name in ("__class__", "__init_subclass__", "__subclasshook__", "__new__"):
                    continue
                for arguments in ARGUMENTS:
                    thing = make()
                    result = attempt(lambda: getattr(thing, name)(*arguments))
                    tried += 1
                    if asyncio.iscoroutine(result):
                        try:
                            await asyncio.wait_for(result, 0.0005)
                        except (Exception, asyncio.CancelledError):
                            pass
                        attempt(result.close)
    made = [cede.Lock().acquire(), cede.Event().wait(), cede.Semaphore().acquire(), cede.Barrier(1).wait(), cede.Barrier(1).reset(),
            cede.Queue().get(), cede.Queue().put(1), cede.Queue().join(), cede.channel(1)[0].send(1), cede.channel(1)[1].receive(),
            cede.channel(1)[1].receive_many(), cede.channel(1)[1].__anext__(),
            cede.thread_channel(1).send(1), cede.thread_channel(1).receive(), cede.thread_channel(1).__anext__()]
    condition = cede.Condition()
    made.append(condition.wait())
    for operation in made:
        kind = type(operation)
        if kind.__name__ == "coroutine":
            continue
        for use in (lambda o: o.send(None), lambda o: o.throw(KeyError()), lambda o: o.close(), repr, lambda o: next(o)):
            attempt(lambda: use(kind()))
            tried += 1
        lines = getattr(condition, "_waiters")
        for use in (lines.append, lines.remove, lines.discard):
            attempt(lambda: use(None))
        attempt(lines.popleft)
    print("alive", tried > 500)

cede.run(main())
"""


def test_nothing_crashes() -> None:
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", SCRIPT], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "alive True\n"), done.stderr[-3000:]


def test_an_uninitialised_queue_says_so() -> None:
    async def main() -> None:
        try:
            await cede.Queue.__new__(cede.Queue).get()
        except AttributeError:
            return
        raise AssertionError("it did not raise")

    asyncio.run(main())
