"""Tracebacks as the program's author expects them: their own frames, without those of the runtime underneath."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

# A chain of exceptions can be a graph, and groups nest: each exception is visited once.
Seen = set[int]


def is_ours(tb: TracebackType) -> bool:
    """True for a frame of cede. The module's name decides."""
    name = tb.tb_frame.f_globals.get("__name__")
    return isinstance(name, str) and (name == "cede" or name.startswith("cede."))


def without_head(tb: TracebackType | None, launcher: str) -> TracebackType | None:
    """tb from the first frame on that is the program's: after those of the launching module, and of the import system it called."""
    while tb is not None:
        name = tb.tb_frame.f_globals.get("__name__", "")
        if name != launcher and not name.startswith(("importlib.", "_frozen_importlib", "zipimport")):
            break
        tb = tb.tb_next
    return tb


def without_cede(tb: TracebackType | None) -> TracebackType | None:
    """tb with cede's frames cut out, wherever they are. A traceback of nothing else stays as it is: then the fault is cede's."""
    kept: list[TracebackType] = []
    entry = tb
    while entry is not None:
        if not is_ours(entry):
            kept.append(entry)
        entry = entry.tb_next
    if not kept:
        return tb
    for entry, following in zip(kept, [*kept[1:], None], strict=True):
        if entry.tb_next is not following:
            entry.tb_next = following
    return kept[0]


def clean(error: BaseException, seen: Seen | None = None) -> None:
    """Cuts cede's frames out of an exception, its causes and contexts, and the members of a group."""
    seen = set() if seen is None else seen
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = without_cede(each.__traceback__)
        pending += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions


def report_once(error: BaseException, launcher: str, *, whole: bool) -> None:
    """Arranges for the traceback that the interpreter is about to print to be the program's alone.

    The exception goes on upwards through our own frames, so that the interpreter ends the process as it always does (exit status,
    death by SIGINT, threads and atexit handlers first). Only the hook that prints is wrapped, and only now: the program has seen and set
    sys.excepthook as in plain Python, and its own hook is the one that gets called.

    launcher -- the name of the module whose leading frames are dropped
    whole -- keep cede's frames further down
    """
    tb = without_head(error.__traceback__, launcher)
    missing = object()
    hook: Any = getattr(sys, "excepthook", missing)

    def deliver(kind: type[BaseException], value: BaseException, _: TracebackType | None) -> None:
        value.__traceback__ = tb
        if not whole:
            clean(value)
        sys.last_traceback = value.__traceback__
        if hook is missing:
            del sys.excepthook
            print("sys.excepthook is missing", file=sys.stderr)
            sys.__excepthook__(kind, value, value.__traceback__)
            return
        sys.excepthook = hook
        try:
            hook(kind, value, value.__traceback__)
        except SystemExit:
            raise
        except BaseException as problem:
            # What the interpreter says of a hook that fails; left to it, this frame would be in the picture.
            problem.__traceback__ = problem.__traceback__ and problem.__traceback__.tb_next
            print("Error in sys.excepthook:", file=sys.stderr)
            sys.__excepthook__(type(problem), problem, problem.__traceback__)
            print("\nOriginal exception was:", file=sys.stderr)
            sys.__excepthook__(kind, value, value.__traceback__)

    sys.excepthook = deliver
