"""A test only tests if it catches: the faults of order that cede once had, or might get, are put back one by one, and each has to be found.

The faults are put into a copy of the package's Python source, which runs uncompiled, on the selector driver. Where the text that a fault
replaces is gone, this says so: then the fault has to be written anew.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

from .compare import Comparison, Subject
from .drawing import draw

SOURCE = Path(__file__).parents[2] / "src"
WITHIN = 200

# The name of a fault: files, a text in each, and what stands there instead.
MUTANTS: dict[str, list[tuple[str, str, str]]] = {
    "poll first": [
        (
            "core/scheduler/kernel.py",
            """            self._batches += 1
            ring.wake(driver)
""",
            """            self._batches += 1
            ring.wake_first(driver)
""",
        )
    ],
    "timers first": [
        (
            "core/pure/turn.py",
            """        timers.take_due(now, ring)
""",
            """        due: Any = type(ring)()
        timers.take_due(now, due)
        ring.extendleft(reversed(due))
""",
        )
    ],
    "polls skipped": [
        (
            "core/scheduler/kernel.py",
            "(driver.acted or (not told and self._poll_is_due()))",
            "(not told and self._poll_is_due())",
        ),
        # An uncompiled turn takes longer than a compiled one: skipped is what those would skip.
        ("core/scheduler/kernel.py", "POLL_WITHIN = 50e-6", "POLL_WITHIN = 1.0"),
    ],
    "handle resolved late": [
        (
            "drivers/selector/driver.py",
            "if channel.stamp == poll:",
            "if False:",
        )
    ],
    "ends come late": [
        (
            "drivers/selector/streams.py",
            "            self.driver.acted = True  # a sender on this loop may have room again; and there may be more data, or the end\n",
            "",
        ),
        (
            "drivers/selector/pipes.py",
            "        self.driver.acted = True  # there may be more data, or the end\n",
            "",
        ),
    ],
    "groups end early": [
        (
            "tasks/gather.py",
            """            self.last = child
            self.kernel._ready.wake(self)
""",
            """            self.last = child
            self.run_ready()
""",
        )
    ],
    "pipes end in place": [
        (
            "net/pipe/read_pipe.py",
            "self.kernel.call_soon(self.protocol.eof_received, context=self.context.copy())",
            "self.protocol.eof_received()",
        )
    ],
    "signals run in place": [
        (
            "loop/signals.py",
            "self.call_soon(heard._run)",
            "heard._run()",
        )
    ],
    "posts wait for the turn": [
        (
            "core/scheduler/run_queue.py",
            "if self._thread_id == threading.get_ident():\n            self._post_from_home(handle)",
            "if False:\n            self._post_from_home(handle)",
        )
    ],
}


# Those that are sought in programs of one kind alone.
OF_A_KIND = {"ends come late": "ends", "pipes end in place": "pipes", "signals run in place": "signals"}


@contextmanager
def mutated(name: str) -> Iterator[str]:
    """A folder with the package that has the fault."""
    with tempfile.TemporaryDirectory(prefix="cede-mutant-") as folder:
        package = Path(folder, "cede")
        shutil.copytree(SOURCE / "cede", package, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
        for file, before, after in MUTANTS[name]:
            source = (package / file).read_text()
            if source.count(before) != 1:
                raise SystemExit(f"mutant {name!r}: the text that it replaces stands {source.count(before)} times in {file}, not once")
            (package / file).write_text(source.replace(before, after))
        yield folder


def found_at(name: str, first: int, within: int = WITHIN) -> int | None:
    """Which of so many programs, from the seed `first` on, finds the fault; None where none does."""
    kind = OF_A_KIND.get(name, "basic")
    seeds = list(islice((seed for seed in count(first) if kind in draw(seed)["kinds"]), within))
    with mutated(name) as folder:
        comparison = Comparison([Subject("names", "selector", folder)])
        try:
            for difference in comparison.run(iter(seeds)):
                return seeds.index(difference.seed) + 1
        finally:
            comparison.close()
    return None


def show(first: int) -> int:
    """Say of each fault after how many programs it is found. The status of the process: 1 where one is not."""
    missed = 0
    for name in MUTANTS:
        began = time.monotonic()
        at = found_at(name, first)
        missed += at is None
        kind = f" with {OF_A_KIND[name]}" if name in OF_A_KIND else ""
        told = f"NOT FOUND in {WITHIN} programs{kind}" if at is None else f"found by program {at}{kind}"
        print(f"{name}: {told} from seed {first} on, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(MUTANTS) - missed} of {len(MUTANTS)} faults are found", file=sys.stderr if missed else sys.stdout)
    return 1 if missed else 0
