# Run by a Python that starts as the child of a program under `cede run`, of whatever version and with or without cede. Then the one that
# it would have found without us. Plain statements only, which the oldest Pythons read.
import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))
_ours = sys.modules[__name__]
try:
    if sys.version_info >= (3, 11):  # noqa: UP036 - cede needs it, this file does not
        __import__("cede_start").begin()
finally:
    sys.path[:] = [path for path in sys.path if path != _folder]
    del sys.modules[__name__]
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
        sys.modules[__name__] = _ours
