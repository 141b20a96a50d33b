"""The chat server under a thousand clients: on cede, and beside it the same on asyncio.

    python examples/demo/main.py

Three processes: this one watches, a second is examples/chat_server.py, unchanged (`cede run` on the
one side, plain `python` on the other), a third is all the clients (clients.py). Both loops get the
same load, in two phases: a steady one that both can carry, where latency means something, and one
flat out, where the rate does. Every delivery is checked by its receiver; if one is missing, double
or out of order, the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
SERVER = HERE.parent / "chat_server.py"
LOOPS = {"cede": ["-m", "cede", "run"], "asyncio": []}
PHASES = ("steady", "flat out")
SPARE = 64  # descriptors that a process needs besides one for each client


class Failed(Exception):
    """The demo cannot go on; the text says why."""


@dataclass
class Load:
    clients: int
    room: int
    rate: float  # messages a second from each client, in the steady phase
    seconds: float  # for each phase
    patience: float  # seconds without news after which what is missing counts as lost

    def __str__(self) -> str:
        total = self.clients * self.rate
        return (
            f"{self.clients:,} clients in rooms of {self.room}, about 80 bytes a message. "
            f"Steady, {self.seconds:g} s: {total:,.0f} messages a second, {total * self.room:,.0f} deliveries a second. "
            f"Flat out, {self.seconds:g} s: every client has one message under way."
        )


@dataclass
class Outcome:
    """What one loop did with the load."""

    memory: float = math.nan  # KiB a client, in the server
    phases: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """Deliveries that are missing, and those that should not have been."""
        return sum(done["due"] - done["delivered"] + sum(done["wrong"].values()) for done in self.phases.values())


# ---- Looking at the server from outside -----------------------------------------------------------


def memory(pid: int) -> float:
    """KiB of a process that are in memory; NaN where there is no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return math.nan
    return float(status.split("VmRSS:")[1].split()[0])


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used; NaN where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- One run ---------------------------------------------------------------------------------------


def run(loop: str, script: str, load: Load) -> Outcome:
    command = [sys.executable, *LOOPS[loop], script, "--port", "0", "--rate", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            first = server.stdout.readline()
            if "listening" not in first:
                raise Failed(f"the server did not start: {' '.join(command)}")
            outcome = drive(loop, load, server.pid, int(first.split()[-1]))
            server.terminate()
            if server.wait(10) != 0:
                raise Failed(f"the server on {loop} ended with status {server.returncode}")
            return outcome
        except subprocess.TimeoutExpired:
            raise Failed(f"the server on {loop} did not end when it was told to") from None
        finally:
            server.kill()


def drive(loop: str, load: Load, pid: int, port: int) -> Outcome:
    """Set the clients on the server and watch."""
    facts = {
        "port": port,
        "clients": load.clients,
        "room": load.room,
        "rate": load.rate * load.clients,
        "seconds": load.seconds,
        "patience": load.patience,
    }
    command = [sys.executable, str(HERE / "clients.py")]
    command += [word for name, value in facts.items() for word in (f"--{name}", str(value))]
    empty = memory(pid)
    outcome = Outcome()
    progress = Progress(loop)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as clients:
        try:
            assert clients.stdin is not None
            assert clients.stdout is not None
            used = 0.0
            for line in clients.stdout:
                event = json.loads(line)
                match event.pop("event"):
                    case "connected":
                        outcome.memory = (memory(pid) - empty) / load.clients
                        used = go(clients.stdin, pid)
                    case "progress":
                        progress.show(event)
                    case "done":
                        event["server"] = cpu(pid) - used
                        outcome.phases[event["phase"]] = event
                        if len(outcome.phases) < len(PHASES):
                            used = go(clients.stdin, pid)
                    case "broken":
                        raise Failed(f"on {loop}: {event['why']}")
            if clients.wait(10) != 0 or len(outcome.phases) < len(PHASES):
                raise Failed(f"the clients of the server on {loop} ended early, status {clients.returncode}")
            return outcome
        finally:
            clients.kill()
            progress.end()


def go(clients: IO[str], pid: int) -> float:
    """Let the clients begin their next phase. The processor time that the server had used before."""
    used = cpu(pid)
    clients.write("go\n")
    clients.flush()
    return used


class Progress:
    """One line that is written over and over; where nobody watches, a new line every second."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._live = sys.stdout.isatty()
        self._last: tuple[str, int] | None = None

    def show(self, event: dict[str, Any]) -> None:
        seconds, delivered = event["seconds"], event["delivered"]
        text = (
            f"{self._loop:8} {event['phase']:9} {seconds:5.1f} s  {delivered:10,} delivered"
            f"  {delivered / max(seconds, 0.001):9,.0f} a second"
        )
        if self._live:
            print(f"\r{text}", end="", flush=True)
        elif (second := (event["phase"], int(seconds))) != self._last:
            self._last = second
            print(text, flush=True)

    def end(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", flush=True)


# ---- The table -------------------------------------------------------------------------------------


def rows(outcomes: dict[str, Outcome]) -> list[list[str]]:
    """Each row of the table: what, and the figure for each loop."""

    def row(what: str, figure: Any) -> list[str]:
        return [what, *(figure(outcome) for outcome in outcomes.values())]

    def latency(done: dict[str, Any]) -> str:
        return f"{done['p50']:,.2f} / {done['p99']:,.2f} ms" if "p50" in done else "-"

    def price(done: dict[str, Any]) -> str:
        return f"{done['server'] / max(done['delivered'], 1) * 1e6:.1f} us"

    table = [
        row("messages sent", lambda it: f"{sum(done['sent'] for done in it.phases.values()):,}"),
        row("messages delivered", lambda it: f"{sum(done['delivered'] for done in it.phases.values()):,}"),
        row("lost, twice or out of order", lambda it: f"{it.faults:,}"),
        row("memory per client", lambda it: f"{it.memory:.1f} KiB"),
    ]
    for phase in PHASES:
        table += [
            row(f"{phase}: delivered a second", lambda it, p=phase: f"{rate(it.phases[p]):,.0f}"),
            row(f"{phase}: latency p50 / p99", lambda it, p=phase: latency(it.phases[p])),
            row(f"{phase}: server CPU a delivery", lambda it, p=phase: price(it.phases[p])),
            row(f"{phase}: clients' own CPU", lambda it, p=phase: f"{it.phases[p]['cpu']:.0%}"),
        ]
    return table


def rate(done: dict[str, Any]) -> float:
    return float(done["delivered"] / done["seconds"])


def show(outcomes: dict[str, Outcome]) -> None:
    head = ["", *outcomes]
    table = rows(outcomes)
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(len(line[column]) for line in [head, *table]) for column in range(len(head))]
        for line in [head, *table]:
            cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
            print(line[0].ljust(widths[0]), *cells[1:], sep="  ")
        return
    rich = Table()
    for column, name in enumerate(head):
        rich.add_column(name, justify="right" if column else "left", no_wrap=True)
    for line in table:
        rich.add_row(*line, end_section=line[0].startswith(("memory", "steady: clients")))
    Console().print(rich)


# ---- The command -----------------------------------------------------------------------------------


def make_room(clients: int) -> None:
    """See to it that this process and its children may open a descriptor for each client."""
    need = clients + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    except (ValueError, OSError):
        raise Failed(
            f"{clients} clients need {need} open files, and this shell allows {hard} at most: "
            f"raise its limit (as root: ulimit -n {need}), or use --clients {max(1, hard - SPARE)}"
        ) from None


def number(kind: type[int] | type[float]) -> Any:
    """What argparse turns a word into a number above 0 with."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value <= 1_000_000:
            raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
        return value

    return parse


def main() -> int:
    parser = argparse.ArgumentParser(description="The chat server under a thousand clients, on cede and on asyncio.")
    parser.add_argument("--clients", type=number(int), default=1000, metavar="N", help="(%(default)s)")
    parser.add_argument("--room", type=number(int), default=20, metavar="N", help="clients in a room (%(default)s)")
    parser.add_argument("--rate", type=number(float), default=0.5, metavar="N", help="messages a second a client, steady (%(default)s)")
    parser.add_argument("--seconds", type=number(float), default=6.0, metavar="S", help="for a phase (%(default)s)")
    parser.add_argument("--loops", default="cede,asyncio", metavar="NAMES", help="which, in which order (%(default)s)")
    parser.add_argument("--server", default=str(SERVER), metavar="FILE", help="the program to load (chat_server.py)")
    parser.add_argument("--patience", type=number(float), default=10.0, metavar="S", help="wait for what is missing (%(default)s)")
    args = parser.parse_args()
    loops = args.loops.split(",")
    if unknown := [loop for loop in loops if loop not in LOOPS]:
        parser.error(f"--loops knows {' and '.join(LOOPS)}, not {unknown[0]!r}")
    load = Load(args.clients, args.room, args.rate, args.seconds, args.patience)
    started = time.monotonic()
    try:
        make_room(load.clients)
        print(load, flush=True)
        outcomes = {loop: run(loop, args.server, load) for loop in loops}
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped", file=sys.stderr)
        return 130
    show(outcomes)
    faults = sum(outcome.faults for outcome in outcomes.values())
    verdict = "Nothing was lost." if not faults else f"{faults:,} deliveries were lost, double or out of order."
    print(f"{verdict} All of it took {time.monotonic() - started:.0f} s.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
