"""The benchmark command as a script: ``python benchmarks/run.py`` is the same as ``python -m benchmarks``."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # As a script only this folder is on the path; the package is one above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
