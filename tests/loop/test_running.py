"""Running, stopping and closing a loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import warnings
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

import cede
from cede.core.scheduler.kernel import COMPILED


def test_run_until_complete_returns_and_raises(loop: asyncio.AbstractEventLoop) -> None:
    async def seven() -> int:
        return 7

    async def fail() -> None:
        raise ZeroDivisionError

    assert loop.run_until_complete(seven()) == 7
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(fail())
    future = loop.create_future()
    loop.call_soon(future.set_result, "late")
    assert loop.run_until_complete(future) == "late"


def test_run_until_complete_of_a_finished_future(loop: asyncio.AbstractEventLoop) -> None:
    future = loop.create_future()
    future.set_result(1)
    assert loop.run_until_complete(future) == 1


def test_stop_before_the_future_is_done(loop: asyncio.AbstractEventLoop) -> None:
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match=r"Event loop stopped before Future completed\."):
        loop.run_until_complete(future)
    future.cancel()


def test_stop_before_the_run_makes_one_turn(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[int] = []
    loop.call_soon(lambda: (seen.append(1), loop.call_soon(seen.append, 2)))
    loop.stop()
    loop.run_forever()
    assert seen == [1]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1, 2]


def test_stop_lets_the_turn_end(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(seen.append, "same turn")
    loop.run_forever()
    assert seen == ["same turn"]


def test_a_foreign_future_is_refused(loop_factory: Any) -> None:
    one, other = loop_factory(), loop_factory()
    try:
        with pytest.raises(ValueError, match="different loop"):
            one.run_until_complete(other.create_future())
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("junk", [None, 1, "x", lambda: None])
def test_run_until_complete_of_junk(loop: asyncio.AbstractEventLoop, junk: Any) -> None:
    with pytest.raises(TypeError):
        loop.run_until_complete(junk)


def test_running_loop_is_known_and_forgotten(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        assert asyncio.get_running_loop() is loop
        assert loop.is_running()

    assert not loop.is_running()
    loop.run_until_complete(main())
    assert not loop.is_running()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_a_run_inside_a_run(loop_factory: Any) -> None:
    loop, other = loop_factory(), loop_factory()
    ours = "cede" in type(loop).__module__

    async def main() -> None:
        for again, message in ((loop, "already running"), (other, "another loop is running")):
            with pytest.raises(RuntimeError, match=message):
                again.run_forever()
            if not ours:
                return  # asyncio has forgotten its running loop by now
            coroutine = asyncio.sleep(0)
            with pytest.raises(RuntimeError, match=message):
                again.run_until_complete(coroutine)
            coroutine.close()
            assert asyncio.get_running_loop() is loop

    loop.run_until_complete(main())
    loop.close()
    other.close()


def test_run_forever_from_another_thread_is_refused(loop: asyncio.AbstractEventLoop) -> None:
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            loop.run_forever()
        except BaseException as error:
            errors.append(error)

    async def main() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    loop.run_until_complete(main())
    assert [type(error) for error in errors] == [RuntimeError]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_callback_leaves_the_run(loop: asyncio.AbstractEventLoop, kind: type[BaseException]) -> None:
    seen: list[int] = []

    def interrupt() -> None:
        raise kind

    loop.call_soon(interrupt)
    loop.call_soon(seen.append, 1)
    with pytest.raises(kind):
        loop.run_forever()
    assert seen == []
    assert not loop.is_running()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_main_task(loop: asyncio.AbstractEventLoop, kind: type[BaseException]) -> None:
    async def main() -> None:
        raise kind

    with pytest.raises(kind):
        loop.run_until_complete(main())
    # the next run must not end early
    assert loop.run_until_complete(asyncio.sleep(0, "next")) == "next"


def test_close_twice_and_use_after(loop: asyncio.AbstractEventLoop) -> None:
    loop.close()
    loop.close()
    assert loop.is_closed()
    assert loop._closed  # type: ignore[attr-defined]  # read by tests and tools
    coroutine = asyncio.sleep(0)
    calls: list[tuple[Any, ...]] = [
        (loop.run_forever,),
        (loop.run_until_complete, coroutine),
        (loop.call_soon, print),
        (loop.call_later, 0, print),
        (loop.call_at, 0, print),
        (loop.call_soon_threadsafe, print),
        (loop.run_in_executor, None, print),
        (loop.add_reader, 0, print),
        (loop.add_writer, 0, print),
        (loop.create_task, coroutine),
    ]
    if sys.platform != "win32":
        calls.append((loop.add_signal_handler, 10, print))
    for call, *args in calls:
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call(*args)
    coroutine.close()
    assert loop.remove_reader(0) is False
    assert loop.remove_writer(0) is False


def test_close_while_running(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()

    loop.run_until_complete(main())


def test_close_drops_what_is_queued(loop: asyncio.AbstractEventLoop) -> None:
    class Token:
        pass

    token = Token()
    gone = weakref.ref(token)
    loop.call_soon(id, token)
    loop.call_later(1000, id, token)
    loop.call_soon_threadsafe(id, token)
    del token
    loop.close()
    gc.collect()
    assert gone() is None


def test_an_unclosed_loop_warns_and_closes(loop_factory: Any, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["loop_factory"] == "asyncio":
        pytest.skip("the oracle's factory list keeps the loop alive")
    import cede

    loop = cede.new_event_loop()
    fds = [loop.driver.wakeup_fd()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del loop
        gc.collect()
    assert any("unclosed event loop" in str(warning.message) for warning in caught)
    for fd in fds:
        with pytest.raises(OSError):
            os.fstat(fd)


def test_half_made_loop_is_silent() -> None:
    from cede import EventLoop

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop = EventLoop.__new__(EventLoop)
        del loop
        gc.collect()


def test_repr(loop: asyncio.AbstractEventLoop) -> None:
    assert "running=False" in repr(loop)
    assert "closed=False" in repr(loop)
    assert "debug=False" in repr(loop)


def test_time_is_monotonic_seconds(loop: asyncio.AbstractEventLoop) -> None:
    import time

    before, now, after = time.monotonic(), loop.time(), time.monotonic()
    assert before <= now <= after


def test_call_soon_threadsafe_wakes_a_sleeping_loop(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> None:
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, 5))
        thread.start()
        assert await future == 5
        thread.join()

    future = loop.create_future()
    loop.run_until_complete(main())


def test_many_posts_from_many_threads(loop: asyncio.AbstractEventLoop) -> None:
    """uvloop 408: posts from many threads."""
    threads, posts = 8, 500
    seen: dict[int, list[int]] = {number: [] for number in range(threads)}
    done = loop.create_future()
    left = threads * posts

    def arrive(who: int, what: int) -> None:
        nonlocal left
        seen[who].append(what)
        left -= 1
        if not left:
            done.set_result(None)

    def post(who: int) -> None:
        for what in range(posts):
            loop.call_soon_threadsafe(arrive, who, what)

    async def main() -> None:
        workers = [threading.Thread(target=post, args=(who,)) for who in range(threads)]
        for worker in workers:
            worker.start()
        await done
        for worker in workers:
            worker.join()

    loop.run_until_complete(main())
    assert all(each == list(range(posts)) for each in seen.values())


def test_a_loop_in_a_thread(loop: asyncio.AbstractEventLoop) -> None:
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    answer = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "there"), loop).result(timeout=30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    assert answer == "there"


def test_abstract_event_loop_is_complete(loop: asyncio.AbstractEventLoop) -> None:
    assert isinstance(loop, asyncio.AbstractEventLoop)
    if "cede" not in type(loop).__module__:
        return
    left = [
        name
        for name in dir(asyncio.AbstractEventLoop)
        if not name.startswith("_") and getattr(type(loop), name) is getattr(asyncio.AbstractEventLoop, name)
    ]
    assert left == []


def test_pending_tasks_do_not_outlive_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    """What is left pending when a loop closes is let go with it; no registry keeps it for ever."""
    import logging

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> weakref.ref[Any]:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        return weakref.ref(task)

    logging.getLogger("asyncio").disabled = True
    try:
        task = loop.run_until_complete(main())
        loop.close()
        gc.collect()
        assert task() is None
    finally:
        logging.getLogger("asyncio").disabled = False


@pytest.mark.parametrize("driver", ["selector", *(["epoll"] if COMPILED and sys.platform == "linux" else [])])
def test_a_loop_keeps_nothing_in_its_dictionary(driver: str) -> None:
    """From Python 3.12 on the interpreter calls the methods of an object by a shorter way while nothing was put into its dictionary."""
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1))
        writer.close()
        await writer.wait_closed()

    async def everything() -> None:
        loop = asyncio.get_running_loop()
        async for _ in numbers():
            break  # dropped before its end
        gc.collect()
        loop.call_later(3600, print).cancel()
        loop.set_exception_handler(None)
        loop.set_task_factory(None)
        loop.slow_callback_duration = 1.0
        loop.add_signal_handler(signal.SIGUSR1, print)
        await asyncio.to_thread(loop.call_soon_threadsafe, lambda: None)
        await loop.getaddrinfo("localhost", 80)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await process.wait()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        assert await reader.read() == b"x"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            loop.add_reader(listener, print)
            loop.remove_reader(listener)
        endpoint, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        endpoint.close()
        loop.remove_signal_handler(signal.SIGUSR1)

    with asyncio.Runner(loop_factory=lambda: cede.EventLoop(driver)) as runner:
        runner.run(everything())
        assert vars(runner.get_loop()) == {}
