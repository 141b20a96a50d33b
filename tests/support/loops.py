"""Whose loop it is."""

from __future__ import annotations

import asyncio


def is_cede(loop: asyncio.AbstractEventLoop) -> bool:
    return "cede" in type(loop).__module__
