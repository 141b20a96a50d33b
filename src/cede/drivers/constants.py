"""The uncompiled twins of the constants that contract.pxd declares."""

from __future__ import annotations

READ = 1
WRITE = 2
