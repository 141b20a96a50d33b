"""A forked child: the parent's loop is refused there and undisturbed here, and a fresh loop works."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from cede.loop.config import driver_names
from tests.support.forks import run_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(params=driver_names())
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_idle_loop_is_refused_in_the_child(driver: str) -> None:
    run_script(
        """
        loop = cede.new_event_loop()
        def use():
            errors = [raised_by(call) for call in (
                loop.run_forever, lambda: loop.call_soon(print), lambda: loop.call_later(1, print),
                lambda: loop.call_soon_threadsafe(print), lambda: loop.add_reader(0, print),
                lambda: loop.run_in_executor(None, print))]
            loop.close()
            told = ("RuntimeError", "fork", f"parent process {os.getppid()} ", "new_event_loop")
            return all(word in error for error in errors for word in told) or errors
        print(in_child(use))
        print(loop.run_until_complete(asyncio.sleep(0, "parent goes on")))
        loop.close()
        """,
        driver,
        "True\nparent goes on\n",
    )


def test_a_fresh_loop_works_in_the_child(driver: str) -> None:
    run_script(
        """
        async def work():
            loop = asyncio.get_running_loop()
            one, other = socket.socketpair()
            one.setblocking(False), other.setblocking(False)
            receiving = asyncio.create_task(loop.sock_recv(one, 10))
            await asyncio.sleep(0.001)
            await loop.sock_sendall(other, b"data")
            await loop.getaddrinfo("localhost", 80)
            return (await receiving, await loop.run_in_executor(None, int))

        async def main():
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            await asyncio.to_thread(int)
            return in_child(lambda: cede.run(work()))

        print(cede.run(main()))
        """,
        driver,
        "(b'data', 0)\n",
    )


def test_the_running_loop_is_not_the_childs(driver: str) -> None:
    run_script(
        """
        async def main():
            return in_child(lambda: raised_by(asyncio.get_running_loop))
        print(cede.run(main()))
        """,
        driver,
        "RuntimeError: no running event loop\n",
    )


def test_a_child_that_returns_into_the_loop_is_stopped(driver: str) -> None:
    """asyncio 347: a fork inside of a running loop."""
    run_script(
        """
        ear, mouth = os.pipe()
        home = os.getpid()

        async def bystander():
            while True:
                await asyncio.sleep(0)

        async def main():
            other = asyncio.create_task(bystander())
            await asyncio.sleep(0)
            pid = os.fork()
            if pid:
                await asyncio.to_thread(os.waitpid, pid, 0)
                os.close(mouth)
                other.cancel()
                return os.read(ear, 1000).decode()
            await asyncio.sleep(0)  # the child goes on as if nothing had happened
            os.write(mouth, b"ran on")

        loop = cede.new_event_loop()
        try:
            print(loop.run_until_complete(main()))
            loop.close()
        except RuntimeError as error:
            assert os.getpid() != home
            os.write(mouth, str(f"process {home}" in str(error) and "os._exit" in str(error)).encode())
            os._exit(0)
        """,
        driver,
        "True\n",
    )


def test_the_parents_registrations_survive_the_child(driver: str) -> None:
    """The child's copy of the epoll descriptor is the parent's epoll: closing must not unregister anything."""
    run_script(
        """
        async def main():
            loop = asyncio.get_running_loop()
            one, other = socket.socketpair()
            third, fourth = socket.socketpair()
            for sock in (one, other, third, fourth):
                sock.setblocking(False)
            receiving = asyncio.create_task(loop.sock_recv(one, 10))
            readable = loop.create_future()
            loop.add_reader(third, lambda: (loop.remove_reader(third), readable.set_result("readable")))
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            await asyncio.sleep(0.001)

            def child():
                loop.close()
                return raised_by(lambda: cede.run(asyncio.sleep(0.001)))
            assert in_child(child) == "nothing raised"
            await loop.sock_sendall(other, b"data")
            await loop.sock_sendall(fourth, b"data")
            print(await receiving, await readable)
            transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
            transport.close()
            server.close()
            await asyncio.sleep(0)
        cede.run(main())
        """,
        driver,
        "b'data' readable\n",
    )


def test_signals_of_the_child_do_not_wake_the_parent(driver: str) -> None:
    run_script(
        """
        async def main():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, print, "handler of the parent")
            def child():
                fd = signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGUSR1, lambda *args: None)
                signal.raise_signal(signal.SIGUSR1)
                return fd
            print(in_child(child))
            await asyncio.sleep(0.01)
        cede.run(main())
        """,
        driver,
        "-1\n",
    )


def test_multiprocessing_from_inside_a_loop(driver: str) -> None:
    """asyncio 347, uvloop 268, uvloop 118, dd-trace-py 15798: a fork inside of a running loop."""
    run_script(
        """
        import multiprocessing

        def work(queue):
            queue.put(cede.run(asyncio.sleep(0.001, "from the child")))

        async def main():
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            process = context.Process(target=work, args=(queue,))
            process.start()
            answer = await asyncio.to_thread(queue.get)
            await asyncio.to_thread(process.join)
            return answer, process.exitcode

        print(cede.run(main()))
        """,
        driver,
        "('from the child', 0)\n",
    )


def test_a_loop_of_another_thread(driver: str) -> None:
    run_script(
        """
        loop = cede.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
        print(in_child(lambda: "belongs to the parent" in raised_by(lambda: loop.call_soon_threadsafe(print))))
        print(in_child(lambda: cede.run(asyncio.sleep(0, "fresh"))))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        """,
        driver,
        "True\nfresh\n",
    )


def test_the_child_is_not_deaf_to_signals_the_loop_handled(driver: str) -> None:
    run_script(
        """
        async def main():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, print, "the parent's")
            ear, mouth = os.pipe()
            pid = os.fork()
            if not pid:
                os.write(mouth, b"x")
                while True:
                    signal.pause()
            os.read(ear, 1)
            os.kill(pid, signal.SIGTERM)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            print(os.waitstatus_to_exitcode(status), signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
            loop.remove_signal_handler(signal.SIGTERM)
        cede.run(main())
        """,
        driver,
        f"{-signal.SIGTERM} True\n",
    )


def test_many_forks_leave_the_loop_sound(driver: str) -> None:
    run_script(
        """
        async def main():
            for _ in range(20):
                assert in_child(lambda: cede.run(asyncio.sleep(0, "x"))) == "x"
                await asyncio.sleep(0.0001)
            return "done"
        print(cede.run(main()))
        """,
        driver,
        "done\n",
    )


def test_subprocess_with_preexec_fn_and_popen() -> None:
    """asyncio 347: a fork inside of a running loop."""

    async def main() -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('child')", stdout=asyncio.subprocess.PIPE, preexec_fn=os.setsid
        )
        out, _ = await process.communicate()
        with os.popen("echo shell") as shell:
            out += shell.read().encode()
        return out

    import cede

    assert cede.run(main()) == b"child\nshell\n"
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
