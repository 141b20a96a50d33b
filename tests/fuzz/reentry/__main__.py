"""``python -m tests.fuzz.reentry``: plays programs until so many steps are done, and tells each that ends badly, as small as it gets."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from cede.loop.config import driver_names

from .children import Verdict, in_child, is_sanitized, warm_up
from .programs import Program, draw, shrink

STEPS = 100_000
SUMMARY = re.compile(r"(?:nothing wrong in|(\d+) FAILED) (\d+) steps of (\d+) programs, from seed \d+, \d+ s")
BUDGET = 400  # steps of one program
ROOT = Path(__file__).resolve().parents[3]
TRIES = 3  # of a smaller program, since threads and the collector do not run twice alike


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.reentry", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first program; each further one has the next number")
    parser.add_argument("--stride", type=int, default=1, help="the next number is so much larger")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the numbers and the steps")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"how many actions in all (default {STEPS})")
    parser.add_argument("--seconds", type=float, default=None, help="stop after so many, whatever was done by then")
    parser.add_argument("--loop", choices=[*driver_names(), "both", "asyncio"], default="both", help="whose driver (default: both in turn)")
    parser.add_argument("--budget", type=int, default=BUDGET, help="steps of one program, at most")
    parser.add_argument("--limit", type=float, default=None, help="seconds of one program (default 20; under a sanitizer 60)")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many")
    parser.add_argument("--shrink", type=float, default=60.0, help="seconds spent on making a failing program smaller")
    parser.add_argument("--only", default="", help="names of the places and actions to draw from, with commas between them")
    parser.add_argument("--avoid", default="", help="names of places and actions that are not to be drawn")
    parser.add_argument("--replay", type=Path, help="play the program in this file, as it was printed")
    parser.add_argument("--reverted", metavar="NAME", help="show that a mend is missed where it is taken back ('list': their names)")
    options, rest = parser.parse_known_args(argv)
    if options.reverted:
        from .reverted import show

        return show(options.reverted, [*sys.argv[1:]] if argv is None else argv)
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    if options.jobs > 1:
        return share(options, sys.argv[1:] if argv is None else argv)
    return Fuzzing(options).run()


def share(options: argparse.Namespace, argv: list[str]) -> int:
    """Have several processes play every so manieth program each, and sum up."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.reentry", *argv, "--jobs", "1", "--stride", str(options.jobs)]
    command += ["--steps", str(-(-options.steps // options.jobs))]
    sums: list[tuple[int, int, int]] = []

    def follow(player: subprocess.Popen[str]) -> None:
        assert player.stdout is not None
        for line in player.stdout:
            summary = SUMMARY.fullmatch(line.strip())
            if summary is None:
                print(line, end="", flush=True)
            else:
                sums.append((int(summary[1] or 0), int(summary[2]), int(summary[3])))
        player.wait()

    followers = []
    for index in range(options.jobs):
        which = [*command, "--seed", str(options.seed + index)]
        player = subprocess.Popen(which, cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace")
        followers.append(threading.Thread(target=follow, args=(player,)))
        followers[-1].start()
    for follower in followers:
        follower.join()
    if len(sums) < options.jobs:
        raise SystemExit("a process of the fuzzer's own ended before its time")
    failures, steps, programs = map(sum, zip(*sums, strict=True))
    return tell_end(failures, steps, programs, options.seed, time.monotonic() - began)


def tell_end(failures: int, steps: int, programs: int, seed: int, seconds: float) -> int:
    verdict = f"{failures} FAILED" if failures else "nothing wrong in"
    print(f"{verdict} {steps} steps of {programs} programs, from seed {seed}, {seconds:.0f} s", flush=True)
    return 1 if failures else 0


class Fuzzing:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.sanitized = is_sanitized()
        self.limit = options.limit or (60.0 if self.sanitized else 20.0)
        self.loops = list(driver_names()) if options.loop == "both" else [options.loop]
        self.began = time.monotonic()
        self.steps = self.programs = self.failures = 0

    def run(self) -> int:
        warm_up()
        options = self.options
        if options.replay:
            program = ast.literal_eval(options.replay.read_text())
            for loop in self.loops * TRIES:
                self.judge(program, loop, f"{options.replay} on {loop}", False)
            return self.end()
        number = options.seed
        told = time.monotonic()
        while self.steps < options.steps and self.failures < options.failures and not self.late():
            loop = self.loops[number % len(self.loops)]
            self.judge(draw(number, options.only.split(","), options.avoid.split(",")), loop, f"seed {number} on {loop}", True)
            number += options.stride
            if time.monotonic() - told > 5:
                told = time.monotonic()
                print(f"{self.steps} steps, {self.programs} programs, {told - self.began:.0f} s", file=sys.stderr, flush=True)
        return self.end()

    def late(self) -> bool:
        return self.options.seconds is not None and time.monotonic() - self.began > self.options.seconds

    def play(self, program: Program, loop: str) -> Verdict:
        return in_child(program, loop, self.options.budget, self.limit, self.sanitized)

    def judge(self, program: Program, loop: str, name: str, may_shrink: bool) -> None:
        verdict = self.play(program, loop)
        self.steps += verdict.steps
        self.programs += 1
        if verdict.fault is None:
            return
        self.failures += 1
        print(f"== {name}: {verdict.fault}", flush=True)
        for fault in verdict.faults[:3]:
            print(f"  {fault}")
        print(verdict.details[-4000:], flush=True)
        if may_shrink and self.options.shrink > 0:
            program = self.shrunk(program, loop)
        print(f"program of {name}; --replay FILE plays it again:\n{program!r}", flush=True)

    def shrunk(self, program: Program, loop: str) -> Program:
        until = time.monotonic() + self.options.shrink

        def fails(candidate: Program) -> bool:
            return any(time.monotonic() < until and self.play(candidate, loop).fault is not None for _ in range(TRIES))

        return shrink(program, fails)

    def end(self) -> int:
        return tell_end(self.failures, self.steps, self.programs, self.options.seed, time.monotonic() - self.began)


if __name__ == "__main__":
    raise SystemExit(main())
