"""Writes ``docs/compatibility.md`` from the results that runs left behind: ``python -m tests.conformance.compat``.

Only what was run is in it. Each run of a whole suite leaves a file in ``build/conformance/results``, for its Python and its loop. What the
page is made of is kept beside it in ``docs/compatibility.json``, where a new run takes the place of the old one: to ask every peer on
every Python takes an hour, and a peer that was not released anew says the same again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import journal, ledger, loops, sources

PAGE = sources.ROOT / "docs" / "compatibility.md"
KEPT = PAGE.with_suffix(".json")
TITLES = {
    "cpython": "CPython's `test.test_asyncio`, with the loop in asyncio's place",
    "classes": "CPython's Task and Future tests, with cede's classes in them one by one",
    "uvloop": "uvloop's own suite, with the loop in uvloop's place",
    "anyio": "AnyIO's suite, its asyncio backend on the loop",
    "cpython-names": "CPython's suite once more, with asyncio's names on cede's, as `cede run` has them",
    "uvloop-names": "uvloop's suite once more, with asyncio's names on cede's",
    "anyio-names": "AnyIO's suite once more, with asyncio's names on cede's",
}
HEAD = """# Compatibility

Other people's tests of event loops, run on cede and on its peers; on cede with its loop alone, and once more with asyncio's names on
cede's. This page is written by `python -m tests.conformance.compat` from what `make conformance` left behind (`compatibility.json` keeps
it), and holds only what was run; nothing in it is typed by hand.

A cell is *passed / failed*. Counted are the tests that say something about a loop: those of one implementation's inner names, a mock in
the place of a name in one of its files for instance, are left out for every loop, and so is what a suite skips by itself. What cede does
otherwise on purpose is in its ledger (`tests/conformance/ledgers`), a reason each, and is told as *+n*: these tests fail as the ledger
says, and one that began to pass would fail the run. Where a module had no more than twenty failures, each of them was, as a rule, run
once more, alone in a process of its own; one that passed then counts as passed, and is named if the loop was cede. A test that hangs or
crashes its process counts as failed; where a suite's time was used up, what it had not reached counts as one more. One failure may bring
others with it: AnyIO's suite runs many tests on one loop, and its modules ask for eager tasks too.
"""


def load(folder: Path) -> list[dict[str, Any]]:
    return [abridged(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def abridged(report: dict[str, Any]) -> dict[str, Any]:
    """What the page needs of it."""
    ours = report["loop"] == loops.OURS
    short = {key: report[key] for key in ("suite", "python", "loop", "version", "build")}
    short["source"] = report["sources"].get(sources.base_of(report["suite"]), "")
    short["units"] = {}
    for name, unit in report["units"].items():
        short["units"][name] = {
            "counts": {outcome: count for outcome, count in unit["counts"].items() if count},
            "bad": sorted(unit["bad"]) if ours else [],
            "unsteady": sorted(unit["unsteady"]) if ours else [],
        }
    return short


def joined(kept: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of `new`, and of `kept` what it says nothing about; another release of the same Python is the same."""
    found = {(report["suite"], report["loop"], report["build"], by_version(report["python"])[:2]): report for report in [*kept, *new]}
    return [found[key] for key in sorted(found)]


def by_version(text: str) -> tuple[int, ...]:
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in text.split("."))


def cell(units: Iterable[dict[str, Any]]) -> str:
    total = dict.fromkeys(journal.OUTCOMES, 0)
    for unit in units:
        for outcome, count in unit["counts"].items():
            total[outcome] += count
    failed = sum(total[outcome] for outcome in journal.BAD)
    listed = f" +{total[journal.LISTED]}" if total[journal.LISTED] else ""
    return f"{total[journal.PASSED]} / {failed}{listed}"


def label(report: dict[str, Any]) -> str:
    build = f", {report['build']}" if report["build"] == "pure" else ""
    version = "" if report["loop"] == "asyncio" else f" {report['version']}"
    return f"{report['loop']}{version}{build}"


def in_order(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(reports, key=lambda report: (loops.LOOPS.index(report["loop"]), report["build"] == "pure"))


def table(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(reports: list[dict[str, Any]]) -> str:
    """Python by Python, each loop that was asked."""
    columns = list(dict.fromkeys(label(report) for report in in_order(reports)))
    pythons = sorted({report["python"] for report in reports}, key=by_version)
    rows = [["Python", *columns]]
    for python in pythons:
        found = {label(report): report for report in reports if report["python"] == python}
        rows.append([python, *(cell(found[name]["units"].values()) if name in found else "not run" for name in columns)])
    return table(rows)


def modules(reports: list[dict[str, Any]]) -> str:
    """Module by module, on one Python."""
    ordered = in_order(reports)
    names = list(dict.fromkeys(name for report in ordered for name in report["units"]))
    rows = [["module", *map(label, ordered)]]
    for name in sorted(names):
        cells = [cell([report["units"][name]]) if name in report["units"] else "not run" for report in ordered]
        rows.append([name.partition("/")[2], *cells])
    return table(rows)


def compared(reports: list[dict[str, Any]]) -> list[str]:
    """The Pythons on which cede has company."""
    pythons = sorted({report["python"] for report in reports}, key=by_version)
    return [python for python in pythons if sum(report["python"] == python for report in reports) > 1]


def failures(reports: list[dict[str, Any]]) -> list[str]:
    """What still fails on cede and is in no ledger."""
    lines = []
    for report in reports:
        bad = sorted(test for unit in report["units"].values() for test in unit["bad"])
        if report["loop"] == loops.OURS and bad:
            lines.append(f"- Python {report['python']}: " + ", ".join(f"`{test}`" for test in bad))
    return lines


def unsteady(reports: list[dict[str, Any]]) -> list[str]:
    """What failed on cede, and passed when it was run once more by itself."""
    lines = []
    for report in reports:
        names = sorted(test for unit in report["units"].values() for test in unit.get("unsteady", ()))
        if report["loop"] == loops.OURS and names:
            lines.append(f"- Python {report['python']}: " + ", ".join(f"`{test}`" for test in names))
    return lines


def page(reports: list[dict[str, Any]]) -> str:
    parts = [HEAD]
    for suite, title in TITLES.items():
        ours = [report for report in reports if report["suite"] == suite]
        if not ours:
            continue
        parts.append(f"## {title}\n")
        if sources.base_of(suite) in sources.FETCHED:
            parts.append(f"Source: {', '.join(sorted({report['source'] or '?' for report in ours}))}.\n")
        parts.append(summary(ours) + "\n")
        for python in compared(ours):
            parts.append(f"On Python {python}, module by module:\n")
            parts.append(modules([report for report in ours if report["python"] == python]) + "\n")
        lines = failures(ours)
        if lines:
            parts.append("Failing on cede, and in no ledger:\n\n" + "\n".join(lines) + "\n")
        else:
            parts.append("Nothing fails on cede that its ledger does not name.\n")
        lines = unsteady(ours)
        if lines:
            parts.append("Passed on cede only when it was run again, by itself:\n\n" + "\n".join(lines) + "\n")
        left_out = ledger.modules_left_out(suite)
        if left_out:
            names = "\n".join(f"- `{name}`: {reason}" for name, reason in left_out.items())
            parts.append(f"Modules left out for every loop:\n\n{names}\n")
    return "\n".join(parts)


def main() -> int:
    new = load(sources.SCRATCH / "results")
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else []
    if not new:
        print("no results: run `make conformance` first")
        return 1
    reports = joined(kept, new)
    KEPT.write_text(json.dumps(reports, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(reports))
    print(f"{PAGE}: {len(reports)} runs, {len(new)} of them new")
    return 0


if __name__ == "__main__":
    sys.exit(main())
