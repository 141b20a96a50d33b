"""Who asks what kind of function a name is, gets asyncio's answer: frameworks, mocks and schedulers decide by it whether to await.

The questions are put to every class and function that cede has from asyncio, and to what is cede's own.
"""

from __future__ import annotations

import ast
import asyncio
import asyncio.subprocess
import copy
import functools
import inspect
import pickle
import socket
import sys
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import cede


def asked_of_asyncio(thing: Any) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.iscoroutinefunction(thing)


def kind_of(thing: Any) -> tuple[bool, bool, bool]:
    return inspect.iscoroutinefunction(thing), asked_of_asyncio(thing), inspect.isasyncgenfunction(thing)


def pairs() -> Iterator[tuple[str, Any, Any]]:
    """(name, asyncio's, cede's) of what both have and is not the same object."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in sorted(set(dir(asyncio)) & set(cede.__all__)):
            theirs, ours = getattr(asyncio, name), getattr(cede, name)
            if theirs is not ours and not name.startswith("_"):
                yield name, theirs, ours
    for name in ("Process", "SubprocessStreamProtocol"):
        yield f"subprocess.{name}", getattr(asyncio.subprocess, name), getattr(cede.subprocess, name)
    yield "a loop", asyncio.SelectorEventLoop, cede.EventLoop


def names_of(thing: Any) -> Iterator[str]:
    for name in dir(thing):
        if not name.startswith("__") or name in ("__aenter__", "__aexit__", "__anext__"):
            yield name


CLASSES = [(name, theirs, ours) for name, theirs, ours in pairs() if isinstance(theirs, type)]
FUNCTIONS = [(name, theirs, ours) for name, theirs, ours in pairs() if not isinstance(theirs, type) and callable(theirs)]
METHODS = [
    pytest.param(getattr(theirs, each), getattr(ours, each), id=f"{name}.{each}")
    for name, theirs, ours in CLASSES
    for each in names_of(theirs)
    if callable(getattr(theirs, each)) and hasattr(ours, each)
]


def test_there_is_something_to_compare() -> None:
    assert len(CLASSES) > 15
    assert len(METHODS) > 300
    assert sum(inspect.iscoroutinefunction(each.values[0]) for each in METHODS) > 80


@pytest.mark.parametrize(("theirs", "ours"), METHODS)
def test_method_is_of_the_same_kind(theirs: Any, ours: Any) -> None:
    assert kind_of(ours) == kind_of(theirs)


@pytest.mark.parametrize(("theirs", "ours"), [pytest.param(*each[1:], id=each[0]) for each in FUNCTIONS])
def test_function_is_of_the_same_kind(theirs: Any, ours: Any) -> None:
    assert kind_of(ours) == kind_of(theirs)


def is_public_coroutine_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) and not function.__name__.startswith("_")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    # Not BaseEventLoop: it has no operations of its own, and AbstractEventLoop's names are not those of any loop.
    [each for each in METHODS if is_public_coroutine_function(each.values[0]) and not str(each.id).startswith("BaseEventLoop")]
    + [pytest.param(*each[1:], id=each[0]) for each in FUNCTIONS if is_public_coroutine_function(each[1])],
)
def test_coroutine_function_is_called_in_the_same_way(theirs: Any, ours: Any) -> None:
    """What asyncio's takes, ours takes, by the same names and with the same defaults; cede's own come behind it, by name."""
    wanted, given = inspect.signature(theirs).parameters, inspect.signature(ours).parameters
    if any(each.kind is each.VAR_KEYWORD for each in (*given.values(), *wanted.values())):
        return
    for name, parameter in wanted.items():
        assert name in given
        assert given[name].kind is parameter.kind
        assert (given[name].default is parameter.empty) == (parameter.default is parameter.empty)
    for name in set(given) - set(wanted):
        assert given[name].default is not inspect.Parameter.empty


def instances() -> dict[str, Callable[[Any], Any]]:
    return {
        "Lock": lambda of: of.Lock(),
        "Event": lambda of: of.Event(),
        "Condition": lambda of: of.Condition(),
        "Semaphore": lambda of: of.Semaphore(),
        "BoundedSemaphore": lambda of: of.BoundedSemaphore(),
        "Barrier": lambda of: of.Barrier(1),
        "Queue": lambda of: of.Queue(),
        "PriorityQueue": lambda of: of.PriorityQueue(),
        "LifoQueue": lambda of: of.LifoQueue(),
        "TaskGroup": lambda of: of.TaskGroup(),
        "timeout": lambda of: of.timeout(1),
        "StreamReader": lambda of: of.StreamReader(),
        "StreamReaderProtocol": lambda of: of.StreamReaderProtocol(of.StreamReader()),
        "StreamWriter": lambda of: of.StreamWriter(mock.Mock(is_closing=lambda: True), None, None, asyncio.get_running_loop()),
        "the loop": lambda of: asyncio.get_running_loop(),
    }


@pytest.mark.parametrize("name", list(instances()))
def test_bound_method_is_of_the_same_kind(name: str) -> None:
    """As `is_async_callable` of the web frameworks asks: bound, and wrapped in ``functools.partial``."""
    make = instances()[name]

    async def kinds_on(module: Any) -> tuple[dict[str, Any], Any]:
        made = make(module)
        found = {}
        for each in names_of(made):
            method = getattr(made, each, None)
            if callable(method):
                found[each] = (*kind_of(method), *kind_of(functools.partial(method)), inspect.ismethod(method))
        return found, made

    wanted, _ = run_on(asyncio.SelectorEventLoop, kinds_on(asyncio))
    given, _ = run_on(cede.new_event_loop, kinds_on(cede))
    coroutines = {each for each, kinds in wanted.items() if kinds[0]}
    assert coroutines
    assert {each: given[each] for each in coroutines & set(given)} == {each: wanted[each] for each in coroutines & set(given)}
    assert not {each for each, kinds in given.items() if kinds[0] and not each.startswith("_")} - coroutines


def run_on(factory: Any, coroutine: Any) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


MOCKED = [each for each in CLASSES if any(is_public_coroutine_function(getattr(each[1], name)) for name in names_of(each[1]))]
MAKERS: dict[str, Callable[[Any], Any]] = {"spec": lambda kind: mock.MagicMock(spec=kind), "autospec": mock.create_autospec}


@pytest.mark.parametrize(("theirs", "ours"), [pytest.param(*each[1:], id=each[0]) for each in MOCKED])
@pytest.mark.parametrize("make", list(MAKERS.values()), ids=list(MAKERS))
def test_mock_can_be_awaited(make: Callable[[Any], Any], theirs: Any, ours: Any) -> None:
    wanted, given = make(theirs), make(ours)
    for name in names_of(theirs):
        if is_public_coroutine_function(getattr(theirs, name)):
            assert isinstance(getattr(given, name), mock.AsyncMock) == isinstance(getattr(wanted, name), mock.AsyncMock), name


def told_to_be_awaited() -> Iterator[tuple[str, str, str]]:
    """(module, class or "", name) of each public function whose annotation says that what it returns is to be awaited."""
    root = Path(cede.__file__).parent
    for path in sorted(root.rglob("*.py")):
        module = ".".join(("cede", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        for owner in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.ClassDef, ast.Module))):
            nested = [inner for each in owner.body if isinstance(each, ast.If) for inner in (*each.body, *each.orelse)]
            for node in (*owner.body, *nested):
                if isinstance(node, ast.FunctionDef) and node.returns is not None and not node.name.startswith("_"):
                    if ast.unparse(node.returns).startswith(("Coroutine[", "Awaitable[")):
                        yield module, owner.name if isinstance(owner, ast.ClassDef) else "", node.name


PROTOCOLS = ("cede.stackful.files",)  # what it expects of the files of others


@pytest.mark.parametrize(
    ("module", "owner", "name"),
    [pytest.param(*each, id=".".join(filter(None, each))) for each in told_to_be_awaited() if each[0] not in PROTOCOLS],
)
def test_what_is_to_be_awaited_is_a_coroutine_function(module: str, owner: str, name: str) -> None:
    holder = sys.modules[module]
    assert inspect.iscoroutinefunction(getattr(getattr(holder, owner) if owner else holder, name))


def test_own_classes_tell_too() -> None:
    for kind, names in (
        (cede.Sender, ("send", "aclose", "__aenter__", "__aexit__")),
        (cede.Receiver, ("receive", "receive_many", "aclose", "__anext__", "__aenter__", "__aexit__")),
        (cede.ThreadChannel, ("send", "send_many", "receive", "receive_many", "__anext__")),
    ):
        for name in names:
            assert kind_of(getattr(kind, name)) == (True, True, False), name
    assert kind_of(cede.checkpoint) == (True, True, False)


def methods_of_ours() -> list[Any]:
    return [
        cede.Queue.put, cede.Lock.acquire, cede.Event.wait, cede.StreamReader.read, cede.StreamReader.__anext__, cede.Sender.send,
        cede.Timeout.__aenter__, cede.TaskGroup.__aexit__, cede.EventLoop.sock_recv, cede.EventLoop.sock_accept, cede.sleep, cede.wait_for,
    ]  # fmt: skip


@pytest.mark.parametrize("function", methods_of_ours(), ids=lambda function: function.__qualname__)
def test_it_is_a_function_like_others(function: Any) -> None:
    assert inspect.isfunction(function)
    assert inspect.isroutine(function)
    assert not inspect.isbuiltin(function)
    assert function.__name__ == function.__qualname__.rpartition(".")[2]
    assert function.__module__.startswith("cede.")
    assert function.__code__.co_flags & inspect.CO_COROUTINE
    assert function.__code__.co_name == function.__name__
    assert repr(function).startswith(f"<function {function.__qualname__} at ")
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function
    assert weakref.ref(function)() is function
    assert {function: 1}[function] == 1
    assert function.__get__(None, object) is function
    assert set(function.__annotations__) <= {*inspect.signature(function).parameters, "return"}
    function.note = "mine"
    assert function.note == "mine"
    del function.note
    assert not hasattr(function, "note")


def test_it_has_its_docstring() -> None:
    assert (cede.Queue.put.__doc__ or "").startswith("Put `item` into the queue")
    assert (inspect.getdoc(cede.StreamReader.readexactly) or "").startswith("Read exactly `n` bytes")
    assert (inspect.getdoc(cede.sleep) or "").startswith("Wait `delay` seconds")


def test_it_is_called_in_every_way() -> None:
    class Counted(cede.Queue[int]):
        async def put(self, item: int) -> None:
            await super().put(item + 1)

    async def main() -> None:
        queue: Any = cede.Queue()
        await queue.put(1)
        await queue.put(item=2)
        await cede.Queue.put(queue, 3)
        await cede.Queue.put(queue, item=4)
        await functools.partial(queue.put, 5)()
        await functools.partial(cede.Queue.put, queue)(6)
        await types.MethodType(cede.Queue.put, queue)(7)
        await getattr(queue, "put")(*[8])  # noqa: B009
        await queue.put(item=9)
        assert [queue.get_nowait() for _ in range(9)] == list(range(1, 10))
        counted: Any = Counted()
        await counted.put(1)
        await cede.Queue.put(counted, 1)
        await super(Counted, counted).put(1)
        assert [counted.get_nowait() for _ in range(3)] == [2, 1, 1]
        assert queue.put.__self__ is queue
        assert queue.put == queue.put
        with pytest.raises(TypeError):
            await queue.put()
        with pytest.raises(TypeError):
            await queue.put(1, 2)
        with pytest.raises(TypeError):
            await queue.put(nothing=1)

    cede.run(main())


@pytest.mark.skipif(type(cede.Queue.put) is types.FunctionType, reason="uncompiled, any object is taken, as everywhere")
def test_it_refuses_what_is_of_another_class() -> None:
    with pytest.raises(TypeError, match="put"):
        cede.Queue.put(cede.Lock(), 1)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        cede.Queue.put()  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="__code__"):
        cede.Queue.put.__code__ = asyncio.Queue.put.__code__  # type: ignore[attr-defined]


def test_background_work_is_not_lost() -> None:
    """What takes functions of both kinds, and asks which it got."""

    async def background(function: Any, *args: Any) -> Any:
        asked = function
        while isinstance(asked, functools.partial):
            asked = asked.func
        if inspect.iscoroutinefunction(asked):
            return await function(*args)
        return await asyncio.to_thread(function, *args)

    async def main() -> None:
        queue: cede.Queue[str] = cede.Queue()
        await background(queue.put, "item")
        assert queue.qsize() == 1
        assert await background(queue.get) == "item"
        lock, semaphore = cede.Lock(), cede.Semaphore()
        await background(lock.acquire)
        await background(functools.partial(semaphore.acquire))
        assert lock.locked()
        assert semaphore.locked()
        assert await background(cede.sleep, 0, "slept") == "slept"
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            loop = asyncio.get_running_loop()
            await background(loop.sock_sendall, one, b"bytes")
            assert await background(loop.sock_recv, other, 10) == b"bytes"

    cede.run(main())
