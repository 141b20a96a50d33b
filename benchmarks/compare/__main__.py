"""``python -m benchmarks.compare COMMIT``, or ``make bench-compare BASE=COMMIT``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from benchmarks.cli import list_rows, positive
from benchmarks.compare import builds, pairs
from benchmarks.compare.counting import counter_here
from benchmarks.rows import choose
from benchmarks.show import Progress, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.compare.counting import Counter

HOW = """\
Each row is measured in pairs: the base and this tree, one right after the other, each in a fresh process of which the best batch counts,
the order changing from round to round. The benchmark's programs are this tree's for both.

  ratio      of the medians, as a cost: above 1 this tree is slower (or larger), also in rows where more is better
  interval   where the ratio of a pair lies at the median, with 95 % confidence, whatever the noise looks like
  verdict    slower, faster   the interval leaves 1 out, and the medians differ by more than 2 %, which the layout of machine code comes to
             same             the interval lies within 5 % of 1
             unclear          neither: instructions tell, where they are counted, from 1 % on; else name the row, and more --rounds
             One row in some forty that did not change is called slower or faster all the same.
  instructions  of one operation in user space, where `perf stat` counts them (--valgrind: where it does not); they hold on a busy machine

Rows: those that the design rests on, unless you name others; --rows '*' takes all. Noise that lasts for longer than a pair hits both of it.

  make bench-compare BASE=main~20
  make bench-compare BASE=v0.3 ROWS="task.* sync.lock" ARGS="--rounds 25"
  make bench-compare BASE=HEAD ROWS=sync.lock ARGS="--dirty --valgrind"     what I am about to commit
  make bench-compare BASE=9dd4ee2 ROWS=http.* ARGS="--this 38e0732"         two commits: which of them was it?

Builds are kept in build/compare, one folder a commit; remove what is no longer needed."""


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="bench-compare",
        description="What a change costs: cede at a commit beside cede as it is here, built alike, measured in turns.",
        epilog=HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("base", nargs="?", metavar="COMMIT", help="what to compare with (make: BASE=COMMIT)")
    made.add_argument("--this", metavar="COMMIT", help="another commit in the place of this tree")
    made.add_argument("--dirty", action="store_true", help="measure this tree with what is not committed yet")
    made.add_argument("--rows", action="append", default=[], metavar="GLOB", help="these rows, such as 'task.*'; repeatable (make: ROWS=)")
    made.add_argument("--rounds", type=positive, metavar="N", help="pairs a row (default 12; rows that take long have 3)")
    made.add_argument("--valgrind", action="store_true", help="count instructions by valgrind: 10 to 30 s a row more")
    made.add_argument("--check", action="store_true", help="exit with status 1 where a row is slower or larger, or failed")
    made.add_argument("--list", action="store_true", help="list the rows and stop")
    return made


def both(wish: argparse.Namespace) -> tuple[builds.Build, builds.Build]:
    """The two builds. Raises `builds.BuildError`."""
    if not wish.base:
        raise builds.BuildError("say what to compare with: make bench-compare BASE=COMMIT, or bench-compare COMMIT")
    base = builds.commit_of(wish.base, "BASE")
    dirty = [] if wish.this else builds.changes()
    if dirty and not wish.dirty:
        some = ", ".join(line[3:] for line in dirty[:3]) + (", ..." if len(dirty) > 3 else "")
        hint = "commit them, or say --dirty to measure them as they are"
        raise builds.BuildError(f"the tree has changes that are not committed ({some}): {hint}")
    this = "" if dirty else builds.commit_of(wish.this or "HEAD", "--this")
    if this == base:
        raise builds.BuildError(f"both are {base[: builds.SHORT]}: there is nothing to compare")
    return builds.built(base, tell), builds.built(this, tell) if this else builds.built_tree(tell)


def tell(text: str) -> None:
    """What is no result goes where errors go."""
    print(text, file=sys.stderr, flush=True)


def measure(
    lines: Sequence[pairs.Line], two: tuple[builds.Build, builds.Build], rounds: int, wished: bool, counter: Counter | None
) -> None:
    """All of it; an interrupt leaves what there is."""
    progress = Progress()
    turns = [(turn, line) for turn in range(rounds) for line in lines if turn < pairs.rounds_of(line, rounds, wished)]
    counts = [line for line in lines if counter is not None and pairs.counted(line)]
    total = len(turns) + len(counts)
    try:
        for done, (turn, line) in enumerate(turns, 1):
            progress(done, total, f"round {turn + 1}/{rounds} {line.row.key} {line.contestant}")
            if not line.trouble:
                pairs.one_pair(line, two, turn % 2 == 1)
        for done, line in enumerate(counts, len(turns) + 1):
            progress(done, total, f"instructions of {line.row.key} {line.contestant}")
            if counter is not None and pairs.counted(line):
                pairs.count_pair(line, two, counter)
    except KeyboardInterrupt:
        tell("\ninterrupted: this is what there was until then")
    progress.close()


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    made = parser()
    wish = made.parse_args(arguments)
    if wish.list:
        list_rows()
        return 0
    try:
        lines = pairs.lines_of(choose(wish.rows or list(pairs.RESTS_ON)))
        two = both(wish)
    except (ValueError, builds.BuildError) as error:
        made.exit(2, f"bench-compare: {error}\n")
    counter, note = counter_here(wish.valgrind)
    measure(lines, two, wish.rounds or 12, wish.rounds is not None, counter)
    names = (two[0].name, two[1].name)
    result = pairs.table(lines, names, counter is not None)
    troubles = [f"{line.row.key}, {line.contestant}: {line.trouble}" for line in lines if line.trouble]
    show([(f"{names[1]} beside {names[0]}", result)], [note, load(), *troubles])
    failed = len(result) == 1 or (wish.check and (pairs.costs_more(lines) or bool(troubles)))
    return 1 if failed else 0


def load() -> str:
    """How busy the machine is."""
    return f"load of the machine in the last minute: {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} CPUs, this run included"


if __name__ == "__main__":
    sys.exit(main())
