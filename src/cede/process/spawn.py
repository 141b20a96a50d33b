"""Starting a child: `subprocess.Popen` does it, with every option it has but those that would put text in its pipes.

Popen waits for the child's exec, which costs no time that the child would not need anyway, and raises what the exec raised; then it
has closed every descriptor that it made. Its pipes are real pipes: a child can open its own standard output anew by name.
"""

from __future__ import annotations

import subprocess
from typing import Any

# What would decode the pipes, or put a buffer between us and them, and the only value of each that makes sense here.
_FIXED = {"universal_newlines": False, "text": False, "encoding": None, "errors": None, "bufsize": 0}


def check_options(options: dict[str, Any]) -> None:
    """Take the fixed options out of `options`. Raises ValueError where one of them asks for something else."""
    for name, only in _FIXED.items():
        given = options.pop(name, only)
        if given is not None and given != only:
            raise ValueError(f"{name} must be {only}, not {given!r}: the pipes of a child carry bytes, as they come")


def spawn(args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, options: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the program. Raises what Popen raises: OSError where it cannot be run, subprocess.SubprocessError for a
    failing ``preexec_fn``, TypeError for an unknown option.
    """
    return subprocess.Popen(args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=0, **options)
