"""The inbox port: an object of the program's keeps what other threads post, and says when it is run."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cede.loop.event_loop import EventLoop


class Inbox:
    """What was posted comes out as it went in."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.posts = 0

    def post(self, item: Any) -> None:
        self.posts += 1
        self.items.append(item)

    def take(self) -> list[Any]:
        items, self.items = self.items, []
        return items


class Holding(Inbox):
    """Keeps what was posted until it is let out, the last first."""

    open = False
    notify: Any = None

    def attach(self, notify: Any) -> None:
        self.notify = notify

    def take(self) -> list[Any]:
        return super().take()[::-1] if self.open else []

    def let_out(self) -> None:
        self.open = True
        self.notify()


def on_thread(function: Any, *args: Any) -> None:
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


@pytest.fixture
def reports() -> list[Any]:
    return []


def new_loop(inbox: Any, reports: list[Any]) -> EventLoop:
    loop = EventLoop(inbox=inbox)
    loop.set_exception_handler(lambda _, context: reports.append(context))
    return loop


def test_posts_go_through_it(reports: list[Any]) -> None:
    inbox = Inbox()
    loop = new_loop(inbox, reports)
    ran: list[int] = []
    try:
        for number in range(5):
            on_thread(loop.call_soon_threadsafe, ran.append, number)
        assert inbox.posts == 5
        on_thread(loop.call_soon_threadsafe, loop.stop)
        loop.run_forever()
    finally:
        loop.close()
    assert ran == [0, 1, 2, 3, 4]
    assert reports == []


def test_a_sleeping_loop_is_woken(reports: list[Any]) -> None:
    inbox = Inbox()
    loop = new_loop(inbox, reports)

    async def main() -> str:
        answer = loop.create_future()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(answer.set_result, "posted"))
        thread.start()
        told: str = await answer
        thread.join()
        return told

    try:
        assert loop.run_until_complete(main()) == "posted"
        assert loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, str, "a job"), 60)) == "a job"
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert inbox.posts >= 2
    assert reports == []


def test_what_is_kept_back_comes_when_it_says(reports: list[Any]) -> None:
    inbox = Holding()
    loop = new_loop(inbox, reports)
    ran: list[int] = []

    async def main() -> None:
        for number in range(4):
            on_thread(loop.call_soon_threadsafe, ran.append, number)
        for _ in range(10):
            await asyncio.sleep(0)
        assert ran == []
        done = loop.create_future()
        thread = threading.Thread(target=inbox.let_out)
        thread.start()
        while not ran:
            await asyncio.sleep(0)
        thread.join()
        done.set_result(None)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    assert ran == [3, 2, 1, 0]
    assert reports == []


class Broken(Exception):
    pass


def strangers(items: list[Any]) -> Any:
    loop = EventLoop()
    try:
        return [loop.call_soon(print)]
    finally:
        loop.close()


def breaks(items: list[Any]) -> Any:
    raise Broken


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (lambda items: None, 2),
        (lambda items: [items[0], items[0]], 1),
        (lambda items: [None], 2),
        (lambda items: [1], 2),
        (strangers, 2),
        (breaks, 2),
    ],
    ids=["None", "twice", "Nones", "numbers", "strangers", "raises"],
)
def test_a_wrong_answer_is_reported_and_loses_nothing(answer: Any, kept: int, reports: list[Any]) -> None:
    inbox = Inbox()
    loop = new_loop(inbox, reports)
    ran: list[int] = []
    right = inbox.take
    wrong = [answer]

    def take() -> Any:
        if wrong:
            return wrong.pop()(inbox.items)
        items = right()
        return items[2 - kept :]

    inbox.take = take  # type: ignore[method-assign]
    try:
        on_thread(loop.call_soon_threadsafe, ran.append, 0)
        on_thread(loop.call_soon_threadsafe, ran.append, 1)
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert len(ran) == 2 - kept
        on_thread(loop.call_soon_threadsafe, loop.stop)
        loop.run_forever()
    finally:
        loop.close()
    assert ran == [0, 1]
    (report,) = reports
    assert "inbox.take() has failed" in report["message"]
    assert isinstance(report["exception"], (Broken, ValueError, TypeError))


def test_an_inbox_that_refuses_a_post_tells_whoever_posts(reports: list[Any]) -> None:
    inbox = Inbox()

    def refuse(item: Any) -> None:
        raise Broken

    inbox.post = refuse  # type: ignore[method-assign]
    loop = new_loop(inbox, reports)
    failures: list[BaseException] = []

    def post() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except Broken as error:
            failures.append(error)

    try:
        on_thread(post)
    finally:
        loop.close()
    assert len(failures) == 1


def test_what_is_left_when_the_loop_closes_is_dropped(reports: list[Any]) -> None:
    inbox = Holding()
    loop = new_loop(inbox, reports)
    on_thread(loop.call_soon_threadsafe, print)
    loop.close()
    inbox.let_out()  # nobody is there
    assert reports == []


@pytest.mark.parametrize("wrong", [1, object(), [], threading.Lock()])
def test_what_is_no_inbox_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"inbox must be None or an object with the methods post\(item\) and take\(\)"):
        EventLoop(inbox=wrong)
