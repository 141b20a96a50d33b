"""Thousands of TLS connections that do nothing, and a loop that is closed over them: no crash, and nothing is left of any.

As many as the limit of descriptors allows, where that is lower. The clients are in a process of their own, on a cede loop as well, which is
closed last, over connections that their peer has left.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cede.core.task import task

pytest.importorskip("ssl")

ROOT = Path(__file__).resolve().parents[3]
COMPILED = not (task.__file__ or "").endswith(".py")
# The whole crowd is 15,000 connections: `make nightly` asks for it.
WANTED = int(os.environ.get("CEDE_TEST_CROWD", "1500")) if COMPILED else 500
SPARE = 200

CLIENT = """
import asyncio, gc, os, ssl, sys
import cede

port, count = int(sys.argv[1]), int(sys.argv[2])
context = ssl.create_default_context(cafile=sys.argv[3])
lost = 0
kept = []

class Idle(asyncio.Protocol):
    def connection_lost(self, error):
        global lost
        lost += 1

async def main():
    loop = asyncio.get_running_loop()
    for begin in range(0, count, 50):
        dialled = [
            loop.create_connection(Idle, "127.0.0.1", port, ssl=context, server_hostname="localhost", ssl_handshake_timeout=300)
            for _ in range(begin, min(begin + 50, count))
        ]
        kept.extend(await asyncio.gather(*dialled))
    print("connected", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    while lost < count // 2:  # the server is gone, and everybody hears of it; half of them only once the loop is closed
        await asyncio.sleep(0)
    await loop.shutdown_default_executor()

before = len(os.listdir("/proc/self/fd"))
loop = cede.new_event_loop()
loop.run_until_complete(main())
loop.close()
kept.clear()
gc.collect()
alive = sum(isinstance(thing, Idle) for thing in gc.get_objects())
print("client", alive, len(os.listdir("/proc/self/fd")) - before, flush=True)
"""

SERVER = """
import asyncio, gc, os, resource, subprocess, sys
import cede
from tests.support.certificates import made as certificate, server_context

count, client = int(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
made = 0
context = server_context()

class Idle(asyncio.Protocol):
    def connection_made(self, transport):
        global made
        made += 1
        self.transport = transport

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Idle, "127.0.0.1", 0, ssl=context, backlog=1000, ssl_handshake_timeout=300)
    command = [sys.executable, "-c", client, str(server.sockets[0].getsockname()[1]), str(count), str(certificate("localhost"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = await loop.run_in_executor(None, process.stdout.readline)
    assert said == "connected\\n", said
    while made < count:
        await asyncio.sleep(0.01)
    assert server.statistics().connections == count, server.statistics()
    if len(sys.argv) > 3:
        server.abort_clients()  # their ends are told in the turn that never comes
    await loop.shutdown_default_executor()
    return process

gc.disable()
before = len(os.listdir("/proc/self/fd"))
loop = cede.new_event_loop()
process = loop.run_until_complete(main())
loop.close()
gc.collect()
alive = sum(isinstance(thing, Idle) for thing in gc.get_objects())
transports = sum(type(thing).__name__ in ("TLSTransport", "StreamTransport") for thing in gc.get_objects())
said, _ = process.communicate("\\n")
del process
print("server", made, alive, transports, len(os.listdir("/proc/self/fd")) - before)
print(said, end="")
"""


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("how", [[], ["abort"]], ids=["closed", "aborted and closed"])
def test_a_crowd_of_idle_tls_connections(how: list[str]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard - SPARE)
    command = [sys.executable, "-X", "faulthandler", "-c", SERVER, str(count), LIMITED + CLIENT, *how]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=480, check=False)
    assert (answer.returncode, answer.stderr[-3000:]) == (0, "")
    assert answer.stdout == f"server {count} 0 0 0\nclient 0 0\n"


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
"""
