"""The cluster of the running context: the innermost block that was entered in it."""

from __future__ import annotations

import contextvars
from typing import Any

current: contextvars.ContextVar[Any] = contextvars.ContextVar("cede_cluster")
