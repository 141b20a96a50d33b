"""``python -m tests.conformance``: runs other people's suites on cede, a module a process, and prints a table.

The suites are CPython's own ``test.test_asyncio`` (``cpython``), the same with our Task and Future put into its classes one by one
(``classes``), uvloop's (``uvloop``) and AnyIO's (``anyio``). All but the second are run once more with asyncio's names on cede's, as
`cede run` has them (``cpython-names`` and so on). The same can be run on another loop, to have something to compare with.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from . import journal, ledger, loops, sources, supervise

HEADS = {"passed": "passed", "skipped": "skipped", "inner": "inner", "listed": "ledger", "failed": "failed", "stale": "stale"}


def plan_units(suites: Sequence[str], only: Sequence[str], subject: str) -> tuple[list[str], list[str]]:
    """The units to run, and why others are not."""
    units, absent = [], []
    for suite in suites:
        if suite == "classes" and subject not in (loops.OURS, "asyncio"):
            continue
        if suite.endswith(ledger.NAMES) and subject != loops.OURS:
            continue
        left_out = ledger.modules_left_out(suite)
        try:
            found = sources.modules_of(suite)
            sources.surroundings(suite)  # fetches, once, before processes ask for it side by side
        except sources.Unavailable as error:
            absent.append(f"{suite}: {error}")
            continue
        units += [f"{suite}/{module}" for module in found if module not in left_out]
    if only:
        units = [unit for unit in units if unit in only or unit.partition("/")[2] in only]
    return units, absent


def table(results: list[supervise.Result]) -> str:
    rows = [["unit", *HEADS.values(), "seconds"]]
    for result in results:
        rows.append([result.unit, *(str(result.count(key)) for key in HEADS), f"{result.seconds:.1f}"])
    totals = [str(sum(result.count(key) for result in results)) for key in HEADS]
    rows.append(["all", *totals, f"{sum(result.seconds for result in results):.1f}"])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]

    def line(row: list[str]) -> str:
        return "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])

    return "\n".join([line(rows[0]), "-" * len(line(rows[0])), *map(line, rows[1:])])


def run_all(units: list[str], subject: str, options: argparse.Namespace) -> list[supervise.Result]:
    limits = supervise.Limits(options.test_timeout, options.timeout)
    end = time.monotonic() + options.within if options.within else float("inf")
    results = []

    def run(unit: str) -> supervise.Result | None:
        if time.monotonic() >= end:
            return None
        return supervise.run_unit(unit, subject, options.only, supervise.Limits(limits.test, limits.unit, end))

    with ThreadPoolExecutor(max(1, min(options.jobs, 2))) as pool:
        jobs = [pool.submit(run, unit) for unit in units]
        for number, job in enumerate(as_completed(jobs), 1):
            result = job.result()
            if result is None:
                continue
            results.append(result)
            counts = ", ".join(f"{result.count(key)} {head}" for key, head in HEADS.items() if result.count(key)) or "no tests"
            cut = ", cut short" if result.cut else ""
            print(f"[{number}/{len(units)}] {result.unit} on {subject}: {counts}{cut} ({result.seconds:.1f} s)", flush=True)
    for result in results if not options.once else ():
        if result.bad() and time.monotonic() < end:
            # Now that nothing runs beside it: what fails by chance on a busy machine is told apart from what is broken.
            supervise.run_again(result, subject, limits)
    return sorted(results, key=lambda result: units.index(result.unit))


def as_json(subject: str, results: list[supervise.Result], seconds: float, absent: list[str]) -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "loop": subject,
        "version": loops.version_of(subject),
        "build": loops.build_of(subject),
        "seconds": round(seconds, 1),
        "absent": absent,
        "sources": {name: path.name for name in sources.FETCHED for path in sorted((sources.SCRATCH / "sources").glob(f"{name}-*/"))},
        "units": {
            result.unit: {
                "seconds": round(result.seconds, 1),
                "counts": {outcome: result.count(outcome) for outcome in journal.OUTCOMES},
                "bad": result.bad(),
                "unsteady": result.unsteady,
                "told": {name: outcome for name, (outcome, _) in result.tests.items() if outcome != journal.PASSED},
            }
            for result in results
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="Other people's tests of event loops, on cede.")
    option = parser.add_argument
    option("unit", nargs="*", help="only these, such as test_events or uvloop/test_tcp")
    option("--suite", action="append", choices=sources.SUITES, help="only this suite; may be repeated (default: all)")
    option("--loop", choices=loops.LOOPS, default=loops.OURS, help="which loop is to be asked (default: cede)")
    option("--only", default="", metavar="TEXT", help="only tests whose name contains TEXT")
    option("--timeout", type=float, default=900.0, metavar="S", help="seconds for one module (default: 900)")
    option("--test-timeout", type=float, default=60.0, metavar="S", help="seconds for one test (default: 60)")
    option(
        "--within",
        type=float,
        default=0.0,
        metavar="S",
        help="stop after S seconds, and say which modules were not run, or not to their end (default: no limit)",
    )
    option("--once", action="store_true", help="do not run a failed test once more, alone in a fresh process")
    option("--jobs", type=int, default=2, metavar="N", help="processes side by side, two at most (default: 2)")
    option("--json", metavar="FILE", help="write the results there too; those of whole suites are kept in build/conformance/results")
    option("--quiet", action="store_true", help="do not print what failed, only the names")
    options = parser.parse_args()

    try:
        version = loops.version_of(options.loop)
    except ImportError as error:
        print(f"{options.loop} cannot be asked on this Python: {error}")
        return 2
    units, absent = plan_units(options.suite or sources.SUITES, options.unit, options.loop)
    print(f"{options.loop} {version} {loops.build_of(options.loop)} on Python {sys.version.split()[0]}: {len(units)} modules")
    began = time.monotonic()
    results = run_all(units, options.loop, options)
    took = time.monotonic() - began
    for result in results:
        for name, text in result.bad().items():
            print(f"\nFAILED {result.unit} {name}" if not options.quiet else f"FAILED {result.unit} {name}")
            if not options.quiet:
                print(text, end="" if text.endswith("\n") else "\n")
    for result in results:
        for name in result.unsteady:
            print(f"unsteady: {result.unit} {name}: failed, and passed when it was run again")
    absent += [f"{unit}: the time was used up" for unit in units if unit not in {result.unit for result in results}]
    absent += [f"{result.unit}: not to its end, the time was used up" for result in results if result.cut]
    for problem in absent:
        print(f"not run: {problem}")
    print(table(results))
    print(f"{took:.0f} s in all")
    save(options, as_json(options.loop, results, took, absent))
    return 1 if any(result.bad() for result in results) else 0


def save(options: argparse.Namespace, report: dict[str, Any]) -> None:
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    if not options.unit and not options.only:
        # A file a suite, so that one suite can be run again by itself.
        folder = sources.SCRATCH / "results"
        folder.mkdir(parents=True, exist_ok=True)
        for suite in options.suite or sources.SUITES:
            units = {name: value for name, value in report["units"].items() if name.startswith(f"{suite}/")}
            build = f"-{report['build']}" if report["build"] else ""
            name = f"{suite}-{report['python']}-{report['loop']}{build}.json"
            if units and not any(problem.startswith((f"{suite}:", f"{suite}/")) for problem in report["absent"]):
                (folder / name).write_text(json.dumps({**report, "suite": suite, "units": units}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
