"""Which interpreter of the process this is. Compiled, cede runs in the main one only; uncompiled, in each.

A compiled class is one object for the whole process, and Cython binds it to the interpreter that imports it first. Were that a
sub-interpreter, the main one could not import cede any more, and would be left with pointers into an interpreter that may have
ended: so a sub-interpreter is refused before anything compiled is loaded.
"""

from __future__ import annotations

import threading
from importlib import import_module


def in_main_interpreter() -> bool:
    """Whether this is the main interpreter; True where that cannot be found out."""
    if hasattr(threading, "_is_main_interpreter"):  # Python 3.12
        return bool(threading._is_main_interpreter())
    try:
        interpreters = import_module("_xxsubinterpreters")  # Python 3.11 has nothing that is public
    except ImportError:
        return True
    return bool(interpreters.get_current() == interpreters.get_main())


def refuse_where_compiled() -> None:
    """To be called where this install is compiled. Raises ImportError in a sub-interpreter."""
    if not in_main_interpreter():
        raise ImportError(
            "cede is compiled here, and compiled it runs in the main interpreter only, not in a sub-interpreter: "
            "import it there, use asyncio's own loop here, or install cede uncompiled "
            "(CEDE_PURE=1 pip install --no-binary cede cede), which runs in each interpreter"
        )


# Whether threads may be daemons: a sub-interpreter aborts the process when it ends before they do, or does not allow them at all.
DAEMONS = in_main_interpreter()
