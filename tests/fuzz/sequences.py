"""``python -m tests.fuzz.sequences``: sequences of public calls on transports, servers and pipes, drawn by Hypothesis, judged by a model.

Each program is written to the log before it is played, so that one that kills the interpreter is there to be played again (``--replay``).
A program that is judged wrong is made as small as it gets, and printed.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import faulthandler
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from cede.loop.config import driver_names, make_driver
from cede.loop.event_loop import EventLoop

from .programs import PROGRAMS
from .stage import play

STUCK_SECONDS = 120
BATCH = 200


Program = tuple[bool, list[Any]]


class Wrong(AssertionError):
    """What the model says of a program."""

    def __init__(self, program: Program, faults: list[str]) -> None:
        super().__init__("\n  ".join([f"program {program!r}", *faults[:8]]))
        self.program = program


def loops(name: str) -> tuple[Callable[[], Any], bool]:
    if name == "asyncio":
        return asyncio.SelectorEventLoop, False
    return (lambda: EventLoop(make_driver(name))), True


class Fuzzing:
    """Programs on one kind of loop."""

    def __init__(self, loop: str, log: Path | None) -> None:
        self.new_loop, self.ours = loops(loop)
        self.log = log
        self.played = 0

    def one(self, program: Program) -> None:
        if self.log is not None:
            self.log.write_text(repr(program) + "\n")
        self.played += 1
        faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
        try:
            faults = play(self.new_loop, self.ours, *program)
        finally:
            faulthandler.cancel_dump_traceback_later()
        if faults:
            raise Wrong(program, faults)

    def some(self, number: int, count: int) -> None:
        """`count` programs that depend on `number` alone."""
        settled = settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        seed(number)(settled(given(PROGRAMS)(self.one)))()

    def smaller(self, error: Wrong) -> Wrong:
        """The same, without the steps that it does not take: Hypothesis leaves some."""
        number = 0
        while number < len(error.program[1]):
            debug, steps = error.program
            try:
                self.one((debug, steps[:number] + steps[number + 1 :]))
            except Wrong as less:
                error = less
            else:
                number += 1
        return error


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.sequences", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="where to begin; drawn, and printed, where it is not given")
    parser.add_argument("--seconds", type=float, default=None, help="go on for so long, with one seed after the other")
    parser.add_argument("--programs", type=int, default=BATCH, help=f"how many programs a seed has (default: {BATCH})")
    parser.add_argument("--loop", choices=[*driver_names(), "asyncio"], default=None, help="default: cede's drivers in turn")
    parser.add_argument("--log", type=Path, default=None, help="write the program that is being played to this file")
    parser.add_argument("--replay", type=Path, default=None, help="play what is in this file, once")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    faulthandler.enable()
    names = [options.loop] if options.loop else list(driver_names())
    if options.replay:
        program = ast.literal_eval(options.replay.read_text())
        for name in names:
            Fuzzing(name, None).one(program)
        print("nothing wrong")
        return 0
    first = int(time.time()) % 1_000_000 if options.seed is None else options.seed
    until = time.monotonic() + (options.seconds or 0)
    number, played = first, 0
    while True:
        for name in names:
            print(f"seed {number} on {name}: {options.programs} programs, {played} played before", flush=True)
            fuzzing = Fuzzing(name, options.log)
            try:
                fuzzing.some(number, options.programs)
            except Wrong as error:
                least = fuzzing.smaller(error)
                print(f"\nWRONG on {name}, --seed {number} --programs {options.programs} --loop {name}\n{least}", file=sys.stderr)
                return 1
            played += fuzzing.played
        number += 1
        if time.monotonic() >= until:
            print(f"nothing wrong in {played} programs, seeds {first} to {number - 1}")
            return 0


if __name__ == "__main__":
    sys.exit(main())
