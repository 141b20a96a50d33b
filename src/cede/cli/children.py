"""What Python children of a program under `cede run` inherit: workers of servers, reloaded programs, process pools, other programs.

It travels in the environment, as all that a child of any kind inherits: CEDE_RUN says how, and PYTHONPATH names a folder with a
``sitecustomize``, which Python runs at each start (`cede.cli.start`). So it reaches whatever starts Python: multiprocessing's three ways,
subprocess, exec. It does not reach a child that is told to ignore the environment (-E, -I), one without ``site`` (-S), or one that is given
an environment without these two. A forked child is as its parent anyway.
"""

from __future__ import annotations

import os
from pathlib import Path

from cede.cli import servers
from cede.cli.start.cede_start import VARIABLE
from cede.runner.accelerate import accelerate

FOLDER = str(Path(__file__).with_name("start"))
PATHS = "PYTHONPATH"


def hand_down(names: bool) -> None:
    """Have the children of this process start on cede; names: asyncio's names too."""
    withhold()
    os.environ[VARIABLE] = "names" if names else "stock"
    os.environ[PATHS] = os.pathsep.join([FOLDER, *paths()])


def withhold() -> None:
    """Have them start as plain Python, also where this process itself is such a child."""
    os.environ.pop(VARIABLE, None)
    others = [path for path in paths() if path != FOLDER]
    if others:
        os.environ[PATHS] = os.pathsep.join(others)
    else:
        os.environ.pop(PATHS, None)


def paths() -> list[str]:
    value = os.environ.get(PATHS)
    return value.split(os.pathsep) if value else []


def inherit(how: str) -> None:
    """In a child: put it on cede as its parent was."""
    accelerate(names=how != "stock")
    servers.adapt()
