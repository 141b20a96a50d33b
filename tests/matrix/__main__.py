"""``python -m tests.matrix``: cede's own suite and the suites of others, on every Python at hand."""

from __future__ import annotations

import argparse
import sys
import time

from tests.matrix import pythons, report, steps


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.matrix", description=__doc__, epilog="Where Pythons are looked for: tests/matrix/pythons.py."
    )
    option = parser.add_argument
    option("version", nargs="*", help=f"only these, such as 3.12 (default: {' '.join(pythons.VERSIONS)})")
    option("--venv", default=".venv", help="the environment of the Python that runs this; others get .venv-3.12 and so on (default: .venv)")
    option("--minutes", type=float, default=240.0, metavar="M", help="begin nothing after M minutes (default: 240)")
    option("--quick", action="store_true", help="leave out cede's own slow tests, and the suites of others but CPython's")
    options = parser.parse_args()
    strangers = [version for version in options.version if version not in pythons.VERSIONS]
    if strangers:
        parser.error(f"{strangers[0]} is not among {', '.join(pythons.VERSIONS)}")

    began = time.monotonic()
    deadline = began + options.minutes * 60
    rows: list[report.Row] = []
    failures: list[str] = []
    for version in options.version or pythons.VERSIONS:
        try:
            rows += on_one(version, options, deadline, failures)
        except (pythons.NotFound, steps.Unavailable) as error:
            print(f"Python {version}: not tested ({error})", flush=True)
            rows.append(report.Row(version, "", note=f"not tested ({error})"))
    for text in failures:
        print(f"\n--- {text}")
    print(f"\n{report.table(rows)}")
    for line in report.notes(rows):
        print(line)
    failed = sum(row.failed for row in rows)
    minutes = (time.monotonic() - began) / 60
    print(f"{sum(row.passed for row in rows)} tests passed, {failed} failed that no ledger explains; {minutes:.0f} minutes", flush=True)
    return 1 if failed else 0


def on_one(version: str, options: argparse.Namespace, deadline: float, failures: list[str]) -> list[report.Row]:
    left = deadline - time.monotonic()
    if left < 60:
        raise steps.Unavailable(f"the {options.minutes:g} minutes are used up")
    python = pythons.find(version)
    where = f"{' '.join(python.prefix)} {python.command}".strip()
    print(f"== Python {version}: {where}", flush=True)
    shared = version == steps.this_python() and not python.prefix and python.command == sys.executable
    job = steps.Job(python, options.venv if shared else f".venv-{version}", deadline, options.quick)
    try:
        return job.rows()
    finally:
        failures += job.failures


if __name__ == "__main__":
    sys.exit(main())
