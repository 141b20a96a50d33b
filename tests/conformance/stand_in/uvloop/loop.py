"""Where uvloop keeps its compiled loop."""

from __future__ import annotations

from . import Loop as Loop
