"""What the workers are given to do. A journal is a file to which each job appends a line when it begins and one when it is over."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import sys
import time
from typing import Any

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")
handle: contextvars.ContextVar[object] = contextvars.ContextVar("handle", default=None)


def note(journal: str, line: str) -> None:
    """One write of one line: whole, whoever else writes and whoever is killed afterwards."""
    number = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(number, f"{line}\n".encode())
    finally:
        os.close(number)


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def triple(number: int) -> int:
    return 3 * number


def where(_: object = None) -> tuple[int, int]:
    import threading

    return os.getpid(), threading.get_ident()


async def on_the_loop() -> tuple[bool, int]:
    import threading

    return asyncio.get_running_loop().is_running(), threading.get_ident()


def journaled(number: int, journal: str, victim: int) -> int:
    """The victim kills its worker once its own beginning is written down."""
    note(journal, f"begin {number} {os.getpid()}")
    if number == victim and not os.path.exists(f"{journal}.killed"):
        note(f"{journal}.killed", str(number))
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.005)
    note(journal, f"end {number} {os.getpid()}")
    return number


def kill_worker() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def wait_for_ever(journal: str) -> None:
    note(journal, "begun")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        note(journal, "cancelled")
        raise
    finally:
        await asyncio.sleep(0.01)
        note(journal, "cleaned up")


def block_until(journal: str, stop: str) -> None:
    note(journal, "begun")
    while not os.path.exists(stop):
        time.sleep(0.005)
    note(journal, "ended")


def fail(number: int) -> None:
    raise LookupError(f"job {number}")


async def fail_on_loop(number: int) -> None:
    raise ArithmeticError(f"job {number}")


def tenant_here() -> str:
    return tenant.get()


async def tenant_on_loop() -> str:
    return tenant.get()


def handle_here() -> object:
    return handle.get()


def leave(code: Any) -> None:
    sys.exit(code)


async def leave_on_loop(code: Any) -> None:
    sys.exit(code)


def be_interrupted() -> None:
    raise KeyboardInterrupt


async def needs_two(one: object, other: object) -> None:
    pass


def refuse() -> None:
    raise LookupError("not to be had")


class Unloadable:
    """Can be sent, and not be received."""

    def __reduce__(self) -> Any:
        return (refuse, ())


class LoadableThere:
    """Can be made again in the process that made it, and nowhere else."""

    def __reduce__(self) -> Any:
        return (only_in, (os.getpid(),))


def only_in(pid: int) -> LoadableThere:
    if os.getpid() != pid:
        raise LookupError("not to be had here")
    return LoadableThere()


def give_what_stays_there() -> LoadableThere:
    return LoadableThere()


async def own_pid_and_wait(journal: str, cleaning: float) -> None:
    note(journal, str(os.getpid()))
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(cleaning)
        note(journal, "cleaned up")
