"""Plays a program in a child process, and says how it ended: a crash, a hang and a wrong answer are all told, and none ends the fuzzer."""

from __future__ import annotations

import ast
import faulthandler
import gc
import logging
import os
import resource
import select
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

from .programs import Program

LIMIT = 4 << 30  # bytes of memory, where the sanitizer does not need it all


@dataclass
class Verdict:
    """How a program ended. ``fault`` is None where all was well."""

    steps: int = 0
    fault: str | None = None
    details: str = ""
    faults: list[str] = field(default_factory=list)


def new_loop(name: str) -> tuple[Any, bool]:
    if name == "asyncio":
        import asyncio

        return asyncio.SelectorEventLoop(), False
    from cede.loop.config import make_driver
    from cede.loop.event_loop import EventLoop

    return EventLoop(make_driver(name)), True


def play(program: Program, loop_name: str, budget: int) -> tuple[int, list[str]]:
    """In this process, which is not to be used for anything else afterwards."""
    from .places import PLACES
    from .world import Script, World

    loop, mine = new_loop(loop_name)
    world = World(loop, budget, mine)
    places: list[Any] = []
    for index, (name, actions) in enumerate(program):
        script = Script(f"{name} {index}", [tuple(action) for action in actions])
        world.scripts.append(script)
        place = PLACES[name][0]
        places.append(lambda place=place, script=script: place(world, script))
    world.play(places)
    return world.steps, world.faults


def in_child(program: Program, loop_name: str, budget: int, seconds: float, sanitized: bool) -> Verdict:
    """Play `program` in a fork of this process, which has no other thread."""
    ear, mouth = os.pipe()
    with tempfile.TemporaryFile() as told:
        pid = os.fork()
        if pid == 0:
            try:
                os.close(ear)
                os.dup2(told.fileno(), 2)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                faulthandler.enable(all_threads=True)
                faulthandler.dump_traceback_later(seconds, exit=True)
                if not sanitized:
                    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
                logging.disable(logging.CRITICAL)
                warnings.simplefilter("ignore")
                answer = play(program, loop_name, budget)
                data = repr(answer).encode(errors="replace")
                os.write(mouth, data[: 60_000] if len(data) < 60_000 else repr((answer[0], ["too much to tell"])).encode())
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(3)
            finally:
                os._exit(0)
        os.close(mouth)
        heard, status = hear(ear, pid, seconds + 10)
        os.close(ear)
        told.seek(0)
        details = told.read().decode(errors="replace")[-8000:]
    if heard:
        steps, faults = ast.literal_eval(heard.decode(errors="replace"))
        if faults:
            return Verdict(steps, faults[0].splitlines()[0][:160], details, faults)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return Verdict(steps)
    if os.WIFSIGNALED(status):
        return Verdict(0, f"killed by {signal.Signals(os.WTERMSIG(status)).name}", details)
    if "Timeout (" in details:
        return Verdict(0, f"still at work after {seconds:g} seconds", details)
    return Verdict(0, f"exit status {os.waitstatus_to_exitcode(status)}", details)


def hear(ear: int, pid: int, seconds: float) -> tuple[bytes, int]:
    """What the child says, and its status."""
    heard = b""
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        if left <= 0:
            os.kill(pid, signal.SIGKILL)
        ready, _, _ = select.select([ear], [], [], max(0.1, left))
        if ready:
            piece = os.read(ear, 65536)
            if not piece:
                break
            heard += piece
    return heard, os.waitpid(pid, 0)[1]


def is_sanitized() -> bool:
    return "asan" in os.environ.get("LD_PRELOAD", "")


def warm_up() -> None:
    """Import what the programs need, and make the certificate, once for all children."""
    import cede
    from tests.support.certificates import client_context, server_context

    loop, _ = new_loop("selector")
    loop.close()
    cede.new_event_loop().close()
    server_context()
    client_context()
    gc.collect()
    gc.freeze()
    sys.setrecursionlimit(1000)
