"""Figures where people read them: ``python -m benchmarks.publish RESULT.json`` writes the README's five rows and the page's table.

Both are made of one result file, which they name; nothing in them is written by hand, and a test compares them with that file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Cell
from benchmarks.loops import LOOPS, OURS, OWN, ROOT
from benchmarks.report import number, pipes, targets
from benchmarks.rows import CAPACITY, ROWS
from benchmarks.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Table

README, PAGE = ROOT / "README.md", ROOT / "docs" / "benchmarks.md"
FIVE = ("http.gather", "task.create", "net.protocol", "tls.requests", "install.import")
"""A service, a task, the network, TLS; and the one that cede loses."""

DISTURBED = " ~"
"""Behind such a figure, as on the page of the run."""

BUSY = 0.2
"""Where more of the measurements were disturbed, it has to be said loudly."""

BEGIN, END = "<!-- measured: {} -->", "<!-- end of what was measured -->"


class PublishError(Exception):
    """What cannot be published; the message says why and what to do."""


def read(path: Path) -> dict[str, Any]:
    """A result file. Raises `PublishError`."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lacking = [key for key in FIVE if key not in result["rows"]]
    except (OSError, ValueError, KeyError) as error:
        raise PublishError(f"{path}: no result of make bench ({type(error).__name__}: {error})") from None
    if lacking:
        raise PublishError(f"{path}: has no row {', '.join(lacking)}; publish what a whole run has written")
    return result


def cells(result: dict[str, Any]) -> dict[str, dict[str, Cell]]:
    """What was measured, by row and contestant."""
    return {
        key: {name: Cell(cell["rounds"], cell["failures"], cell["disturbed"]) for name, cell in row.items()}
        for key, row in result["rows"].items()
    }


def where(result: dict[str, Any]) -> str:
    """On what the figures were measured, in a sentence or two."""
    machine, rounds = result["machine"], result["rounds"]
    python = machine["python"].partition(",")[0]
    said = f"cede {machine['commit']}, {python}, {machine['system']}, {machine['processor']}, {machine['date'][:10]}, {rounds} rounds."
    load = result["load"]
    disturbed = sum(cell["disturbed"] for row in result["rows"].values() for cell in row.values())
    whole = sum(len(cell["rounds"]) for row in result["rows"].values() for cell in row.values())
    said += f" Load of the machine before the run {load[0]:.1f}; "
    said += f"{disturbed} of {whole} measurements were disturbed by other work (~: most of a figure's)."
    if disturbed > whole * BUSY:
        said += " **No quiet machine was to be had: other programs took most of both CPUs. Read ratios, and those with care.**"
    return said


def five(result: dict[str, Any]) -> str:
    """The README's table: loops across, each figure with its unit in the row's name."""
    measured, rows = cells(result), {row.key: row for row in ROWS}
    names = [name for name in (*LOOPS, OWN) if any(measured[key].get(name) and measured[key][name].samples for key in FIVE)]
    heads = {OURS: "**cede**", OWN: "**cede**, own API or `cede run`"}
    table: Table = [["", *(heads.get(name, name) for name in names)]]
    for key in FIVE:
        # On a busy machine the other programs set the pace of a server; what it takes of the CPU they do not.
        metric = CAPACITY if rows[key].kind in ("http", "net") else rows[key].metric
        title = f"{'echo, ' if rows[key].kind == 'net' else ''}{rows[key].title}"
        line = [f"{title}: {'requests a second of CPU' if metric is CAPACITY else metric.unit}"]
        for name in names:
            cell = measured[key].get(name)
            line.append(number(cell.median(metric.key), metric) + DISTURBED * shaken(cell) if cell else "")
        table.append(line)
    return pipes(table)


def shaken(cell: Cell) -> bool:
    """Whether most of what a figure is made of was disturbed."""
    return cell.disturbed * 2 > len(cell.samples) > 0


def every(result: dict[str, Any]) -> str:
    """The page's table: cede beside the best peer, all rows that have a target, those that are missed too."""
    measured = cells(result)
    lines = judge(tuple(row for row in ROWS if row.key in measured), measured, result["pure"])
    judged = [line for line in lines if line.target]
    met = sum(line.met is True for line in judged)
    return f"{met} of {len(judged)} goals are met.\n\n{pipes(targets(lines))}"


def inserted(text: str, source: str, made: str, page: Path) -> str:
    """A page with what was made between its two marks. Raises `PublishError`."""
    pattern = re.compile(re.escape(BEGIN).replace(r"\{\}", ".*?") + ".*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise PublishError(f"{page}: needs the marks {BEGIN.format('FILE')!r} and {END!r}, once")
    whole = f"{BEGIN.format(source)}\n\n{made}\n\n{END}"
    return pattern.sub(lambda _: whole, text)


def published(path: Path) -> dict[Path, str]:
    """The pages as that result makes them. Raises `PublishError`."""
    result = read(path)
    source = path.resolve().relative_to(ROOT).as_posix()
    made = {README: f"{five(result)}\n\n{where(result)}", PAGE: f"{where(result)}\n\n{every(result)}"}
    return {page: inserted(page.read_text(encoding="utf-8"), source, text, page) for page, text in made.items()}


def source_of(page: Path) -> Path:
    """The result file that a page names. Raises `PublishError`."""
    found = re.search(BEGIN.replace("{}", "(.*?)"), page.read_text(encoding="utf-8"))
    if found is None:
        raise PublishError(f"{page}: names no result file")
    return ROOT / found[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.publish", description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT.json", help="what make bench has written, below benchmarks/results")
    wish = parser.parse_args(arguments)
    try:
        for page, text in published(wish.result).items():
            page.write_text(text, encoding="utf-8")
            print(f"written: {page}")
    except (PublishError, ValueError) as error:
        parser.exit(2, f"benchmarks.publish: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
