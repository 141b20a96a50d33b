"""Programs on asyncio and on cede, compared; one that differs is made as small as it gets."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle
from pathlib import Path
from typing import Any

from .drawing import draw

ROOT = Path(__file__).parents[2]
# Seconds for one batch, far more than it takes.
STUCK = 120
BATCH = 50
LONGEST_REPORT = 20_000
AHEAD = 3

# Why a program is undecided.
BY_FAILURE = "asyncio itself fails"
BY_ORDERS = "too many orders to try"
BY_TIME = "asyncio comes to no end in time"

# What asyncio reports of a transport that is asked something, or closed once more, when its connection is just gone. Where nothing else
# comes of it the rest of the log can be compared.
FAILURE_ALONE = "handler: AttributeError"

# A worker that cannot even start is tried so often.
STARTS = 3

Log = list[str]


class NoWorkerError(Exception):
    """A worker does not start: nothing can be compared."""


class Subject:
    """A worker process. It is started anew where a program has killed it.

    What it prints is shown where it dies. Where it dies before it is ready, no program was the cause; after a few times of that in a row
    `receive` raises NoWorkerError, with what it printed.
    """

    def __init__(self, subject: str, driver: str = "-", path: str | None = None) -> None:
        self.subject = subject
        self.driver = driver
        self.path = path
        self.process: Any = None
        self.printed: Any = None  # the file for what the process prints
        self.unread = b""
        self.ready = False
        self.failed_starts = 0
        self.asked: deque[list[Any]] = deque()  # batches whose answers are to come

    def __str__(self) -> str:
        return self.subject if self.subject == "asyncio" else f"{self.subject} on {self.driver}"

    def send(self, batch: list[Any]) -> None:
        """Several may be on their way; `rest` gives the answers, in order."""
        self.asked.append(batch)
        if self.process is None:
            environment = dict(os.environ)
            if self.path is not None:
                environment["PYTHONPATH"] = os.pathsep.join([self.path, environment.get("PYTHONPATH", "")])
            self.unread = b""
            self.ready = False
            self.printed = tempfile.TemporaryFile()  # noqa: SIM115
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.differential.worker", self.subject, self.driver],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.printed,
                env=environment,
                cwd=ROOT,
            )
        try:
            self.process.stdin.write(json.dumps(batch).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: `receive` finds out

    def receive(self) -> list[Any] | None:
        """What it answers; None where the process died of it, or never ended."""
        if not self.ready:
            self.ready = bool(self.line())
            self.failed_starts = 0 if self.ready else self.failed_starts + 1
        line = self.line() if self.ready else b""
        if not line:
            told = self.end()
            if self.failed_starts >= STARTS:
                raise NoWorkerError(f"the process of {self} did not start, {STARTS} times in a row:\n{told}")
            sys.stderr.write(told)
            return None
        answer: list[Any] = json.loads(line)
        return answer

    def line(self) -> bytes:
        """The next line, or an empty one where the process died, or takes too long for it."""
        number = self.process.stdout.fileno()
        until = time.monotonic() + STUCK
        while b"\n" not in self.unread:
            ready, _, _ = select.select([number], [], [], max(until - time.monotonic(), 0.0))
            more = os.read(number, 1 << 20) if ready else b""
            if not more:
                return b""
            self.unread += more
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def logs(self, batch: list[Any]) -> list[Log]:
        """The logs of a batch; that of a program that kills the process says so."""
        self.send(batch)
        return self.rest()

    def rest(self) -> list[Log]:
        """The logs of the first batch whose logs are to come."""
        answer = self.receive()
        batch = self.asked.popleft()
        if answer is not None:
            return answer
        later = [*self.asked]
        self.asked.clear()
        if not self.ready:
            for each in [batch, *later]:
                self.send(each)
            return self.rest()
        if len(batch) == 1:
            logs = [[f"the process of {self} died, or was stuck"]]
        else:
            logs = [self.logs([each])[0] for each in batch]
        for each in later:
            self.send(each)
        return logs

    def most_like(self, program: Any, log: Log) -> tuple[Log, bool]:
        """Of the oracle: which of its logs is most like this one, and whether there can be none that is more like it."""
        self.send([[program, log]])
        answer = self.receive()
        self.asked.popleft()
        if answer is None and not self.ready:
            return self.most_like(program, log)
        return ([f"the process of {self} died, or was stuck"], True) if answer is None else (answer[0][0], answer[0][1])

    def end(self) -> str:
        """End the process, if there is one: the last of what it printed."""
        if self.process is None:
            return ""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process = None
        with self.printed:
            self.printed.seek(0)
            return str(self.printed.read().decode(errors="replace"))[-LONGEST_REPORT:]


@dataclass
class Difference:
    """A program whose log is not asyncio's."""

    seed: int
    subject: Subject
    program: dict[str, Any]
    wanted: Log
    found: Log


@dataclass
class Comparison:
    """A run over many seeds. `inside`: programs without sockets only."""

    subjects: list[Subject]
    inside: bool = False
    lanes: int = 1  # how many processes there are of each subject
    second_oracle: Subject = field(default_factory=lambda: Subject("asyncio"))  # for what is asked while the first one plays on
    everybody: list[list[Subject]] = field(default_factory=list)
    played: int = 0
    undecided: dict[int, str] = field(default_factory=dict)  # seeds, and why

    def run(self, seeds: Iterator[int], until: float | None = None, progress: Callable[[], None] | None = None) -> Iterator[Difference]:
        """The differences, as they are found. `played` counts meanwhile, and `progress` is called between."""
        seeds = iter(seeds)
        for _ in range(self.lanes - len(self.everybody)):
            self.everybody.append([Subject("asyncio"), *(Subject(each.subject, each.driver, each.path) for each in self.subjects)])
        lanes = cycle(self.everybody)
        ahead: deque[tuple[list[Subject], list[Any], list[Any]]] = deque()
        while True:
            # Nobody waits for the slowest: each has batches to go on with. Written out they may be more than a pipe takes.
            while len(ahead) < (1 if self.inside else AHEAD * self.lanes) and (until is None or time.monotonic() < until):
                batch: list[Any] = [seed for _, seed in zip(range(BATCH), seeds, strict=False)]
                if not batch:
                    break
                programs: list[Any] = [draw(seed, inside=True) for seed in batch] if self.inside else batch
                lane = next(lanes)
                for subject in lane:
                    subject.send(programs)
                ahead.append((lane, batch, programs))
            if not ahead:
                return
            if progress is not None:
                progress()
            lane, batch, programs = ahead.popleft()
            wanted, *others = [subject.rest() for subject in lane]
            for at, seed in enumerate(batch):
                self.played += 1
                for subject, found in zip(self.subjects, others, strict=True):
                    told = self.judge(programs[at], wanted[at], found[at])
                    if isinstance(told, str):
                        self.undecided[seed] = told
                    elif told != found[at]:
                        yield Difference(seed, subject, draw(seed, inside=self.inside), told, found[at])

    def judge(self, program: Any, wanted: Log, found: Log) -> Log | str:
        """What asyncio's log should be where this was found: the same, or the one most like it, or why that cannot be said."""
        if found in (wanted, [line for line in wanted if line != FAILURE_ALONE]):
            return found
        if "stuck" in wanted:
            return BY_TIME
        if fails_in_asyncio(wanted):
            return BY_FAILURE  # another order may not fail, but to look for it takes longer than many programs
        like, all_tried = self.second_oracle.most_like(program, found)
        if like == found:
            return found
        if not all_tried:
            return BY_ORDERS
        return BY_FAILURE if fails_in_asyncio(like) else like

    def again(self, program: dict[str, Any], subject: Subject) -> tuple[Log, Log] | None:
        """The two logs of a program, where they differ."""
        wanted = self.second_oracle.logs([program])[0]
        found = subject.logs([program])[0]
        told = self.judge(program, wanted, found)
        return None if isinstance(told, str) or told == found else (told, found)

    def shrink(self, difference: Difference) -> Difference:
        """The same difference, or another one, in a program from which nothing more can be left out."""
        program = difference.program
        logs = (difference.wanted, difference.found)
        subject = Subject(difference.subject.subject, difference.subject.driver, difference.subject.path)  # the other one plays on
        smaller = True
        while smaller:
            smaller = False
            for candidate in without_something(program):
                told = self.again(candidate, subject)
                if told is not None:
                    program, logs, smaller = candidate, told, True
                    break
        subject.end()
        return Difference(difference.seed, difference.subject, program, *logs)

    def close(self) -> None:
        for subject in [self.second_oracle, *self.subjects, *chain(*self.everybody)]:
            subject.end()


def fails_in_asyncio(log: Log) -> bool:
    """Whether asyncio's TLS failed, as it does where data crosses a goodbye, which cede's waits out, and where a transport is asked
    something whose connection is just gone.
    """
    return any("SSLError" in line or "AttributeError" in line for line in log)


def without_something(thing: Any) -> Iterator[Any]:
    """What is left of a program when one list in it loses an entry; the largest pieces first."""
    if isinstance(thing, dict):
        for smaller in without_something(thing["tasks"]):
            yield {**thing, "tasks": smaller}
        return
    if not isinstance(thing, list):
        return
    is_statement = bool(thing) and isinstance(thing[0], str)
    if is_statement and any(is_parts(each) for each in thing):
        for at, argument in enumerate(thing):
            if is_parts(argument):
                for part, body in enumerate(argument):
                    for smaller in [[], *without_something(body)] if body else []:
                        yield [*thing[:at], [*argument[:part], smaller, *argument[part + 1 :]], *thing[at + 1 :]]
        return
    if not is_statement:
        for at in range(len(thing)):
            yield thing[:at] + thing[at + 1 :]
    else:
        for argument in thing[1:]:  # what a block holds, without the block
            if is_body(argument) and len(argument) == 1:
                yield argument[0]
    for at, part in enumerate(thing):
        if isinstance(part, list):
            for smaller in without_something(part):
                yield [*thing[:at], smaller, *thing[at + 1 :]]
        elif is_statement and at > 0 and type(part) is int and part > 1:
            yield [*thing[:at], 1, *thing[at + 1 :]]


def is_parts(thing: Any) -> bool:
    """Whether it is what a protocol does: four bodies, which cannot be fewer."""
    return isinstance(thing, list) and len(thing) == 4 and all(isinstance(each, list) and (not each or is_body(each)) for each in thing)


def shown(program: Any, depth: int = 0) -> Iterator[str]:
    """A program to be read."""
    indent = "    " * depth
    if isinstance(program, dict):
        for at, body in enumerate(program["tasks"]):
            yield f"task T{at}:"
            yield from shown(body, 1)
        return
    for name, *arguments in program:
        yield f"{indent}{name} {' '.join(str(each) for each in arguments if not holds_bodies(each))}".rstrip()
        for each in arguments:
            if holds_bodies(each):
                for body in [each] if is_body(each) else each:
                    yield f"{indent}  :"
                    yield from shown(body, depth + 1)


def is_body(thing: Any) -> bool:
    """Whether it is a list of statements."""
    return isinstance(thing, list) and bool(thing) and isinstance(thing[0], list) and bool(thing[0]) and isinstance(thing[0][0], str)


def holds_bodies(thing: Any) -> bool:
    """Whether it is such a list, or a list of them."""
    return isinstance(thing, list) and bool(thing) and isinstance(thing[0], list)


def side_by_side(wanted: Log, found: Log, name: str) -> Iterator[str]:
    """The two logs, marked where they part."""
    width = max([len(line) for line in wanted] + [20])
    yield f"  {'asyncio':{width}}   {name}"
    parted = False
    for at in range(max(len(wanted), len(found))):
        left = wanted[at] if at < len(wanted) else ""
        right = found[at] if at < len(found) else ""
        mark = " "
        if left != right and not parted:
            parted = True
            mark = ">"
        yield f"{mark} {left:{width}}   {right}"
