"""checkpoint: give way, and be cancelled where that is due."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from cede.core.task.coroutine_methods import coroutine_function
from cede.core.task.coroutines import pass_a_turn
from cede.tasks.sleep import sleep


def checkpoint() -> Coroutine[Any, Any, None]:
    """``await checkpoint()`` lets the others run for a turn. In a cancelled scope, or a cancelled task, it raises CancelledError."""
    return sleep(0)


checkpoint = coroutine_function(checkpoint, pass_a_turn)
