"""Keeps these suites quick under pytest."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _settled_heap() -> Iterator[None]:
    # Many of CPython's tests collect garbage, up to a hundred times each, and pytest's own objects would be walked each time.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
