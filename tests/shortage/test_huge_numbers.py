"""Numbers that are far too large, in a process that has little memory: an error at once, and never memory that they size."""

from __future__ import annotations

import pytest

from cede.loop.config import driver_names
from tests.support.scripts import run_script

HEAD = """
import asyncio, os, resource, signal, socket, sys
import cede
if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # a sanitizer needs memory of its own, and refuses what is huge by itself
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
HUGE = (10**9, 2**30, 2**31 - 1, 2**31, 2**32 + 5, 2**62, 2**63 - 1, 2**63, 10**30)
def refused(function, *errors):
    signal.alarm(20)
    try:
        function()
    except errors:
        return True
    finally:
        signal.alarm(0)
    return False
"""


def run_limited(script: str, **environment: str) -> tuple[int, str, str]:
    code, printed, errors = run_script(script, HEAD, **environment)
    # A sanitizer says of each size that it refuses it.
    said = [line for line in errors.splitlines(True) if "AddressSanitizer failed to allocate" not in line]
    return code, printed, "".join(said)


@pytest.mark.parametrize("driver", driver_names())
def test_no_descriptor_has_such_a_number(driver: str) -> None:
    """asyncio's loops raise the same, at once."""
    script = """
    loop = cede.new_event_loop()
    for number in HUGE:
        for method in (loop.add_reader, loop.add_writer):
            assert refused(lambda: method(number, print), OSError, ValueError, OverflowError), number
        for method in (loop.remove_reader, loop.remove_writer):
            try:
                assert method(number) is False
            except (ValueError, OverflowError):
                pass
    # One that is open, and larger than all before, is served.
    here, there = socket.socketpair()
    import os
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    high = min(most, 5000) - 1
    os.dup2(here.fileno(), high)
    loop.add_reader(high, loop.stop)
    there.send(b"x")
    loop.run_forever()
    loop.remove_reader(high)
    loop.close()
    print("whole")
    """
    assert run_limited(script, CEDE_DRIVER=driver) == (0, "whole\n", "")


@pytest.mark.parametrize("driver", driver_names())
def test_sizes_that_no_memory_has(driver: str) -> None:
    """What is there is given, or the number is refused; nothing is taken from the socket, and nothing waits for ever."""
    script = """
    ERRORS = (OverflowError, MemoryError, ValueError, OSError)
    async def ends(awaitable):
        try:
            return await cede.wait_for(awaitable, 5)
        except ERRORS as error:
            return type(error)
    async def main():
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        for sock in (here, there):
            sock.setblocking(False)
        for number in HUGE:
            there.send(b"abc")
            for call in (
                lambda: loop.sock_recv(here, number),
                lambda: loop.sock_recvfrom(here, number),
                lambda: loop.sock_recvfrom_into(here, bytearray(10), number),
            ):
                try:
                    got = await ends(call())
                except ERRORS as error:
                    continue
                if not isinstance(got, type):
                    there.send(b"abc")
            here.recv(100)
        reader, writer = await cede.open_connection(sock=here)
        for number in HUGE:
            there.send(b"abc")
            assert await reader.readexactly(3) == b"abc"
            there.send(b"abc")
            got = await ends(reader.read(number))
            assert got == b"abc" or got in ERRORS, (number, got)
            if got != b"abc":
                assert await reader.readexactly(3) == b"abc"
        for number in HUGE:
            for make in (
                lambda: cede.StreamReader(limit=number),
                lambda: cede.Queue(number),
                lambda: cede.Semaphore(number),
                lambda: cede.BoundedSemaphore(number),
                lambda: cede.Barrier(number),
                lambda: cede.channel(number),
                lambda: writer.transport.set_write_buffer_limits(high=number),
                lambda: writer.transport.set_write_buffer_limits(low=number),
            ):
                try:
                    make()
                except ERRORS:
                    pass
            for make in (
                lambda: cede.start_server(print, "127.0.0.1", 0, backlog=number),
                lambda: cede.start_server(print, "127.0.0.1", 0, limit=number),
                lambda: loop.create_server(asyncio.Protocol, "127.0.0.1", 0, backlog=number),
            ):
                try:
                    server = await make()
                except ERRORS:
                    continue
                server.close()
                await server.wait_closed()
        with open(sys.executable, "rb") as file:
            for number in HUGE:
                for arguments in ((0, number), (number, 1), (number, number)):
                    got = await ends(loop.sendfile(writer.transport, file, *arguments))
                    while True:
                        try:
                            if not there.recv(1 << 20):
                                break
                        except BlockingIOError:
                            break
        task = asyncio.ensure_future(reader.readexactly(2**62))
        await asyncio.sleep(0)
        there.close()
        try:
            await task
        except (asyncio.IncompleteReadError, ConnectionError, OverflowError):
            pass
        writer.transport.abort()
    signal.alarm(60)
    cede.run(main())
    print("whole")
    """
    assert run_limited(script, CEDE_DRIVER=driver) == (0, "whole\n", "")


def test_pools_and_limits_of_any_size() -> None:
    """A limit is a number until somebody uses it: no thread, process or place is made ahead."""
    script = """
    async def main():
        loop = asyncio.get_running_loop()
        for number in HUGE:
            for make in (
                lambda: cede.gather(cede.sleep(0), limit=number),
                lambda: cede.Limiter(number) if hasattr(cede, "Limiter") else None,
            ):
                try:
                    made = make()
                except (OverflowError, ValueError):
                    continue
                if asyncio.isfuture(made):
                    await made
            for when in (float(number), 1e300):
                loop.call_later(when, print).cancel()
                loop.call_at(when, print).cancel()
                task = asyncio.ensure_future(cede.sleep(when))
                limited = asyncio.ensure_future(cede.wait_for(loop.create_future(), when))
                await cede.sleep(0)
                for each in (task, limited):
                    each.cancel()
                    try:
                        await each
                    except asyncio.CancelledError:
                        pass
    signal.alarm(60)
    cede.run(main())
    print("whole")
    """
    assert run_limited(script) == (0, "whole\n", "")
