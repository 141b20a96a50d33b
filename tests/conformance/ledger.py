"""The ledgers, one for each suite: which tests are not expected to pass, on which Pythons, and why.

An entry must earn its place. A test under an entry is run as an expected failure, so the run fails as soon as it passes (the entry is
stale); an entry that matches no test fails the run too. Only an entry with ``skip = true`` keeps its tests from running: that is for what
would crash or hang the interpreter, or for a test whose outcome is not decided by the code under test. One with ``may_pass = true`` is
for a test whose outcome is decided by chance, and one with ``without = "..."`` for a machine that lacks what its tests need.

An entry with ``inner = true`` says that its tests are about the inside of one implementation, and so say nothing about any other: they
are left out of the count for every loop. Without it an entry is a difference of cede's own, and counts for cede alone. A ``[[module]]``
is a whole file that is not run, for such a reason.

A suite that is run with asyncio's names on cede's has the ledger of the same suite on cede's loop alone, and one of its own on top of that:
what the second says of a test takes the place of what the first says. An entry there with ``passes = true`` says that the test passes.
"""

from __future__ import annotations

import functools
import inspect
import socket
import sys
import tomllib
import unittest
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

LEDGERS = Path(__file__).with_name("ledgers")
SUITES = ("classes", "cpython", "cpython-names", "uvloop", "uvloop-names", "anyio", "anyio-names")
NAMES = "-names"  # ends the name of a suite that is run once more, with asyncio's names on cede's
KNOWN = ("3.11", "3.12", "3.13", "3.14", "3.15")
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def resolves(host: str, family: int) -> bool:
    try:
        socket.getaddrinfo(host, None, family)
    except OSError:
        return False
    return True


# What a machine may lack, and how that is found out.
LACKING = {
    "localhost over IPv6": functools.cache(lambda: resolves("localhost", socket.AF_INET6)),
    "a name server": functools.cache(lambda: resolves("example.org", socket.AF_UNSPEC)),
}


@dataclass
class Entry:
    tests: tuple[str, ...]  # patterns of "Class.test_name", or of "module.Class.test_name" where a suite has modules
    reason: str
    python: tuple[str, ...] = KNOWN  # "3.12", or "3.12 before 3.12.6" for what a later release of that version changed
    build: str = "any"
    skip: bool = False
    inner: bool = False
    may_pass: bool = False
    passes: bool = False  # for a test that fails by an entry below this one
    without: str = ""  # the entry counts only on a machine that lacks this; its tests are skipped there
    matched: set[str] = field(default_factory=set)

    def applies(self, build: str) -> bool:
        here = self.build in ("any", build) and any(covers(listed) for listed in self.python)
        return here and (not self.without or not LACKING[self.without]())

    def covers(self, name: str) -> bool:
        return any(name == pattern or fnmatchcase(name, pattern) for pattern in self.tests)

    def unmatched(self) -> list[str]:
        return [pattern for pattern in self.tests if not any(name == pattern or fnmatchcase(name, pattern) for name in self.matched)]


class Ledger:
    def __init__(self, entries: list[Entry], build: str, on_top: list[Entry] | None = None) -> None:
        self.build = build
        self.layers = [[entry for entry in layer if entry.applies(build)] for layer in (on_top or [], entries)]

    @property
    def entries(self) -> list[Entry]:
        return [entry for layer in self.layers for entry in layer]

    def mark(self, cls: type[unittest.TestCase]) -> None:
        """Give each test of `cls` that is in the ledger its mark."""
        for name in unittest.defaultTestLoader.getTestCaseNames(cls):
            full = f"{cls.__name__}.{name}"
            entry = self.find(full)
            if entry is not None:
                setattr(cls, name, marked(getattr(cls, name), entry))

    def find(self, name: str) -> Entry | None:
        """The entry for that test. Raises ValueError where there are two."""
        chosen: Entry | None = None
        for layer in self.layers:
            hits = [entry for entry in layer if entry.covers(name)]
            if len(hits) > 1:
                raise ValueError(f"the ledger has {len(hits)} entries for {name}: one test, one reason")
            for entry in hits:
                entry.matched.add(name)
                chosen = chosen or entry
        return None if chosen is None or chosen.passes else chosen

    def unmatched(self, begin: str = "") -> list[str]:
        """Patterns that apply to this Python and this build, begin with that text, and match no test."""
        return [pattern for entry in self.entries for pattern in entry.unmatched() if pattern.startswith(begin)]


def marked(test: Any, entry: Entry) -> Any:
    """A copy of `test`: the original is the interpreter's, and may be run by someone else."""
    if entry.skip:
        return unittest.skip(f"ledger: {entry.reason}")(test)
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            return await test(*args, **kwargs)

        return unittest.expectedFailure(run_async)

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> Any:
        return test(*args, **kwargs)

    return unittest.expectedFailure(run)


def parse(text: str) -> list[Entry]:
    entries = []
    for number, raw in enumerate(tomllib.loads(text).get("entry", []), 1):
        unknown = set(raw) - {"tests", "reason", "python", "build", "skip", "inner", "may_pass", "passes", "without"}
        if unknown:
            raise ValueError(f"ledger entry {number}: unknown keys {sorted(unknown)}")
        tests = raw.get("tests")
        if not tests or not isinstance(tests, list):
            raise ValueError(f"ledger entry {number}: 'tests' must be a list of patterns")
        if len(raw.get("reason", "").split()) < 5:
            raise ValueError(f"ledger entry {number}: needs a reason that a reader can judge")
        python = versions(raw.get("python", KNOWN), number)
        if raw.get("build", "any") not in ("any", "pure", "compiled"):
            raise ValueError(f"ledger entry {number}: build is 'any', 'pure' or 'compiled', not {raw['build']!r}")
        reason = " ".join(raw["reason"].split())
        without = raw.get("without", "")
        if without and without not in LACKING:
            raise ValueError(f"ledger entry {number}: without is one of {', '.join(LACKING)}, not {without!r}")
        flags = {key: raw.get(key, False) for key in ("skip", "inner", "may_pass", "passes")}
        entries.append(Entry(tuple(tests), reason, python, raw.get("build", "any"), without=without, **flags))
        entries[-1].skip |= bool(without)
    return entries


def versions(listed: Iterable[str], number: int) -> tuple[str, ...]:
    chosen = tuple(listed)
    strangers = [item for item in chosen if item.partition(" before ")[0] not in KNOWN]
    if strangers or not chosen:
        raise ValueError(f"ledger entry {number}: 'python' lists versions among {', '.join(KNOWN)}, not {strangers}")
    return chosen


def covers(listed: str) -> bool:
    """Whether this interpreter is one that `listed` means."""
    version, _, limit = listed.partition(" before ")
    return version == HERE and (not limit or sys.version_info[:3] < tuple(int(part) for part in limit.split(".")))


def load(suite: str, build: str, inner_only: bool = False) -> Ledger:
    """The ledger of that suite; `inner_only` for a loop that is not cede."""
    layers = []
    for path in paths(suite):
        entries = parse(path.read_text()) if path.exists() else []
        layers.append([entry for entry in entries if entry.inner or entry.without or not inner_only])
    return Ledger(layers[0], build, layers[1] if len(layers) > 1 else None)


def paths(suite: str) -> list[Path]:
    """The files of that suite, what lies on top last."""
    return [LEDGERS / f"{name}.toml" for name in dict.fromkeys((suite.removesuffix(NAMES), suite))]


def modules_left_out(suite: str) -> dict[str, str]:
    """Module -> why it is not run. Raises ValueError for an entry without a reason."""
    left_out = {}
    for path in paths(suite):
        for raw in tomllib.loads(path.read_text()).get("module", []) if path.exists() else []:
            if set(raw) != {"names", "reason"} or len(raw["reason"].split()) < 5:
                raise ValueError(f"{path.name}: a [[module]] has 'names' and a 'reason' that a reader can judge, not {raw}")
            for name in raw["names"]:
                left_out[name] = " ".join(raw["reason"].split())
    return left_out
