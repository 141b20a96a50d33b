"""What owns or drives one of its own kind, 200,000 times: that ends in a RecursionError, or well, never in the end of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from cede.core.scheduler.kernel import COMPILED

# Uncompiled, most of these are coroutines of the interpreter's, which itself does not outlive a chain of 200,000: on asyncio neither.
LINKS = 200_000 if COMPILED else 20_000

# Each makes a link that holds the one before; the interpreter's own objects between two links would bound the chain by themselves.
AWAITABLES = {
    "wait_for": "cede.wait_for(chain, 1000)",
    "wait_for without a limit": "cede.wait_for(chain, None)",
    "sleep": "cede.sleep(0, chain)",
    "put": "queue.put(chain)",
    "channel": "sender.send(chain)",
}
OBJECTS = {
    "result": "done(chain)",
    "handle": "loop.call_soon(chain.cancel)",
    "timer": "loop.call_later(1000, chain.cancel)",
    "gather": "cede.gather(chain)",
    "shield": "asyncio.shield(chain)",
    "callback": "told(chain)",
    "queue": "holds(cede.Queue(), chain)",
    "queue's method": "holds(cede.Queue(), chain.cancel if first is chain else chain.get)",
    "channel": "sends(chain)",
    "attribute of a group": "has(cede.TaskGroup(), chain)",
    "attribute of a scope": "has(cede.CancelScope(), chain)",
    "timeout": "cede.Timeout(chain)",
}

HEAD = """
import asyncio, gc, sys, warnings
import cede
warnings.simplefilter("ignore")

def done(value):
    future = loop.create_future()
    future.set_result(value)
    return future

def told(other):
    future = loop.create_future()
    future.add_done_callback(other.cancel)
    return future

def holds(queue, item):
    queue.put_nowait(item)
    return queue

def sends(item):
    sender, receiver = cede.channel(1)
    sender.send_nowait(item)
    return receiver

def has(thing, attribute):
    thing.attribute = attribute
    return thing

async def main():
    global loop, queue, sender, first
    loop = asyncio.get_running_loop()
    queue = cede.Queue()
    sender, receiver = cede.channel(10)
    first = chain = {first}
    for _ in range({links}):
        chain = {link}
    first = None
    {then}

cede.run(main())
print("whole")
"""


def run_chain(first: str, link: str, then: str, links: int = LINKS) -> tuple[int, str]:
    script = HEAD.format(first=first, link=link, links=links, then=textwrap.indent(textwrap.dedent(then).strip(), "    ").strip())
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script], env=dict(os.environ), capture_output=True, text=True, timeout=100
    )
    return done.returncode, done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize("link", AWAITABLES.values(), ids=AWAITABLES)
def test_a_chain_of_awaitables_is_dropped(link: str) -> None:
    assert run_chain("cede.sleep(0)", link, "del chain") == (0, "whole\n")


@pytest.mark.parametrize("link", OBJECTS.values(), ids=OBJECTS)
def test_a_chain_of_futures_and_handles_is_dropped(link: str) -> None:
    assert run_chain("loop.create_future()", link, "del chain") == (0, "whole\n")


@pytest.mark.parametrize("link", [AWAITABLES["wait_for"], AWAITABLES["wait_for without a limit"]], ids=["limit", "no limit"])
@pytest.mark.parametrize("what", ["await chain", "await asyncio.create_task(chain)", "cede.sleep(0) and chain.send(None)"])
def test_a_chain_that_is_driven_ends_in_a_recursion_error(link: str, what: str) -> None:
    then = f"""
    try:
        {what}
    except RecursionError:
        pass
    else:
        raise AssertionError("no RecursionError")
    del chain
    await asyncio.sleep(0)
    """
    assert run_chain("cede.sleep(0)", link, then) == (0, "whole\n")


def test_a_chain_that_has_begun_is_looked_at_cancelled_and_closed() -> None:
    """What asks the innermost link goes down without a call a link; a chain that can be driven can be thrown into and closed."""
    then = """
    task = asyncio.create_task(chain)
    await asyncio.sleep(0)
    chain.cr_await, chain.cr_frame, chain.cr_running
    try:
        repr(chain)
    except RecursionError:
        pass
    task.get_stack()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    try:
        chain.close()
    except RecursionError:
        pass
    """
    # As deep as the interpreter lets it be driven here.
    deep = "sys.getrecursionlimit() // 3"
    assert run_chain("cede.sleep(1000)", AWAITABLES["wait_for"], then, deep) == (0, "whole\n")  # type: ignore[arg-type]


def test_a_wait_that_is_driven_by_what_it_drives() -> None:
    """As a coroutine: it says that it is executing already, whatever is done to it from inside."""
    script = """
    import asyncio, gc
    import cede
    heard = []
    async def inner():
        for call in (lambda: outer.send(None), lambda: outer.send(1), lambda: outer.throw(KeyError()), outer.close):
            try:
                call()
            except Exception as error:
                heard.append(type(error).__name__)
            gc.collect()
        await asyncio.sleep(0)
        return 7
    async def main():
        global outer
        outer = cede.wait_for(inner(), 5)
        assert await outer == 7
        assert heard == ["ValueError"] * 4, heard
    cede.run(main())
    print("whole")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")
