"""The exception handler."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from typing import Any

import pytest

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


def boom() -> None:
    raise ZeroDivisionError("boom")


def run_once(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_a_callback_that_raises_is_reported(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[tuple[Any, dict[str, Any]]] = []
    loop.set_exception_handler(lambda *args: seen.append(args))
    assert loop.get_exception_handler() is not None
    handle = loop.call_soon(boom)
    run_once(loop)
    ((where, context),) = seen
    assert where is loop
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["handle"] is handle
    assert "Exception in callback boom" in context["message"]


def test_the_default_handler_logs_to_asyncio(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    loop.call_soon(boom)
    run_once(loop)
    (record,) = caplog.records
    assert record.name == "asyncio"
    assert record.levelno == logging.ERROR
    assert record.exc_info[0] is ZeroDivisionError
    assert "Exception in callback boom" in record.getMessage()
    assert "\nhandle: <Handle boom" in record.getMessage()


def test_the_default_handler_without_a_message(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    loop.default_exception_handler({"b": 2, "a": 1})
    (record,) = caplog.records
    assert record.getMessage() == "Unhandled exception in event loop\na: 1\nb: 2"
    assert not record.exc_info


def test_source_tracebacks_are_shown_in_debug_mode(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    loop.set_debug(True)
    loop.call_soon(boom)
    run_once(loop)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "created at (most recent call last):" in record.getMessage()
    assert "test_source_tracebacks_are_shown_in_debug_mode" in record.getMessage()


@pytest.mark.parametrize("junk", [1, "handler", object()])
def test_a_handler_must_be_callable(loop: asyncio.AbstractEventLoop, junk: Any) -> None:
    with pytest.raises(TypeError, match="A callable object or None is expected"):
        loop.set_exception_handler(junk)


def test_a_handler_that_raises_is_itself_reported(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    def handler(loop: Any, context: Any) -> None:
        raise KeyError("in the handler")

    loop.set_exception_handler(handler)
    loop.call_exception_handler({"message": "first"})
    (record,) = caplog.records
    assert record.getMessage().startswith("Unhandled error in exception handler")
    assert record.exc_info[0] is KeyError


def test_a_broken_default_handler_is_logged(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    def broken(context: Any) -> None:
        raise KeyError

    loop.default_exception_handler = broken  # type: ignore[method-assign]
    loop.call_exception_handler({"message": "first"})
    assert "Exception in default exception handler" in caplog.text
    caplog.clear()
    loop.set_exception_handler(lambda loop, context: boom())
    loop.call_exception_handler({"message": "first"})
    assert "while handling an unexpected error" in caplog.text


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupts_pass_through_a_handler(loop: asyncio.AbstractEventLoop, kind: type[BaseException]) -> None:
    def handler(loop: Any, context: Any) -> None:
        raise kind

    loop.set_exception_handler(handler)
    with pytest.raises(kind):
        loop.call_exception_handler({"message": "first"})


def test_none_restores_the_default(loop: asyncio.AbstractEventLoop, caplog: Any) -> None:
    loop.set_exception_handler(lambda *args: None)
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None
    loop.call_exception_handler({"message": "to the log"})
    assert "to the log" in caplog.text


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio runs the handler in the failing thing's context since 3.12")
@pytest.mark.parametrize("what", ["handle", "task"])
def test_the_handler_runs_in_the_context_of_what_failed(loop: asyncio.AbstractEventLoop, what: str) -> None:
    seen: list[str] = []
    loop.set_exception_handler(lambda loop, context: seen.append(colour.get()))
    context = contextvars.copy_context()
    context.run(colour.set, "red")
    if what == "handle":
        loop.call_soon(boom, context=context)
        run_once(loop)
    else:

        async def main() -> None:
            loop.call_exception_handler({"message": "by hand", "task": other})

        async def idle() -> None:
            pass

        other = loop.create_task(idle(), context=context)
        loop.run_until_complete(main())
    assert seen == ["red"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio runs the handler in the failing thing's context since 3.12")
def test_a_context_that_is_entered_already(loop: asyncio.AbstractEventLoop) -> None:
    """A task that reports itself: its context cannot be entered a second time, and need not be."""
    if "cede" not in type(loop).__module__:
        pytest.skip("asyncio loses the report here")
    seen: list[str] = []
    loop.set_exception_handler(lambda loop, context: seen.append(context["message"]))

    async def main() -> None:
        loop.call_exception_handler({"message": "from inside", "task": asyncio.current_task()})

    loop.run_until_complete(main())
    assert seen == ["from inside"]
