"""Debug mode: a transport knows where it was made, and says so in its repr, and by that in each warning and report about it."""

from __future__ import annotations

from typing import Any

from cede.core.task.handle import creation_stack


def note_origin(transport: Any) -> None:
    """Keep the stack that makes `transport`, under asyncio's name for such stacks."""
    transport._source_traceback = creation_stack()


def origin_of(transport: Any) -> list[str]:
    """What a repr adds: the line of the program that asked for `transport`; nothing where it was not noted."""
    stack = getattr(transport, "_source_traceback", None)
    if not stack:
        return []
    return [f"created at {stack[-1][0]}:{stack[-1][1]}"]
