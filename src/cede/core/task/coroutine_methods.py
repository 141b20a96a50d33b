# cython: auto_pickle=False, boundscheck=False, nonecheck=False
"""Make functions that return operations look like coroutine functions: to mocks, frameworks, schedulers and ``inspect``.

Each such function has a `form`, an ``async def`` function with the same parameters. Uncompiled, callers call the form. Compiled, the form
never runs: a call goes to the compiled function, without a coroutine in between, and the form provides the kind, signature and annotations.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


def coroutine_methods(owner: type, **forms: Any) -> None:
    """Turn the methods of these names, in `owner` itself, into coroutine functions. Call this before anybody derives from `owner`."""
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
    """Give objects of `owner` a ``__module__``, as objects of Python classes have: programs build names from it."""
    if cython.compiled and "__module__" not in vars(owner):
        put_in_type(owner, "__module__", owner.__module__)  # type: ignore # noqa: F821


def named(form: Any, qualname: str, module: str, doc: str | None) -> Any:
    """A copy of `form` under another name, because one form may serve several classes."""
    name = qualname.rpartition(".")[2]
    code = form.__code__.replace(co_name=name, co_qualname=qualname)
    made: Any = FunctionType(code, form.__globals__, name, form.__defaults__, form.__closure__)
    made.__kwdefaults__ = form.__kwdefaults__
    made.__annotations__ = dict(form.__annotations__)
    made.__qualname__ = qualname
    made.__module__ = module
    made.__doc__ = doc or form.__doc__
    return made
