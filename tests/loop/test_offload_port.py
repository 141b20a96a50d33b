"""The offload port: what is not for the loop's thread goes to an object of the program's."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from typing import Any

import pytest

import cede
from cede.loop.event_loop import EventLoop


class Offload:
    """Calls each at once, on the thread that asks, and writes down what."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def submit(self, kind: str, function: Any, *args: Any) -> Any:
        self.kinds.append(kind)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)
        return future


class Later(Offload):
    """Calls nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Any] = []

    def submit(self, kind: str, function: Any, *args: Any) -> Any:
        self.kinds.append(kind)
        future: Future[Any] = Future()
        self.jobs.append((future, function, args))
        return future

    def work(self) -> None:
        for future, function, args in self.jobs:
            if future.set_running_or_notify_cancel():
                future.set_result(function(*args))
        self.jobs.clear()


def run(offload: Any, main: Any) -> Any:
    with asyncio.Runner(loop_factory=lambda: EventLoop(offload=offload)) as runner:
        return runner.run(main())


def test_jobs_and_names_go_through_it_and_no_thread_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    offload = Offload()
    here = threading.get_ident()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked: [("answer", asked[0], threading.get_ident())])

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, threading.get_ident) == here
        assert await asyncio.to_thread(threading.get_ident) == here
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, divmod, 1, 0)
        threads = threading.active_count()
        names: Any = await loop.getaddrinfo("name.test", 80)
        assert threading.active_count() == threads
        return names

    assert run(offload, main) == [("answer", "name.test", here)]
    assert offload.kinds == ["job", "job", "job", "name"]


@pytest.mark.skipif(os.name != "posix", reason="child processes are watched on POSIX")
def test_the_end_of_a_child_is_waited_for_by_it() -> None:
    class Threads(Offload):
        def submit(self, kind: str, function: Any, *args: Any) -> Any:
            self.kinds.append(kind)
            future: Future[Any] = Future()
            threading.Thread(target=lambda: future.set_result(function(*args))).start()
            return future

    offload = Threads()

    async def main() -> Any:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('child')", stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        return out, process.returncode

    assert run(offload, main) == (b"child" + os.linesep.encode(), 0)
    assert offload.kinds == ["child"]


def test_a_job_that_is_over_later() -> None:
    offload = Later()

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(None, pow, 2, number) for number in range(3)]
        jobs[1].cancel()
        await asyncio.sleep(0)
        assert not jobs[0].done()
        offload.work()
        return await asyncio.gather(*jobs, return_exceptions=True)

    first, second, third = run(offload, main)
    assert (first, third) == (1, 4)
    assert isinstance(second, asyncio.CancelledError)


def test_the_end_of_a_loop_waits_for_its_jobs() -> None:
    offload = Later()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(None, int)
        with pytest.warns(RuntimeWarning, match=r"Still busy: 1 jobs of the offload port"):
            await loop.shutdown_default_executor(0.0)  # type: ignore[call-arg]
        loop.call_soon(offload.work)
        await loop.shutdown_default_executor()
        assert job.done()

    run(offload, main)


def test_an_executor_that_the_program_names_is_its_own() -> None:
    from concurrent.futures import ThreadPoolExecutor

    offload = Offload()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            assert await loop.run_in_executor(pool, threading.get_ident) != threading.get_ident()
            loop.set_default_executor(pool)
            assert await loop.run_in_executor(None, threading.get_ident) != threading.get_ident()

    run(offload, main)
    assert offload.kinds == []


@pytest.mark.parametrize("answer", [None, 1, "done"])
def test_what_is_no_future_is_an_error_that_names_it(answer: Any) -> None:
    class Wrong:
        def submit(self, kind: str, function: Any, *args: Any) -> Any:
            return answer

    async def main() -> None:
        with pytest.raises(TypeError, match=r"offload\.submit\(kind, function, \*args\) must return a concurrent\.futures\.Future"):
            await asyncio.get_running_loop().run_in_executor(None, int)
        with pytest.raises(TypeError, match=r"offload\.submit"):
            await asyncio.get_running_loop().getaddrinfo("name.test", 80)

    run(Wrong(), main)


@pytest.mark.parametrize("wrong", [1, object(), "threads"])
def test_what_is_no_offload_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"offload must be None or an object with a method submit"):
        EventLoop(offload=wrong)
    assert cede.EventLoop is EventLoop
