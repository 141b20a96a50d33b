"""The steps of a night: a command each, and where its output says how much was done."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One command. `{seed}` in it is the seed of the night. `counts` finds the numbers worth keeping, by name, in what it prints: the last
    match counts, and a step whose output has none of them has failed, whatever its exit status says."""

    name: str
    what: str
    command: tuple[str, ...]
    counts: tuple[str, ...]
    minutes: float
    environment: dict[str, str] = field(default_factory=dict)

    def found(self, output: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for pattern in self.counts:
            for match in re.finditer(pattern, output):
                counts.update({name: int(text.replace(",", "")) for name, text in match.groupdict().items() if text is not None})
        return counts


PASSED = r"(?P<passed>[\d,]+) passed"
PYTHON = sys.executable

STEPS = (
    Step("matrix", "cede's own suite and those of others, on every Python", ("make", "matrix"), (r"(?P<passed>\d+) tests passed",), 240),
    Step("asan", "the suite and the fuzzers, under AddressSanitizer and UndefinedBehaviorSanitizer", ("make", "asan"), (PASSED,), 90),
    Step("leaks", "the suite under a debug allocator, and the reference-leak loops", ("make", "leaks"), (PASSED,), 30),
    Step(
        "crowd",
        "15,000 idle TLS connections",
        (PYTHON, "-m", "pytest", "-q", "tests/net/tls/test_idle_crowd.py"),
        (PASSED,),
        15,
        {"CEDE_TEST_CROWD": "15000"},
    ),
    Step(
        "calls",
        "junk arguments for everything public, a process each time, without and with a debug allocator",
        (PYTHON, "-m", "pytest", "-q", "tests/fuzz/test_calls.py"),
        (PASSED,),
        30,
        {"CEDE_TEST_CALLS": "50"},
    ),
    Step(
        "sequences",
        "programs of calls on transports, servers and pipes, judged by a model",
        (PYTHON, "-m", "tests.fuzz.sequences", "--seed", "{seed}", "--seconds", "600"),
        (r"nothing wrong in (?P<programs>[\d,]+) programs",),
        30,
    ),
    Step(
        "differential",
        "random programs on asyncio and on cede, whose logs have to be equal",
        (PYTHON, "-m", "tests.differential", "--seed", "{seed}", "--seeds", "100000", "--lanes", "2"),
        (r"(?P<programs>\d+) programs from seed .*: (?P<different>\d+) differ, (?P<undecided>\d+) undecided",),
        120,
    ),
    Step(
        "faults",
        "faults of order that are put back, each of which the differential test has to find",
        (PYTHON, "-m", "tests.differential", "--seed", "{seed}", "--mutants"),
        (r"(?P<found>\d+) of \d+ faults are found",),
        10,
    ),
    Step(
        "reentry",
        "user code in every place where it can run, doing what it should not do there, under the sanitizers",
        ("make", "reentry", "STEPS=1000000", "ARGS=--seed {seed} --failures 20 --jobs 2"),
        (r"nothing wrong in (?P<steps>\d+) steps of (?P<programs>\d+) programs", r"(?P<failed>\d+) FAILED (?P<steps>\d+) steps"),
        120,
    ),
    Step(
        "suites",
        "libraries' own suites, on asyncio and under `cede run`",
        ("make", "suites"),
        (r"(?P<passed>\d+) tests pass on asyncio; under cede run (?P<different>\d+) of them fail",),
        150,
    ),
    Step(
        "soak",
        "servers under load and faults",
        (PYTHON, "-m", "tests.soak", "10", "--seed", "{seed}"),
        (r"(?P<answers>[\d,]+) answers",),
        30,
    ),
    Step(
        "rebuild",
        "how long a build takes after a change of one file",
        (PYTHON, "-m", "benchmarks", "--loops", "cede", "--rows", "install.rebuild", "--output", "build/nightly"),
        (r"build after a change of one file +(?P<seconds>\d+)",),
        30,
    ),
)
