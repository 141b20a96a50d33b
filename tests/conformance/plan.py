"""Which suites there are, made once for the subject that was asked for."""

from __future__ import annotations

import functools
import importlib.util
import unittest
from collections.abc import Callable

from . import ledger

SUITES = ("tasks", "futures", "eager", "users", "primitives")
MISSING = (
    "this Python was installed without its own tests (test.test_asyncio): install the package that holds them, "
    "libpython3-testsuite on Debian and Ubuntu (libpython3.X-testsuite for one version), python3-test on Fedora"
)


def available() -> bool:
    """Whether the interpreter ships the tests."""
    try:
        return importlib.util.find_spec("test.test_asyncio") is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def whole() -> tuple[dict[str, dict[str, type[unittest.TestCase]]], ledger.Ledger]:
    """Suite name -> class name -> class, and the ledger that has been laid over them."""
    from . import primitives, subject, suites

    chosen = subject.chosen()
    book = ledger.load("classes", chosen.build) if chosen.name == "Cede" else ledger.Ledger([], chosen.build)
    fill: dict[str, Callable[[suites.Maker], None]] = {
        "tasks": suites.task_classes,
        "futures": suites.future_classes,
        "eager": suites.eager_classes,
        "users": suites.user_classes,
        "primitives": primitives.primitive_classes,
    }
    planned = {}
    for name in SUITES:
        make = suites.Maker(chosen, f"{__package__}.test_{name}", book)
        fill[name](make)
        planned[name] = make.classes
    return planned, book


def classes(name: str) -> dict[str, type[unittest.TestCase]]:
    """The classes of one suite by name; none where the interpreter has no tests."""
    return whole()[0][name] if available() else {}
