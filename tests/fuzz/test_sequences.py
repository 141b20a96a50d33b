"""Sequences of calls on transports, servers and pipes, in a process of their own; and that the model sees what it is there for."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cede.core.task import task
from cede.loop.config import driver_names

from . import stage
from .stage import play

ROOT = Path(__file__).resolve().parents[2]
COMPILED = not (task.__file__ or "").endswith(".py")
PROGRAMS = 240 if COMPILED else 120


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("loop", [*driver_names(), "asyncio"])
def test_sequences_of_calls(loop: str, rng: random.Random, tmp_path: Path) -> None:
    seed, log = rng.randrange(2**32), tmp_path / "program"
    count = 60 if loop == "asyncio" else PROGRAMS // (len(driver_names()))
    options = ["--seed", str(seed), "--programs", str(count), "--loop", loop, "--log", str(log)]
    command = [sys.executable, "-m", "tests.fuzz.sequences", *options]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=500, check=False)
    if answer.returncode:
        how = signal.Signals(-answer.returncode).name if answer.returncode < 0 else f"exit status {answer.returncode}"
        pytest.fail(f"seed {seed} on {loop}: {how}\nlast program:\n{log.read_text()}\n{answer.stdout[-1000:]}\n{answer.stderr[-6000:]}")
    assert "nothing wrong in" in answer.stdout


class FaultyLoop(asyncio.SelectorEventLoop):
    """asyncio's, with a fault put in between transport and protocol."""

    def __init__(self, **faults: Callable[..., Any]) -> None:
        super().__init__()
        self.faults = faults

    def _make_socket_transport(self, sock: Any, protocol: Any, *args: Any, **kwargs: Any) -> Any:
        for name, fault in self.faults.items():
            original = getattr(protocol, name)
            setattr(protocol, name, lambda *args, original=original, fault=fault: fault(original, *args))
        return super()._make_socket_transport(sock, protocol, *args, **kwargs)  # type: ignore[misc]


def twice(original: Any, *args: Any) -> None:
    original(*args)
    original(*args)


def never(original: Any, *args: Any) -> None:
    pass


FAULTS: list[tuple[str, dict[str, Callable[..., Any]]]] = [
    ("other data than was sent", {"data_received": lambda original, data: original(data[1:] + b"?")}),
    ("the stream ended cleanly after", {"data_received": lambda original, data: original(data[:-1])}),
    ("data after close", {"connection_lost": lambda original, error: (original.__self__.data_received(b"x"), original(error))}),
    ("connection_made twice", {"connection_made": twice}),
    ("after connection_lost", {"connection_lost": twice}),
    ("never lost", {"connection_lost": never}),
    ("pause_writing twice", {"pause_writing": twice}),
    ("resume_writing without", {"resume_writing": twice}),
    ("eof_received twice", {"eof_received": twice}),
]


@pytest.mark.parametrize(("says", "faults"), FAULTS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_model_sees(says: str, faults: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "END_SECONDS", 0.3)
    steps: list[Any] = [
        ("open", "unix", (0, 0), ({}, {"keep": True}), True), ("turn", 3), ("act", 0, "write", 300_000), ("turn", 200),
        ("act", 0, "write", 10), ("turn", 6), ("act", 0, "eof", 0), ("turn", 6), ("act", 1, "close", 0), ("turn", 6),
    ]  # fmt: skip
    assert play(asyncio.SelectorEventLoop, True, False, steps) == []
    found = play(lambda: FaultyLoop(**faults), True, False, steps)
    assert any(says in fault for fault in found), found


def test_the_model_sees_what_is_left_behind() -> None:
    kept = []

    class Leaky(asyncio.SelectorEventLoop):
        def close(self) -> None:
            super().close()
            kept.append(os.open(os.devnull, os.O_RDONLY))

    try:
        assert any("descriptors left" in fault for fault in play(Leaky, True, False, [("turn", 1)]))
    finally:
        for number in kept:
            os.close(number)
