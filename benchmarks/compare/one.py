"""One measurement of a row that needs a server, by the interpreter that runs this: prints a line of JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.children import MeasureError
from benchmarks.harness import Run, Settings
from benchmarks.memory_rows import connections_allowed
from benchmarks.native import Native
from benchmarks.net_rows import NetSettings, two_cpus
from benchmarks.rows import ROWS


def short() -> Settings:
    """How much is measured: little, since it is done often."""
    net = NetSettings(150, 500, *two_cpus())
    return Settings(1, 0.02, net, connections_allowed(2000), 500, 50_000, 200_000, 0)


def main() -> int:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=[row.key for row in ROWS])
    parser.add_argument("contestant")
    parser.add_argument("--programs", type=Path, required=True, metavar="FOLDER", help="where the C programs are, or are to be made")
    wish = parser.parse_args()
    wish.programs.mkdir(parents=True, exist_ok=True)
    row = next(row for row in ROWS if row.key == wish.row)
    try:
        figures = Run((), [], short(), Native(wish.programs), lambda *_: None).measure(row, wish.contestant)
    except MeasureError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
