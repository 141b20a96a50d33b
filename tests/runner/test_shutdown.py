"""cede.run(..., grace=): the end in phases, and in bounded time whatever will not end. Each in a process of its own, where that matters."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import textwrap
import threading
from typing import Any

import pytest

import cede
from cede.loop.config import driver_names
from tests.support.scripts import run_script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and exits")

# Longer than any test may take: what should have been cut short shows as a failure, not as a slow success.
NEVER = 1000


@pytest.fixture(params=driver_names())
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run_program(script: str, driver: str, prelude: str = "") -> tuple[int, str, str]:
    return run_script(script, "import asyncio, atexit, os, signal, sys, threading, time\nimport cede\n", prelude, CEDE_DRIVER=driver)


def test_a_clean_end_is_as_without_grace() -> None:
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(NEVER)
        finally:
            await asyncio.sleep(0)
            ended.append("background")

    async def numbers() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.append("generator")

    async def main() -> str:
        task = asyncio.create_task(background())
        generator = numbers()
        await anext(generator)
        await asyncio.sleep(0)
        await asyncio.to_thread(ended.append, "thread")
        main.keep = task, generator  # type: ignore[attr-defined]
        return "result"

    assert cede.run(main(), grace=30) == "result"
    assert ended == ["thread", "background", "generator"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(("grace", "error"), [("1", TypeError), (True, TypeError), (-1, ValueError), (float("nan"), ValueError)])
def test_a_grace_that_is_none(grace: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="grace must be"):
        cede.Runner(grace=grace)


def test_a_foreign_loop_has_no_grace() -> None:
    with pytest.raises(TypeError, match="grace needs a cede event loop"):
        cede.run(asyncio.sleep(0), loop_factory=asyncio.SelectorEventLoop, grace=1)


def test_errors_of_the_main_task_come_out_and_the_end_is_still_made() -> None:
    async def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cede.run(main(), grace=30)


def test_errors_of_cancelled_tasks_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def bad() -> None:
        try:
            await asyncio.sleep(NEVER)
        finally:
            raise ZeroDivisionError

    async def main() -> None:
        main.keep = asyncio.create_task(bad())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    cede.run(main(), grace=30)
    assert "unhandled exception during the shutdown" in caplog.text


def test_the_phases_in_order() -> None:
    """Idle connections see an end, one at work finishes, nobody new gets in, and only then is anything cancelled."""
    order: list[str] = []

    async def main() -> Any:
        working = asyncio.Event()
        release = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while line := await reader.readline():
                    if line == b"work\n":
                        working.set()
                        await release.wait()
                    writer.write(line)
                order.append("handler saw the end")
            except asyncio.CancelledError:
                order.append("handler was cancelled")
                raise
            finally:
                writer.close()

        async def bystander() -> None:
            try:
                await asyncio.sleep(NEVER)
            finally:
                order.append("bystander was cancelled")

        server = await cede.start_server(handle, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        idle, busy = [await cede.open_connection(*address) for _ in range(2)]
        idle[1].write(b"hello\n")
        assert await idle[0].readline() == b"hello\n"
        busy[1].write(b"work\n")
        await working.wait()

        async def outside() -> None:
            # What clients see of it; runs on while the loop stops.
            assert await idle[0].read() == b""
            order.append("idle client saw the end")
            with pytest.raises(ConnectionRefusedError):
                await cede.open_connection(*address)
            order.append("newcomer was refused")
            release.set()
            assert await busy[0].readline() == b"work\n"
            assert await busy[0].read() == b""
            order.append("busy client had its answer")
            for _, writer in (idle, busy):
                writer.close()

        tasks = [asyncio.create_task(bystander()), asyncio.create_task(outside())]
        await asyncio.sleep(0)
        return tasks

    tasks = cede.run(main(), grace=60)
    assert tasks[1].exception() is None
    assert sorted(order[:-1]) == sorted(
        ["handler saw the end"] * 2 + ["idle client saw the end", "newcomer was refused", "busy client had its answer"]
    )
    assert order[-1] == "bystander was cancelled"


def test_what_was_written_is_sent_before_the_end() -> None:
    received = bytearray()

    # Not on the loop itself: this end would be closed with everything else, with the last bytes unread.
    def read_all(sock: socket.socket) -> None:
        with sock:
            while block := sock.recv(1 << 16):
                received.extend(block)

    class Source(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(bytes(1 << 22))

    async def main() -> threading.Thread:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)
        await loop.connect_accepted_socket(Source, near)
        reader = threading.Thread(target=read_all, args=(far,))
        reader.start()
        return reader

    cede.run(main(), grace=60).join()
    assert len(received) == 1 << 22


def test_a_task_that_will_not_be_cancelled(driver: str) -> None:
    status, out, err = run_program(
        """
        async def stubborn():
            while True:
                try:
                    await inner()
                except asyncio.CancelledError:
                    pass
        async def inner():
            await asyncio.sleep(1000)  # here it waits
        async def main():
            main.task = asyncio.create_task(stubborn(), name="mule")
            await asyncio.sleep(0)
        try:
            cede.run(main(), grace=0.2)
        except cede.ShutdownError as error:
            print(error)
            print([task.get_name() for task in error.tasks], error.threads, error.transports)
        """,
        driver,
    )
    assert status == 0, err
    assert out == "the shutdown took longer than its grace of 0.2 seconds: 1 task still at work\n['mule'] [] []\n"
    assert "task 'mule' waits:" in err
    assert ", in stubborn" in err
    assert ", in inner" in err


@pytest.mark.parametrize("executor", ["None", "pool"])
def test_a_stuck_thread_does_not_hold_up_the_exit(driver: str, executor: str) -> None:
    """cpython#111358, #107505: what is to be done at the exit is done, output is not lost, and the status tells (backtalk 24)."""
    status, out, err = run_program(
        f"""
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1, "given")
        atexit.register(print, "exit function ran")
        def stuck_here():
            threading.Event().wait()
        async def main():
            main.future = asyncio.get_running_loop().run_in_executor({executor}, stuck_here)
            await asyncio.sleep(0.01)
            print("main ended")
        cede.run(main(), grace=0.2)
        """,
        driver,
    )
    assert (status, out) == (1, "main ended\nexit function ran\n")
    assert "in stuck_here" in err
    assert "ShutdownError: the shutdown took longer than its grace of 0.2 seconds: 1 thread still at work" in err
    assert "cede: leaving without 1 thread(s) that did not end in time:" in err


def test_a_thread_that_ends_after_all_is_not_left_behind(driver: str) -> None:
    status, out, err = run_program(
        """
        gate = threading.Event()
        def late():
            gate.wait()
            print("late, but done")
        async def main():
            main.future = asyncio.get_running_loop().run_in_executor(None, late)
            await asyncio.sleep(0.01)
        try:
            cede.run(main(), grace=0.05)
        except cede.ShutdownError as error:
            gate.set()
            for thread in error.threads:
                thread.join()
            print("still here")
        """,
        driver,
    )
    assert (status, out) == (0, "late, but done\nstill here\n"), err
    assert "leaving without" not in err


def test_a_peer_that_takes_nothing_is_cut_off(driver: str) -> None:
    status, out, err = run_program(
        """
        import socket
        async def main():
            loop = asyncio.get_running_loop()
            near, far = socket.socketpair()
            main.far = far
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
            transport.write(bytes(1 << 24))
        try:
            cede.run(main(), grace=0.1)
        except cede.ShutdownError as error:
            print(error)
        """,
        driver,
    )
    assert (status, out) == (0, "the shutdown took longer than its grace of 0.1 seconds: 1 transport still at work\n"), err
    assert "transport <StreamTransport" in err


def test_a_blocked_loop_is_left(driver: str) -> None:
    status, out, err = run_program(
        """
        import cede.runner.run
        cede.runner.run.LAST_CHANCE = 0.1
        def blocks_here():
            try:
                while True:
                    time.sleep(1000)
            finally:
                print("not reached")
        async def main():
            async def blocker():
                try:
                    await asyncio.sleep(1000)
                finally:
                    blocks_here()
            main.task = asyncio.create_task(blocker())
            await asyncio.sleep(0)
        cede.run(main(), grace=0.1)
        """,
        driver,
    )
    assert (status, out) == (1, ""), err
    assert "cede: the event loop is blocked, 0.1 seconds after the shutdown began:" in err
    assert ", in blocks_here" in err


SIGNALLED = """
    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(os.kill, os.getpid(), NUMBER)
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            if STUBBORN:
                await forever()
            raise
        finally:
            print("cleaned up", flush=True)
    async def forever():
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                pass
"""


def test_sigterm_ends_it_in_order(driver: str) -> None:
    prelude = "NUMBER, STUBBORN = signal.SIGTERM, False\n" + textwrap.dedent(SIGNALLED)
    status, out, err = run_program("cede.run(main(), grace=60)", driver, prelude)
    assert (status, out, err) == (143, "cancelled\ncleaned up\n", "")


def test_ctrl_c_ends_it_in_order(driver: str) -> None:
    script = """
    try:
        cede.run(main(), grace=60)
    except KeyboardInterrupt:
        print("interrupted")
    """
    status, out, err = run_program(script, driver, "NUMBER, STUBBORN = signal.SIGINT, False\n" + textwrap.dedent(SIGNALLED))
    assert (status, out, err) == (0, "cancelled\ncleaned up\ninterrupted\n", "")


@pytest.mark.parametrize(("number", "why"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "SystemExit")])
def test_a_main_task_that_will_not_end(driver: str, number: str, why: str) -> None:
    script = """
    try:
        cede.run(main(), grace=0.1)
    except cede.ShutdownError as error:
        print(error, type(error.__context__).__name__, flush=True)
        os._exit(5)
    """
    status, out, err = run_program(script, driver, f"NUMBER, STUBBORN = signal.{number}, True\n" + textwrap.dedent(SIGNALLED))
    assert (status, out) == (5, f"cancelled\nthe shutdown took longer than its grace of 0.1 seconds: 1 task still at work {why}\n"), err
    assert ", in forever" in err


def test_without_grace_sigterm_is_the_systems() -> None:
    async def main() -> bool:
        return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    assert cede.run(main())


def test_the_report_tells_of_tasks_threads_and_transports_at_once(driver: str) -> None:
    """What still ran, each with where it was; the status is that of an error, and output that was written before is not lost."""
    status, out, err = run_program(
        """
        import socket
        def stuck_here():
            threading.Event().wait()
        async def stubborn():
            while True:
                try:
                    await inner()
                except asyncio.CancelledError:
                    pass
        async def inner():
            await asyncio.sleep(1000)  # here it waits
        async def main():
            loop = asyncio.get_running_loop()
            main.task = asyncio.create_task(stubborn(), name="mule")
            main.job = loop.run_in_executor(None, stuck_here)
            near, main.far = socket.socketpair()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
            transport.write(bytes(1 << 24))
            print("main ended")
        cede.run(main(), grace=0.2)
        """,
        driver,
    )
    assert (status, out) == (1, "main ended\n"), err
    for text in (
        "cede: still at work 0.2 seconds after the shutdown began:",
        "task 'mule' waits:",
        ", in stubborn",
        ", in inner",
        "is at:",
        ", in stuck_here",
        "transport <StreamTransport",
        "is open",
        "ShutdownError: the shutdown took longer than its grace of 0.2 seconds: 1 task, 1 thread, 1 transport still at work",
    ):
        assert text in err, (text, err)


ROWS = """
    async def commit():
        await asyncio.sleep(SECONDS)  # here it waits
        print("committed", flush=True)
    async def rows():
        try:
            for number in range(9):
                yield number
        finally:
            await commit()
"""


def rows_that_take(seconds: float) -> str:
    return f"SECONDS = {seconds}\n{textwrap.dedent(ROWS)}"


@pytest.mark.parametrize("how", ["held", "dropped", "dropped by a cancelled task", "read by a flow"])
@pytest.mark.parametrize("in_time", [True, False])
def test_a_generator_that_cleans_up(driver: str, how: str, in_time: bool) -> None:
    """It has the grace for it, whoever held it; where that is not enough, what was cut off is told."""
    script = f"""
    how = {how!r}
    async def read():
        async for _ in rows():
            await asyncio.sleep(1000)
    async def main():
        if how == "held":
            main.rows = rows()
            await anext(main.rows)
        elif how == "dropped":
            async for _ in rows():
                break
        elif how == "dropped by a cancelled task":
            main.task = asyncio.create_task(read())
            await asyncio.sleep(0.01)
        else:
            main.flow = cede.aiter.buffer(rows(), 1)
            await anext(main.flow)
    try:
        cede.run(main(), grace={60 if in_time else 0.1})
    except cede.ShutdownError as error:
        print(error, [each.__qualname__ for each in error.generators])
        raise
    """
    status, out, err = run_program(script, driver, rows_that_take(0.02 if in_time else NEVER))
    if in_time:
        assert (status, out, err) == (0, "committed\n", "")
        return
    assert status == 1
    assert ", in commit" in err
    if how == "read by a flow":
        assert "1 task" in out
    else:
        assert "asynchronous generator 'rows' is closed, and its cleaning up was cut off where it waited:" in err
        assert "1 asynchronous generator still at work ['rows']" in out
    assert "was destroyed" not in err


def test_tasks_that_a_generator_leaves_are_ended_too(driver: str) -> None:
    status, out, err = run_program(
        """
        async def background():
            try:
                await asyncio.sleep(1000)
            finally:
                print("ended")
        async def rows():
            try:
                yield 1
            finally:
                main.task = asyncio.create_task(background())
                await asyncio.sleep(0)
        async def main():
            main.rows = rows()
            await anext(main.rows)
        cede.run(main(), grace=60)
        """,
        driver,
    )
    assert (status, out, err) == (0, "ended\n", "")


def test_a_pool_that_will_not_close_is_told(driver: str) -> None:
    status, out, err = run_program(
        """
        def stuck_here():
            threading.Event().wait()
        async def main():
            main.pool = cede.ThreadPool(1, name="mine")
            main.task = asyncio.create_task(main.pool.run(stuck_here))
            await asyncio.sleep(0.05)
        try:
            cede.run(main(), grace=0.2)
        except cede.ShutdownError as error:
            print(error, error.pools)
            raise
        """,
        driver,
    )
    assert status == 1
    assert "1 pool, 1 thread still at work" in out
    assert "thread pool 'mine' closed" in out
    assert "thread pool 'mine' closed size=1 busy=1 queued=0> is closed, and was cut off" in err
    assert ", in stuck_here" in err
