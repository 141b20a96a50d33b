"""Debug mode: what is reported, in which words, and where the things in the reports were made. asyncio is the oracle for the words."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import re
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.certificates import client_context, server_context
from tests.support.driver_worlds import OURS, World
from tests.support.loops import is_cede

Run = Callable[..., Any]


# -- where things were made


def line_of_this_file(stack: Any) -> str:
    """The innermost line of the stack that is in this file."""
    return [frame.line for frame in stack if frame.filename == __file__][-1]


def test_handles_timers_futures_and_tasks_know_where_they_were_made(run: Run) -> None:
    async def nothing() -> None:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: dict[str, Any] = {}
        made["call_soon"] = loop.call_soon(int)  # here: call_soon
        made["call_soon_threadsafe"] = loop.call_soon_threadsafe(int)  # here: call_soon_threadsafe
        made["call_later"] = loop.call_later(100, int)  # here: call_later
        made["call_at"] = loop.call_at(loop.time() + 100, int)  # here: call_at
        made["create_future"] = loop.create_future()  # here: create_future
        made["Future"] = asyncio.Future()  # here: Future
        made["create_task"] = asyncio.create_task(nothing())  # here: create_task
        made["loop.create_task"] = loop.create_task(nothing())  # here: loop.create_task
        for name, thing in made.items():
            assert line_of_this_file(thing._source_traceback).endswith(f"# here: {name}"), name
            assert "created at" in repr(thing), name
        made["call_later"].cancel()
        assert "cancelled" in repr(made["call_later"])
        assert "created at" in repr(made["call_later"])
        made["call_at"].cancel()
        await made["create_task"]
        await made["loop.create_task"]
        loop.set_debug(False)
        for late in (loop.create_future(), loop.call_soon(int), asyncio.create_task(nothing())):
            assert getattr(late, "_source_traceback", None) is None
            assert "created at" not in repr(late)

    run(main, debug=True)


@pytest.mark.parametrize("world", OURS, ids=repr)
def test_transports_know_where_they_were_made(world: World) -> None:
    """More than asyncio does: a report about a transport, and the warning for a forgotten one, name a line of the program."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        ear, mouth = os.pipe()
        made = [
            (await loop.create_connection(asyncio.Protocol, *address))[0],  # here
            (await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)))[0],  # here
            (await loop.connect_read_pipe(asyncio.Protocol, open(ear, "rb", 0)))[0],  # noqa: SIM115 - here
            (await loop.connect_write_pipe(asyncio.BaseProtocol, open(mouth, "wb", 0)))[0],  # noqa: SIM115 - here
            (await loop.subprocess_exec(asyncio.SubprocessProtocol, sys.executable, "-c", "", stdin=None, stdout=None))[0],  # here
        ]
        for transport in made:
            assert line_of_this_file(transport._source_traceback).endswith("here"), transport
            assert re.search(rf"created at {re.escape(__file__)}:\d+>$", repr(transport)), transport
            transport.close()
        one, other = socket.socketpair()
        with other:
            transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, one)
            forgotten = repr(transport)
            assert "created at" in forgotten
            transport.abort()
        server.close()
        await asyncio.wait_for(made[-1]._wait(), 60)  # else the child may be at work still, and Popen complains

    world.run(main, debug=True)


@pytest.mark.parametrize("world", OURS, ids=repr)
def test_a_forgotten_transport_names_its_line(world: World) -> None:
    loop = world.new_loop()
    loop.set_debug(True)
    one, other = socket.socketpair()
    one.setblocking(False)

    async def forget() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=one)

    loop.run_until_complete(forget())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loop.close()
        del loop
        gc.collect()
    other.close()
    (text,) = [str(warning.message) for warning in told if "transport" in str(warning.message)]
    assert text.startswith("unclosed transport <StreamTransport")
    assert f"created at {__file__}:" in text


# -- what nobody looked at


@pytest.mark.parametrize("debug", [False, True])
def test_what_the_handler_is_told_has_asyncios_keys(run: Run, debug: bool) -> None:
    """The message, and which entries it comes with; the stack of the making in debug mode alone."""
    stack = {"source_traceback"} if debug else set()
    told: list[dict[str, Any]] = []

    def wrong() -> None:
        raise ZeroDivisionError

    async def fails() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context))
        loop.call_soon(wrong)
        await asyncio.sleep(0)
        future = loop.create_future()
        future.set_exception(ZeroDivisionError())
        del future
        gc.collect()
        task = loop.create_task(fails())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()
        one, other = socket.socketpair()

        class Fails(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                raise ZeroDivisionError

            def connection_lost(self, error: BaseException | None) -> None:
                ended.set_result(None)

        ended = loop.create_future()
        await loop.connect_accepted_socket(Fails, one)
        with other:
            other.send(b"x")
            await ended

    run(main, debug=debug)
    assert [(context["message"].split(" at ")[0], set(context) - {"message", "exception"}) for context in told] == [
        ("Exception in callback test_what_the_handler_is_told_has_asyncios_keys.<locals>.wrong()", {"handle"} | stack),
        ("Future exception was never retrieved", {"future"} | stack),
        ("Task exception was never retrieved", {"future"} | stack),
        ("Fatal error: protocol.data_received() call failed.", {"transport", "protocol"}),
    ]
    assert all(isinstance(context["exception"], ZeroDivisionError) for context in told)


@pytest.mark.parametrize("debug", [False, True])
def test_a_pending_task_that_is_destroyed(loop: asyncio.AbstractEventLoop, debug: bool) -> None:
    told: list[dict[str, Any]] = []

    async def waits() -> None:
        await loop.create_future()

    loop.set_debug(debug)
    loop.set_exception_handler(lambda _, context: told.append(context))
    task = loop.create_task(waits())
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    text = repr(task)
    del task
    gc.collect()
    (context,) = told
    assert context["message"] == "Task was destroyed but it is pending!"
    assert set(context) == {"message", "task"} | ({"source_traceback"} if debug else set())
    assert ("created at" in text) is debug


def test_the_default_handler_shows_where_it_was_made(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def wrong() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().call_soon(wrong)  # made here
        await asyncio.sleep(0)

    run(main, debug=True)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    text = record.getMessage()
    assert re.search(r"\nhandle: <Handle .*wrong\(\) at .* created at .*>", text)
    assert "\nsource_traceback: Object created at (most recent call last):\n" in text
    assert "# made here" in text
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_a_coroutine_never_awaited_names_its_line(run: Run) -> None:
    async def forgotten() -> None:
        pass

    async def main() -> list[str]:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            forgotten()  # made here
            gc.collect()
        return [str(warning.message) for warning in told]

    (text,) = run(main, debug=True)
    assert "was never awaited\nCoroutine created at (most recent call last)\n" in text
    assert "# made here" in text
    (text,) = run(main, debug=False)
    assert "Coroutine created at" not in text


# -- the log


def test_the_log_tells_what_asyncios_does(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        transport.pause_reading()
        transport.resume_reading()
        transport.close()
        await asyncio.sleep(0.01)
        server.close()
        await server.wait_closed()
        for options in ({"local_addr": ("127.0.0.1", 0)}, {"remote_addr": ("127.0.0.1", 9)}):
            endpoint, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, **options)
            endpoint.close()
        ear, mouth = os.pipe()
        reader, _ = await loop.connect_read_pipe(asyncio.Protocol, open(ear, "rb", 0))  # noqa: SIM115
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, open(mouth, "wb", 0))  # noqa: SIM115
        reader.close()
        writer.close()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        await process.communicate()
        process = await asyncio.create_subprocess_shell("exit 3")
        await process.wait()
        await loop.getaddrinfo("localhost", 80)

    run(main, debug=True)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    for level, pattern in (
        ("INFO", r"<.*Server sockets=.*> is serving"),
        ("DEBUG", r"<.*Server .*> got a new connection from \('127.0.0.1', \d+\): <socket.socket .*>"),
        ("DEBUG", r"<.*TransportSocket .*> connected to 127.0.0.1:\d+: \(.*\)"),
        ("DEBUG", r"<.*Transport .*> pauses reading"),
        ("DEBUG", r"<.*Transport .*> resumes reading"),
        ("DEBUG", r"<.*Transport .*> received EOF"),
        ("INFO", r"Datagram endpoint local_addr=\('127.0.0.1', 0\) remote_addr=None created: \(.*\)"),
        ("DEBUG", r"Datagram endpoint remote_addr=\('127.0.0.1', 9\) created: \(.*\)"),
        ("DEBUG", r"Read pipe \d+ connected: \(.*\)"),
        ("DEBUG", r"Write pipe \d+ connected: \(.*\)"),
        ("DEBUG", r"execute program '.*' stdin=<?.*>? stdout=<pipe>"),
        ("DEBUG", r"process '.*' created: pid \d+"),
        ("INFO", r"execute program '.*': <.*SubprocessTransport .*>"),
        ("DEBUG", r"run shell command 'exit 3'"),
        ("INFO", r"<.*SubprocessTransport .*> exited with return code 3"),
        ("DEBUG", r"Get address info localhost:80.*"),
        ("DEBUG", r"Close <.*EventLoop running=False closed=(True|False) debug=True.*>"),
    ):
        assert any(level == name and re.fullmatch(pattern, text, re.DOTALL) for name, text in said), (pattern, said)


# -- from another thread


def refused(loop: asyncio.AbstractEventLoop, call: Callable[[], Any]) -> bool:
    """Whether `call`, made by another thread while the loop's waits for it, raises the error for that."""
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            call()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    return [str(error).startswith("Non-thread-safe operation invoked on an event loop other than the current one") for error in errors] == [
        True
    ]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_what_another_thread_may_not_do(run: Run) -> None:
    async def nothing() -> None:
        pass

    async def wait_for(future: asyncio.Future[None]) -> None:
        await future

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for name, call in {
            "call_soon": lambda: loop.call_soon(int),
            "call_later": lambda: loop.call_later(1, int),
            "call_at": lambda: loop.call_at(1, int),
        }.items():
            assert refused(loop, call), name
        if not is_cede(loop):
            return  # asyncio refuses what follows as well, and then the future is done without its waiter, the task made without a loop
        assert refused(loop, lambda: loop.create_task(nothing()))
        finish = {
            "set_result": lambda it: it.set_result(None),
            "set_exception": lambda it: it.set_exception(KeyError()),
            "cancel": lambda it: it.cancel(),
        }
        for name, call_it in finish.items():
            future = loop.create_future()
            task = loop.create_task(wait_for(future))
            await asyncio.sleep(0)
            assert refused(loop, functools.partial(call_it, future)), name
            assert not future.done()
            future.set_result(None)  # nothing is lost: the loop's own thread may finish it now
            await task
        waiting = loop.create_task(wait_for(loop.create_future()))
        await asyncio.sleep(0)
        assert refused(loop, waiting.cancel)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        loop.set_debug(False)
        gc.collect()

    run(main, debug=True)


def test_a_future_that_nobody_waits_for_may_be_finished_anywhere(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        await asyncio.to_thread(future.set_result, 1)
        assert await future == 1

    run(main, debug=True)


# -- what was left open


async def a_connection(loop: Any) -> Any:
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    return server, await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())


async def a_tls_connection(loop: Any) -> Any:
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=server_context())
    address = server.sockets[0].getsockname()
    return server, await loop.create_connection(asyncio.Protocol, *address, ssl=client_context(), server_hostname="localhost")


async def an_endpoint(loop: Any) -> Any:
    return await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))


async def a_pipe_to_read(loop: Any) -> Any:
    ear, mouth = os.pipe()
    return open(mouth, "wb", 0), await loop.connect_read_pipe(asyncio.Protocol, open(ear, "rb", 0))


async def a_pipe_to_write(loop: Any) -> Any:
    ear, mouth = os.pipe()
    return open(ear, "rb", 0), await loop.connect_write_pipe(asyncio.BaseProtocol, open(mouth, "wb", 0))


@pytest.mark.parametrize("make", [a_connection, a_tls_connection, an_endpoint, a_pipe_to_read, a_pipe_to_write])
def test_transports_left_open_are_warned_about(loop: asyncio.AbstractEventLoop, make: Callable[[Any], Any]) -> None:
    kept = [loop.run_until_complete(make(loop))]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loop.close()
        kept.clear()
        gc.collect()
    texts = [str(warning.message) for warning in told if issubclass(warning.category, ResourceWarning)]
    assert any(re.match(r"unclosed transport <.*Transport.*>$", text) for text in texts), texts


def test_a_loop_left_open_is_warned_about_and_nothing_inside_of_it(loop_factory: Callable[[], Any]) -> None:
    loop = loop_factory()
    loop.run_until_complete(asyncio.sleep(0))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del loop
        gc.collect()
    assert [re.sub(r"<\w+ ", "<", str(warning.message))[:34] for warning in told] == ["unclosed event loop <running=False"]
