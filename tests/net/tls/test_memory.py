"""Thousands of TLS connections that come and go: the memory of the process returns to what it was (cp#109534, uvloop 565)."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.certificates import made

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
    import asyncio, gc, resource, ssl, sys

    import cede

    PEM, COUNT, BATCH = sys.argv[1], int(sys.argv[2]), 100

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    async def main():
        loop = asyncio.get_running_loop()
        serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        serving.load_cert_chain(PEM)
        serving.num_tickets = 0  # OpenSSL would remember thousands of sessions
        asking.load_verify_locations(PEM)
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=serving, backlog=BATCH)
        address = server.sockets[0].getsockname()

        async def connect():
            return (await loop.create_connection(asyncio.Protocol, *address, ssl=asking, server_hostname="localhost"))[0]

        async def come_and_go(count):
            for _ in range(count // BATCH):
                for transport in await asyncio.gather(*(connect() for _ in range(BATCH))):
                    transport.abort()
                while server.statistics().connections:
                    await asyncio.sleep(0)

        await come_and_go(500)
        gc.collect()
        before = resident()
        await come_and_go(COUNT)
        gc.collect()
        print(resident() - before)
        server.close()
        await server.wait_closed()

    cede.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_memory_returns_after_thousands_of_connections() -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    count = 2000
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(made("localhost")), str(count)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=380, check=False)
    assert answer.returncode == 0, answer.stderr
    # One that is left behind takes tens of kilobytes.
    assert int(answer.stdout) < count * 1000, f"{int(answer.stdout):,} bytes more after {count} connections"
