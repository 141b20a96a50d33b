"""CPython's suite "primitives" on cede."""

from __future__ import annotations

import pytest

from . import plan

# The tests are CPython's, and so is how they deal with warnings: some provoke them on purpose.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(not plan.available(), reason=plan.MISSING),
]

globals().update(plan.classes("primitives"))


def test_suite_is_there() -> None:
    """Says so, as a skip, where the interpreter has no tests to run."""
    assert plan.available()
