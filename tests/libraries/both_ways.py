"""``python -m tests.libraries.both_ways [ARGUMENT ...]``: pytest with these arguments, and then once more under `cede run`.

The first is cede's loop alone, with asyncio's beside it. In the second asyncio's names are cede's too, from before the first library is
imported; the workers that pytest-xdist starts inherit that.
"""

from __future__ import annotations

import subprocess
import sys

WAYS = {"on cede's loop": ["-m", "pytest"], "with asyncio's names on cede's as well": ["-m", "cede", "run", "-m", "pytest"]}
NOTHING_CHOSEN = 5  # pytest's status: what the arguments choose has no test that is asked this way


def main(arguments: list[str]) -> int:
    statuses = []
    for way, command in WAYS.items():
        print(f"== {way}", flush=True)
        statuses.append(subprocess.run([sys.executable, *command, *arguments]).returncode)
    return next((status for status in statuses if status not in (0, NOTHING_CHOSEN)), min(statuses))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
