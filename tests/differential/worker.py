"""A process that plays programs on one subject: it reads a line of JSON for each batch, and answers with a line.

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
import warnings
from typing import Any

from . import subjects
from .clock import Clock, sleep_exactly
from .drawing import draw

# A program takes some milliseconds.
STUCK = 20


class Stuck(BaseException):
    """A program that does not come to its end."""


class Player:
    """Plays programs on one subject."""

    def __init__(self, subject: str, driver: str) -> None:
        self.subject = subject
        self.driver = driver
        self.several = False  # whether the last run had to do with several events of one look
        sleep_exactly()
        subjects.let_no_selector_sleep()
        if subject == "names":
            import cede

            cede.accelerate()
        else:
            subjects.order_the_groups_of_asyncio()

    def loop(self, clock: Clock, backwards: bool) -> Any:
        if self.subject == "asyncio":
            return subjects.Oracle(clock, backwards)
        return subjects.cede_loop(self.driver, clock)

    def once(self, program: dict[str, Any], backwards: bool = False) -> list[str]:
        """The log of one run."""
        from .world import World

        clock = Clock()
        loop = self.loop(clock, backwards)
        world = World(loop, clock, program)
        signal.alarm(STUCK)
        try:
            return world.play()
        except Stuck:
            return [*world.log, "stuck"]
        finally:
            signal.alarm(0)
            if self.subject == "asyncio":
                self.several = loop.looks.several

    def logs(self, program: dict[str, Any]) -> list[list[str]]:
        """Of the oracle several: a program whose logs differ is no program to compare."""
        if self.subject != "asyncio":
            return [self.once(program)]
        first = self.once(program)
        return [first, self.once(program, backwards=True)] if self.several else [first]


def stuck(*unused: Any) -> None:
    raise Stuck


def main() -> None:
    """Answer batches until the input ends."""
    subject, driver = sys.argv[1:]
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda unraisable: None  # coroutines of a program that was over before they were
    signal.signal(signal.SIGALRM, stuck)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    player = Player(subject, driver)
    import tests.differential.connections
    import tests.differential.primitives
    import tests.differential.sockets
    import tests.differential.work  # noqa: F401

    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        batch = json.loads(line)
        made = [each if isinstance(each, dict) else draw(each) for each in batch]
        answers.write(json.dumps([player.logs(program) for program in made]) + "\n")
        answers.flush()
        asyncio.set_event_loop(None)


if __name__ == "__main__":
    main()
