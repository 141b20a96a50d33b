"""The uncompiled twins of the constants that base.pxd declares."""

from __future__ import annotations

READ = 1
WRITE = 2
