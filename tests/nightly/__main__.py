"""``make nightly``: everything that is too long for continuous integration, one step after the other.

The results are kept in ``docs/nightly.json``: for each step the commit, the seed, what was counted, and whether it ended well. A step that
was left out keeps the result that it had, with the commit that it was of.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.nightly.steps import STEPS, Step

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "nightly"
LAST_LINES = 40


def main() -> int:
    names = [step.name for step in STEPS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.nightly", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.epilog = "steps:\n" + "\n".join(f"  {step.name:14} {step.what}; at most {step.minutes:g} minutes" for step in STEPS)
    option = parser.add_argument
    option("step", nargs="*", help="only these (default: all)")
    option("--seed", type=int, default=None, help="for what is drawn at random (default: drawn, and kept with the results)")
    option("--results", type=Path, default=ROOT / "docs" / "nightly.json", help="where the results are kept (default: docs/nightly.json)")
    options = parser.parse_args()
    for name in options.step:
        if name not in names:
            parser.error(f"{name} is no step: choose from {', '.join(names)}")
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    results: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    commit = commit_of_this_tree()
    print(f"commit {commit}, seed {seed}", flush=True)
    well = True
    for step in STEPS:
        if options.step and step.name not in options.step:
            continue
        result = run(step, seed)
        results[step.name] = {"commit": commit, "seed": seed, "date": f"{datetime.now(UTC):%Y-%m-%d}", **result}
        options.results.write_text(json.dumps(results, indent=2) + "\n")
        well = well and result["ended"] == "well"
    return 0 if well else 1


def commit_of_this_tree() -> str:
    """The commit that is tested; where files differ from it, it says so."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + (" and changes" if git("status", "--porcelain", "--", "src", "tests") else "")


def run(step: Step, seed: int) -> dict[str, Any]:
    """Run one step, print its lines as they come, and say what came of it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{step.name}.log"
    command = [word.replace("{seed}", str(seed)) for word in step.command]
    print(f"== {step.name}: {' '.join(command)}", flush=True)
    began = time.monotonic()
    lines = []
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **step.environment, "CEDE_TEST_SEED": str(seed), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    late = False

    def end_it(*_: object) -> None:
        nonlocal late
        late = True
        os.killpg(process.pid, signal.SIGKILL)

    before = signal.signal(signal.SIGALRM, end_it)
    signal.setitimer(signal.ITIMER_REAL, step.minutes * 60)
    try:
        assert process.stdout is not None
        with process.stdout as output, log.open("w") as kept:
            for line in output:
                lines.append(line)
                kept.write(line)
                print(f"  {step.name} | {line}", end="", flush=True)
        status = process.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    seconds = time.monotonic() - began
    counts = step.found("".join(lines))
    if late:
        ended = f"not within {step.minutes:g} minutes"
    elif status:
        ended = f"with status {status}"
    elif not counts:
        ended = "without a word of what it did"
    else:
        ended = "well"
    print(f"== {step.name} ended {ended}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}; {seconds:.0f} s", flush=True)
    if ended != "well":
        print("".join(lines[-LAST_LINES:]), file=sys.stderr)
    return {"ended": ended, "counts": counts, "seconds": round(seconds)}


if __name__ == "__main__":
    sys.exit(main())
