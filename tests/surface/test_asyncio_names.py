"""``import cede as asyncio`` is a fair swap: every public name is there, and means the same."""

from __future__ import annotations

import asyncio
import inspect
import warnings

import pytest

import cede

# asyncio means to remove them: found in asyncio when somebody asks for them.
DEPRECATED = {
    "AbstractChildWatcher",
    "AbstractEventLoopPolicy",
    "DefaultEventLoopPolicy",
    "FastChildWatcher",
    "MultiLoopChildWatcher",
    "PidfdChildWatcher",
    "SafeChildWatcher",
    "ThreadedChildWatcher",
    "get_child_watcher",
    "get_event_loop_policy",
    "iscoroutinefunction",
    "set_child_watcher",
    "set_event_loop_policy",
}

# What newer versions brought, on every version.
NEWER = {
    "EventLoop",
    "FrameCallGraphEntry",
    "FutureCallGraph",
    "TaskGroup",
    "Timeout",
    "capture_call_graph",
    "create_eager_task_factory",
    "eager_task_factory",
    "format_call_graph",
    "future_add_to_awaited_by",
    "future_discard_from_awaited_by",
    "print_call_graph",
    "timeout",
    "timeout_at",
}

PUBLIC = {name for name in asyncio.__all__ if not name.startswith("_")} - DEPRECATED


@pytest.mark.parametrize("name", sorted(PUBLIC | NEWER))
def test_name_is_ours(name: str) -> None:
    assert name in cede.__all__
    assert getattr(cede, name) is vars(cede)[name]  # asked for once, it is there


@pytest.mark.parametrize("name", sorted(PUBLIC - {"Server"}))  # nobody but a loop makes one
def test_signature_takes_what_asyncio_takes(name: str) -> None:
    theirs, ours = getattr(asyncio, name), getattr(cede, name)
    if isinstance(theirs, type) and issubclass(theirs, BaseException):
        assert ours is theirs
        return
    assert callable(ours) == callable(theirs)
    try:
        wanted, given = inspect.signature(theirs), inspect.signature(ours)
    except (TypeError, ValueError):
        return  # compiled functions tell nothing
    if "args" in wanted.parameters or "kwargs" in wanted.parameters:
        return
    open_ended = any(each.kind is each.VAR_KEYWORD for each in given.parameters.values())
    missing = [each for each in wanted.parameters if each not in given.parameters and each not in ("self", "awaitable", "selector", "tg")]
    assert open_ended or not missing, f"cede.{name}{given} takes no {missing}"


@pytest.mark.parametrize("name", sorted(name for name in asyncio.__all__ if not name.startswith("_")))
def test_name_is_found(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert getattr(cede, name) is not None


def test_private_names_and_submodules_are_found() -> None:
    for name in asyncio.__all__:
        if name.startswith("_"):
            assert getattr(cede, name) is getattr(asyncio, name)
    assert cede.queues is asyncio.queues  # type: ignore[attr-defined]


def test_subprocess_module_has_what_asyncios_has() -> None:
    for name in ("PIPE", "STDOUT", "DEVNULL"):
        assert getattr(cede.subprocess, name) == getattr(asyncio.subprocess, name)
    for name in ("Process", "SubprocessStreamProtocol", "create_subprocess_exec", "create_subprocess_shell"):
        assert getattr(cede.subprocess, name) is not getattr(asyncio.subprocess, name)
    assert cede.subprocess.streams is asyncio.streams  # what it imports is found there too
    with pytest.raises(AttributeError):
        cede.subprocess.no_such_thing  # noqa: B018


def test_what_nobody_has_is_missing_in_our_name() -> None:
    with pytest.raises(AttributeError, match="module 'cede' has no attribute 'no_such_thing'"):
        cede.no_such_thing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        cede._no_such_thing  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(cede, "__path_hooks__")


def test_swapped_program_runs() -> None:
    async def main(ns: object) -> list[int]:
        async def one(number: int) -> int:
            await ns.sleep(0)  # type: ignore[attr-defined]
            return number

        async with ns.timeout(10), ns.TaskGroup() as group:  # type: ignore[attr-defined]
            task = group.create_task(one(1))
        got = [task.result(), *await ns.gather(one(2), one(3)), await ns.wait_for(one(4), 1)]  # type: ignore[attr-defined]
        done, _ = await ns.wait({ns.create_task(one(5))}, return_when=ns.FIRST_COMPLETED)  # type: ignore[attr-defined]
        return [*got, *(each.result() for each in done), await ns.shield(one(6))]  # type: ignore[attr-defined]

    assert cede.run(main(cede)) == asyncio.run(main(asyncio)) == [1, 2, 3, 4, 5, 6]


def test_eager_tasks_on_every_version() -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(cede.eager_task_factory)

        async def at_once() -> int:
            return 1

        return loop.create_task(at_once()).done()

    assert cede.run(main())


@pytest.mark.parametrize("name", [name for name in cede.__all__ if isinstance(getattr(cede, name), type)])
def test_objects_know_the_module_of_their_class(name: str) -> None:
    """Schedulers and registries make a method's name of its object's ``__module__``; a class of C has none that its objects would find."""
    kind = getattr(cede, name)
    if kind is not TimeoutError:  # the interpreter's own
        assert any(vars(base).get("__module__") == kind.__module__ for base in kind.__mro__)


def test_an_object_gives_its_module_and_a_subclass_has_its_own() -> None:
    class Mine(cede.Queue[int]):
        pass

    for made in (cede.Lock(), cede.Semaphore(), cede.BoundedSemaphore(), cede.Queue(), Mine()):
        assert made.__module__ == type(made).__module__
    assert Mine().__module__ == __name__
