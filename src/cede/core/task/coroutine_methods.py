# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Functions that return operations, and are coroutine functions to whoever asks: mocks, frameworks, schedulers, ``inspect``.

Each has a `form`, an ``async def`` function of the same parameters. Uncompiled, the form is what is called. Compiled, it never runs: a call
goes to the compiled function, without a coroutine in between, and the form says what that is: its kind, its signature, its annotations.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


def coroutine_methods(owner: type, **forms: Any) -> None:
    """The methods of these names, in `owner` itself, are coroutine functions from now on. To be called before anybody derives from it."""
    for name, form in forms.items():
        method = vars(owner).get(name)
        made = named(form, f"{owner.__qualname__}.{name}", owner.__module__, None if method is None else method.__doc__)
        if cython.compiled:
            put_in_type(owner, name, new_coroutine_method(method, made))  # type: ignore # noqa: F821
        else:
            setattr(owner, name, made)


def coroutine_function(function: Any, form: Any) -> Any:
    """`function`, of a module, as a coroutine function."""
    made = named(form, function.__name__, function.__module__, function.__doc__)
    return new_coroutine_method(function, made) if cython.compiled else made  # type: ignore # noqa: F821


def tell_module(owner: type) -> None:
    """Objects of `owner` have a ``__module__``, as those of any class that was written in Python: programs make names of the two."""
    if cython.compiled and "__module__" not in vars(owner):
        put_in_type(owner, "__module__", owner.__module__)  # type: ignore # noqa: F821


def named(form: Any, qualname: str, module: str, doc: str | None) -> Any:
    """`form` once more under another name, since one may serve several classes."""
    name = qualname.rpartition(".")[2]
    code = form.__code__.replace(co_name=name, co_qualname=qualname)
    made: Any = FunctionType(code, form.__globals__, name, form.__defaults__, form.__closure__)
    made.__kwdefaults__ = form.__kwdefaults__
    made.__annotations__ = dict(form.__annotations__)
    made.__qualname__ = qualname
    made.__module__ = module
    made.__doc__ = doc or form.__doc__
    return made
