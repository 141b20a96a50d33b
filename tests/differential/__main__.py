"""Random programs on asyncio and on cede: the same program has to write the same log.

In which order the events of one poll are told is the system's affair. So where the logs differ, asyncio is asked for the others that it
may write: one of them has to be the same. A program is counted as undecided where asyncio's own TLS fails, or where there are too many
orders to try. A program whose log differs on cede is printed with its seed, made as small as it gets, the two logs side by side.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from .compare import Comparison, Difference, NoWorkerError, Subject, shown, side_by_side
from .mutants import MUTANTS, mutated
from .mutants import show as show_mutants
from .subjects import WAYS

# So many seeds of undecided programs are shown.
SOME = 20


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many programs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the first one's seed (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="no program is begun after so many seconds")
    parser.add_argument("--way", choices=WAYS, help="cede's loop alone, or with asyncio's names on cede's (default: both)")
    parser.add_argument("--driver", help="epoll or selector (default: those that this install has)")
    parser.add_argument("--inside", action="store_true", help="programs without sockets only")
    parser.add_argument("--lanes", type=int, default=1, help="how many processes play on each loop (default: %(default)s)")
    parser.add_argument("--most", type=int, default=3, help="how many differences are shown before it ends (default: %(default)s)")
    parser.add_argument("--source", metavar="FOLDER", help="a folder whose package is run, uncompiled, instead of the installed one")
    parser.add_argument("--mutant", choices=MUTANTS, help="run a package, uncompiled, that has this fault")
    parser.add_argument("--mutants", action="store_true", help="put each fault back, and say after how many programs it is found")
    parser.add_argument("--replay", metavar="JSON", help="play one program, as a difference prints it")
    parser.add_argument("--whole", action="store_true", help="show programs as they were drawn, not made smaller")
    return parser


def show(difference: Difference) -> None:
    print(f"seed {difference.seed}, {difference.subject}, another order than asyncio's:")
    for line in shown(difference.program):
        print("   ", line)
    for line in side_by_side(difference.wanted, difference.found, str(difference.subject)):
        print(line)
    print(f"  --replay '{json.dumps(difference.program, separators=(',', ':'))}'", flush=True)


def subjects_of(arguments: Any) -> list[Subject]:
    from cede.loop.config import driver_names

    drivers = [arguments.driver] if arguments.driver else ["selector"] if arguments.source else driver_names()
    ways = [arguments.way] if arguments.way else list(WAYS)
    return [Subject(way, driver, arguments.source) for way in ways for driver in drivers]


def main() -> int:
    """Returns the status of the process: 1 where something differs, 2 where nothing can be compared."""
    arguments = options().parse_args()
    if arguments.mutants:
        return show_mutants(arguments.seed)
    if arguments.mutant:
        with mutated(arguments.mutant) as arguments.source:
            return run(arguments)
    return run(arguments)


def run(arguments: Any) -> int:
    """The programs, or one."""
    comparison = Comparison(subjects_of(arguments), arguments.inside, arguments.lanes)
    began = time.monotonic()
    different: set[int] = set()
    try:
        if arguments.replay:
            program = json.loads(arguments.replay)
            for subject in comparison.subjects:
                told = comparison.again(program, subject)
                if told is not None:
                    different.add(0)
                    show(Difference(0, subject, program, *told))
            comparison.played = 1
        else:
            until = None if arguments.seconds is None else began + arguments.seconds
            told_at = began

            def progress() -> None:
                nonlocal told_at
                if time.monotonic() - told_at > 10:
                    told_at = time.monotonic()
                    print(f"... {comparison.played} programs, {len(different)} differ", file=sys.stderr, flush=True)

            for difference in comparison.run(iter(range(arguments.seed, arguments.seed + arguments.seeds)), until, progress):
                if difference.seed not in different and len(different) < arguments.most:
                    show(difference if arguments.whole else comparison.shrink(difference))
                different.add(difference.seed)
    except NoWorkerError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        comparison.close()
    seconds = time.monotonic() - began
    for why in dict.fromkeys(comparison.undecided.values()):
        seeds = [seed for seed, cause in comparison.undecided.items() if cause == why]
        print(f"undecided, {why}: {len(seeds)}, of the seeds {', '.join(map(str, seeds[:SOME]))}{', ...' if seeds[SOME:] else ''}")
    print(
        f"{comparison.played} programs from seed {arguments.seed} on {', '.join(map(str, comparison.subjects))}: {len(different)} differ,"
        f" {len(comparison.undecided)} undecided; {comparison.played / max(seconds, 1e-9):.0f} a second"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
