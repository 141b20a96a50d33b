"""Handles of call_soon_threadsafe, cancelled from the thread that posted them."""

from __future__ import annotations

import asyncio
import threading

import cede


def test_cancelled_before_it_runs() -> None:
    loop = cede.new_event_loop()
    posted = threading.Event()
    ran: list[str] = []

    def post() -> None:
        handle = loop.call_soon_threadsafe(ran.append, "posted")
        handle.cancel()
        assert handle.cancelled()
        posted.set()
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(posted.wait)
    thread = threading.Thread(target=post)
    thread.start()
    loop.run_forever()
    thread.join()
    loop.close()
    assert ran == []


def test_cancel_waits_until_a_running_callback_has_ended() -> None:
    loop = cede.new_event_loop()
    begun, cancelling, ended = threading.Event(), threading.Event(), threading.Event()
    seen: list[bool] = []

    def callback() -> None:
        begun.set()
        assert cancelling.wait(10)
        ended.set()

    def post() -> None:
        handle = loop.call_soon_threadsafe(callback)
        assert isinstance(handle, asyncio.Handle)
        assert begun.wait(10)
        asks = threading.Thread(target=lambda: seen.append(handle.cancelled()))
        asks.start()
        cancelling.set()
        handle.cancel()
        seen.append(ended.is_set())
        asks.join()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=post)
    thread.start()
    loop.run_forever()
    thread.join()
    loop.close()
    assert True in seen
    assert len(seen) == 2


def test_a_callback_may_cancel_itself() -> None:
    loop = cede.new_event_loop()
    made: list[asyncio.Handle] = []
    done: list[bool] = []

    def callback() -> None:
        made[0].cancel()
        done.append(made[0].cancelled())
        loop.stop()

    made.append(loop.call_soon_threadsafe(callback))
    loop.run_forever()
    loop.close()
    assert done == [True]


def test_a_failing_callback_releases_who_waits() -> None:
    loop = cede.new_event_loop()
    begun, go_on = threading.Event(), threading.Event()
    reports: list[object] = []
    loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))

    def callback() -> None:
        begun.set()
        assert go_on.wait(10)
        raise ZeroDivisionError

    def post() -> None:
        handle = loop.call_soon_threadsafe(callback)
        assert begun.wait(10)
        go_on.set()
        handle.cancel()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=post)
    thread.start()
    loop.run_forever()
    thread.join()
    loop.close()
    assert [type(report) for report in reports] == [ZeroDivisionError]
