"""A process that plays programs on one subject: it reads a line of JSON for each batch, and answers with a line.

A program is its seed, or written out. With a log behind it, in a list of the two, asyncio is asked for the log that is most like that one,
among those that it writes when the events of one look are told in another order: that order is the system's.

Its first line says that it is ready. One that ends before that has not been killed by a program.

usage: python -m tests.differential.worker SUBJECT DRIVER, where SUBJECT is asyncio, alone or names.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import logging
import os
import signal
import sys
import time
import warnings
from typing import Any

from . import subjects
from .clock import Clock, sleep_exactly
from .drawing import draw

READY = "ready"
# A program takes some milliseconds.
STUCK = 20
# In how many orders a program is tried. Few have to do with so many looks that find several events.
MOST_ORDERS = 500
LONGEST_SEARCH = 20.0  # seconds; a program that ran long is undecided then


class Stuck(BaseException):
    """A program that does not come to its end."""


class Player:
    """Plays programs on one subject."""

    def __init__(self, subject: str, driver: str) -> None:
        self.subject = subject
        self.driver = driver
        sleep_exactly()
        subjects.let_no_selector_sleep()
        if subject == "names":
            import cede

            cede.accelerate()
        else:
            subjects.order_the_groups_of_asyncio()
            subjects.have_conditions_of_asyncio_wake_the_notified()
            subjects.let_tls_of_asyncio_say_that_it_closes()

    def once(self, program: dict[str, Any]) -> list[str]:
        """The log of one run."""
        clock = Clock()
        if self.subject == "asyncio":
            return self.log_of(subjects.Oracle(clock), clock, program)
        return self.log_of(subjects.cede_loop(self.driver, clock), clock, program)

    def log_of(self, loop: Any, clock: Clock, program: dict[str, Any]) -> list[str]:
        from .world import World

        world = World(loop, clock, program)

        def stuck(*unused: Any) -> None:
            world.tell("stuck")
            world.over = True
            loop.stop()
            raise Stuck  # asyncio reports it where a callback raises it, and goes on

        signal.signal(signal.SIGALRM, stuck)
        if self.subject == "asyncio":
            loop.looks.position = lambda: len(world.log)
        signal.alarm(STUCK)
        try:
            return world.play()
        except Stuck:
            return world.log
        finally:
            signal.alarm(0)

    def most_like(self, program: dict[str, Any], wanted: list[str]) -> tuple[list[str], bool]:
        """asyncio's log that agrees with this one for longest, and whether all were tried that might agree for longer.

        Only what was told before two logs part can be the cause: of those looks, the last one's next order is tried.
        """
        orders: list[int] = []
        best: list[str] = []
        agreed = -1
        until = time.monotonic() + LONGEST_SEARCH
        for _ in range(MOST_ORDERS):
            if time.monotonic() > until:
                break
            clock = Clock()
            loop = subjects.Oracle(clock, orders)
            log = self.log_of(loop, clock, program)
            if log == wanted:
                return log, True
            parts = parting(log, wanted)
            if parts > agreed:
                agreed, best = parts, log
            orders.extend([0] * (len(loop.looks.met) - len(orders)))
            tried = [(at, many) for at, (many, position) in enumerate(loop.looks.met) if position <= parts]
            while tried and orders[tried[-1][0]] + 1 >= tried[-1][1]:
                tried.pop()
            if not tried:
                return best, True
            last = tried[-1][0]
            orders = [*orders[:last], orders[last] + 1]
        return best, False

    def answer(self, asked: Any) -> Any:
        """A log; or the one that is most like another."""
        if isinstance(asked, list):
            program, wanted = asked
            return self.most_like(program_of(program), wanted)
        return self.once(program_of(asked))


def parting(one: list[str], other: list[str]) -> int:
    """At which line two logs part."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return at
    return min(len(one), len(other))


def program_of(asked: Any) -> dict[str, Any]:
    return draw(asked) if isinstance(asked, int) else asked


def main() -> None:
    """Answer batches until the input ends."""
    subject, driver = sys.argv[1:]
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda unraisable: None  # coroutines of a program that was over before they were
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    player = Player(subject, driver)
    import tests.differential.connections
    import tests.differential.others
    import tests.differential.primitives
    import tests.differential.sockets
    import tests.differential.work  # noqa: F401

    gc.collect()
    gc.freeze()
    answers.write(json.dumps(READY) + "\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps([player.answer(each) for each in json.loads(line)]) + "\n")
        answers.flush()
        asyncio.set_event_loop(None)


if __name__ == "__main__":
    main()
