"""What a forked child holds of its parent's loop: nothing; and what that spares the parent's peers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cede.loop.config import driver_names
from tests.support.forks import assemble, run_script
from tests.support.processes import needs_proc

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(params=driver_names())
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LOOK = """
    import os
    def held():
        # What a process holds beside its standard streams and the pipe that it answers by: kind of thing -> how many.
        import collections
        kinds = collections.Counter()
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2:
                try:
                    target = os.readlink(f"/proc/self/fd/{name}")
                except OSError:
                    continue
                if not target.startswith("/"):
                    kinds[target.rpartition(":")[0] or target] += 1
        return dict(kinds)
"""

HOLDING = """
    async def hold():
        # One of each thing that a loop can own.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, print)
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        client, _ = await loop.create_connection(asyncio.Protocol, *address)
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        child = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
        await asyncio.to_thread(int)
        await loop.getaddrinfo("localhost", 80)
        await asyncio.sleep(0.001)
        return server, client, datagrams, child
    async def let_go(server, client, datagrams, child):
        client.close()
        datagrams.close()
        server.close()
        await child.communicate(b"")
        await server.wait_closed()
"""


@needs_proc
def test_a_forked_child_holds_nothing_of_the_loop(driver: str) -> None:
    """No epoll instance, bell, signal pipe or pidfd, no connection, endpoint or server's socket, and no other child's pipe."""
    run_script(
        """
        async def main():
            before = in_child(held)
            things = await hold()
            after = in_child(held)
            await let_go(*things)
            return before == after or (before, after)
        before = in_child(held)
        print(cede.run(main()))
        """,
        driver,
        "True\n",
        LOOK,
        HOLDING,
    )


@needs_proc
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_multiprocessing_child_holds_nothing_of_the_loop(driver: str, method: str, tmp_path: Path) -> None:
    """However it is started, from inside of a running loop; and it makes a loop of its own."""
    source = assemble(
        f"METHOD = {method!r}",
        LOOK,
        HOLDING,
        """
        import multiprocessing

        def look(connection):
            connection.send((held(), cede.run(asyncio.sleep(0.001, "fresh"))))
            connection.close()

        def ask(context):
            here, there = context.Pipe()
            process = context.Process(target=look, args=(there,))
            process.start()
            there.close()
            answer = here.recv()
            process.join()
            here.close()
            # Forked from a worker thread, a child of multiprocessing ends with a complaint about that thread, under any loop.
            assert process.exitcode == 0 or threading.current_thread() is not threading.main_thread()
            return answer

        async def main(context, before):
            things = await hold()
            after = ask(context)
            in_thread = await asyncio.to_thread(ask, context)
            await let_go(*things)
            return [found == before or (before, found) for found in (after, in_thread)]

        if __name__ == "__main__":
            context = multiprocessing.get_context(METHOD)
            ask(context)  # what a fork server keeps open is there before
            print(cede.run(main(context, ask(context))))
        """,
    )
    script = tmp_path / "program.py"
    script.write_text(source)
    done = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"CEDE_DRIVER": driver}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "[True, True]\n"), done.stderr


def test_the_end_of_a_connection_is_not_held_up_by_a_child(driver: str) -> None:
    """A copy in a child that lives on would keep the connection open for the peer, and the port taken."""
    run_script(
        """
        async def main():
            loop = asyncio.get_running_loop()
            server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            given = socket.create_server(("127.0.0.1", 0))
            own = await loop.create_server(asyncio.Protocol, sock=given)
            transport, _ = await loop.create_connection(asyncio.Protocol, *own.sockets[0].getsockname())
            raw = socket.create_connection(address)
            raw.setblocking(False)
            await asyncio.sleep(0.01)
            ear, mouth = os.pipe()
            there, here = os.pipe()
            pid = os.fork()
            if not pid:
                os.close(mouth)
                os.write(here, b"x")
                os.read(ear, 1)  # lives until it is told
                os._exit(given.fileno() == -1)  # the program's own socket is still open
            os.read(there, 1)
            for fd in (ear, there, here):
                os.close(fd)
            transport.close()
            server.close_clients() if hasattr(server, "close_clients") else None
            print(await loop.sock_recv(raw, 10))
            server.close()
            await server.wait_closed()
            with socket.create_server(address):
                print("the port is free")
            raw.close()
            own.close()
            os.close(mouth)
            print(os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, pid, 0))[1]))
            await asyncio.sleep(0)
        cede.run(main())
        """,
        driver,
        "b''\nthe port is free\n0\n",
    )
