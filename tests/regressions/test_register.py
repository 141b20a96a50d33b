"""The register of reported cases is complete, and each test that it names exists and says which report it is about."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CASES: list[dict[str, Any]] = tomllib.loads((HERE / "register.toml").read_text())["case"]
NUMBERS = sorted([*map(str, range(1, 81)), "44a", "44b", "73a", "73b"], key=lambda number: (int(number.rstrip("ab")), number))

# "uvloop 738", "uvloop#738", and more of the same place behind it: "uvloop 738, 740".
THREADS = re.compile(r"([A-Za-z][\w.-]*)[ #](\d+)((?:, #?\d+)*)")
WEAKNESSES = re.compile(r"CVE-\d+-\d+")


def threads_in(text: str) -> set[str]:
    """The reports that a docstring names."""
    found = set(WEAKNESSES.findall(text))
    for place, first, more in THREADS.findall(text):
        found |= {f"{place} {number}" for number in (first, *re.findall(r"\d+", more))}
    return found


@cache
def docstrings_in(file: str) -> dict[str, str]:
    """Name -> docstring of the tests in a file."""
    tree = ast.parse((ROOT / file).read_text())
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_each_number_is_there_once() -> None:
    assert [case["number"] for case in CASES] == NUMBERS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["number"])
def test_a_case_is_tested_or_waits_for_something(case: dict[str, Any]) -> None:
    assert set(case) <= {"number", "threads", "what", "tests", "later"}
    assert case["threads"]
    assert case["what"]
    tests = case.get("tests", [])
    assert tests or case.get("later"), "neither tested nor told what it waits for"
    named: set[str] = set()
    for node in tests:
        file, _, name = node.partition("::")
        assert name in docstrings_in(file), f"{node} does not exist"
        here = threads_in(docstrings_in(file)[name])
        assert here & set(case["threads"]), f"{node} names none of {case['threads']}"
        named |= here
    if tests:
        assert set(case["threads"]) <= named, "no test says that it is about " + ", ".join(sorted(set(case["threads"]) - named))


def test_no_regression_stands_beside_the_register() -> None:
    registered = {node for case in CASES for node in case.get("tests", [])}
    for path in sorted(HERE.glob("test_*.py")):
        if path.name == Path(__file__).name:
            continue
        file = str(path.relative_to(ROOT))
        for name, text in docstrings_in(file).items():
            assert f"{file}::{name}" in registered or not threads_in(text), (
                f"{file}::{name} is about a report that the register does not name"
            )
