"""The innermost cancel scope of each task that is not cede's, and so has no place of its own for it."""

from __future__ import annotations

import weakref
from typing import Any

scopes: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
