"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import report
from benchmarks.harness import Run, Settings
from benchmarks.loops import LOOPS, OURS, Installed, probe
from benchmarks.machine import result_name
from benchmarks.memory_rows import connections_allowed
from benchmarks.native import Native
from benchmarks.net_rows import NetSettings, two_cpus
from benchmarks.rows import ROWS, choose
from benchmarks.show import Progress, show
from benchmarks.verdict import judge

HERE = Path(__file__).resolve().parent


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="benchmarks",
        description="Measure cede beside every other event loop that is installed, in turns, "
        "and write a Markdown table and JSON. The exit status is 0 whenever the run came to its end, "
        "targets met or not; with --check, 1 when a target is missed.",
        epilog="Rows: " + ", ".join(row.key for row in ROWS) + ". See benchmarks/README.md for what each one measures.",
    )
    made.add_argument("--quick", action="store_true", help="one short round, to see that all works: too few figures to argue with")
    made.add_argument(
        "--rows",
        action="append",
        default=[],
        metavar="GLOB",
        help="only these rows, such as 'task.*' or net.streams; may be repeated",
    )
    made.add_argument("--rounds", type=positive, metavar="N", help="rounds (default 5, with --quick 1)")
    made.add_argument(
        "--minutes", type=positive, default=15, metavar="N", help="begin no fourth or later round that would end after this (default 15)"
    )
    made.add_argument("--loops", metavar="A,B", help=f"only these loops, of {','.join(LOOPS)} (default: all that are installed)")
    made.add_argument(
        "--output",
        type=Path,
        default=HERE / "results",
        metavar="DIR",
        help="where the results go (default benchmarks/results)",
    )
    made.add_argument("--no-pin", action="store_true", help="let server and client of the network rows run on any CPU")
    made.add_argument("--check", action="store_true", help="exit with status 1 when a target is missed or could not be measured")
    made.add_argument("--list", action="store_true", help="list the rows with their targets and stop")
    return made


def settings(quick: bool, rounds: int | None, pinned: bool, limit: float) -> Settings:
    """How much is measured."""
    server, client = two_cpus() if pinned else (None, None)
    if quick:
        return Settings(rounds or 1, 0.02, NetSettings(150, 400, server, client), connections_allowed(1000), 200, 20_000, 200_000, limit)
    net = NetSettings(250, 1000, server, client)
    return Settings(rounds or 5, 0.04, net, connections_allowed(10_000), connections_allowed(2000), 100_000, 200_000, limit)


def chosen_loops(text: str | None) -> list[str]:
    """The loops asked for. Raises ``ValueError`` for one that is not known."""
    if text is None:
        return list(LOOPS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in LOOPS:
            raise ValueError(f"--loops {name}: no such loop. The loops are {', '.join(LOOPS)}")
    return [name for name in LOOPS if name in names]


def list_rows() -> None:
    """Print the catalogue."""
    for row in ROWS:
        wants = "; ".join(f"{target.metric.title} {target.text}" for target in row.targets)
        print(f"{row.key:26} {row.title.replace('`', '')}" + (f"  [{wants}]" if wants else ""))


def probe_all(names: list[str]) -> list[Installed]:
    """Find out which loops are there, and say so."""
    installed = [probe(name) for name in names]
    for each in installed:
        kind = ", uncompiled" if each.pure else ""
        print(f"{each.name:8} {each.version + kind if each.ok else each.state}", file=sys.stderr)
    return installed


def write(folder: Path, name: str, run: Run, pure: bool) -> Path:
    """Write both files; returns the Markdown one's path. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{name}.md"
    page.write_text(report.markdown(run, pure), encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(report.as_json(run, pure), indent=1) + "\n", encoding="utf-8")
    return page


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    made = parser()
    wish = made.parse_args(arguments)
    if wish.list:
        list_rows()
        return 0
    try:
        rows, names = choose(wish.rows), chosen_loops(wish.loops)
    except ValueError as error:
        made.error(str(error))
    if not os.access(wish.output if wish.output.exists() else wish.output.parent, os.W_OK):
        made.error(f"--output {wish.output}: cannot be written")
    installed = probe_all(names)
    pure = any(each.pure for each in installed)
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        run = Run(rows, installed, settings(wish.quick, wish.rounds, not wish.no_pin, wish.minutes * 60), Native(Path(folder)), progress)
        try:
            run.all()
        except KeyboardInterrupt:
            progress.close()
            print("interrupted: nothing was written", file=sys.stderr)
            return 130
    progress.close()
    show(report.sections(run, pure), report.notes(run))
    partial = bool(wish.rows or wish.loops)
    suffix = "-".join(part for part in ("quick" if wish.quick else "", "partial" if partial else "") if part)
    print(f"\nwritten: {write(wish.output, result_name(pure, suffix), run, pure)} and .json beside it")
    lines = [line for line in judge(rows, run.results, pure) if line.target]
    missed = sum(line.met is not True for line in lines)
    if any(each.name == OURS and each.ok for each in installed):
        print(f"targets: {len(lines) - missed} of {len(lines)} met")
    return 1 if wish.check and missed else 0
