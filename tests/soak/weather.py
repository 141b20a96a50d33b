"""Bad weather between two ends: connections that are slow, come in crumbs, are cut or reset.

Where the machine can, the network itself is made bad (`netem_command`); the proxy works everywhere.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import struct
import subprocess
from typing import Any

NETEM = "delay 3ms 2ms loss 0.3% duplicate 0.2% reorder 1%"


def netem_command() -> list[str] | None:
    """How a command is started in a network namespace of its own with a bad loopback; None where the machine does not allow it."""
    if shutil.which("unshare") is None or shutil.which("tc") is None or shutil.which("ip") is None:
        return None
    prepare = f"ip link set lo up && tc qdisc add dev lo root netem {NETEM}"
    attempt = subprocess.run(["unshare", "-n", "sh", "-c", prepare], capture_output=True, check=False, timeout=20)
    if attempt.returncode:
        return None
    return ["unshare", "-n", "sh", "-c", prepare + ' && exec "$@"', "sh"]


def reset(writer: Any) -> None:
    """Close so that the other side gets a reset."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # closed already
    writer.transport.abort()


class Proxy:
    """Passes connections on to `port`, with faults drawn from `rng`."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self.port = port
        self.rng = rng
        self.counts = {"cut": 0, "reset": 0, "crumbs": 0, "delayed": 0}
        self.server: Any = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        self.server = await asyncio.start_server(self.pass_on, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self.server.close()
        for task in [*self.tasks]:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def pass_on(self, reader: Any, writer: Any) -> None:
        task: Any = asyncio.current_task()
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        far_writer = None
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
            ends.append(far_writer)
            pumps = [
                asyncio.ensure_future(self.pump(reader, far_writer, ends)),
                asyncio.ensure_future(self.pump(far_reader, writer, ends)),
            ]
            try:
                await asyncio.wait(pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()

    async def pump(self, reader: Any, writer: Any, ends: list[Any]) -> None:
        rng = self.rng
        fate = rng.choices(["fair", "crumbs", "cut", "reset", "delayed"], [4, 2, 1, 1, 2])[0]
        left = rng.randrange(1, 200_000) if fate in ("cut", "reset") else None
        if fate in ("crumbs", "delayed"):
            self.counts[fate] += 1
        try:
            while data := await reader.read(65536):
                if fate == "delayed":
                    await asyncio.sleep(rng.random() * 0.02)
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                while data:
                    size = rng.randrange(1, 60) if fate == "crumbs" and len(data) < 2000 else len(data)
                    writer.write(data[:size])
                    data = data[size:]
                    await writer.drain()
                if left == 0:
                    self.counts[fate] += 1
                    for end in ends:
                        reset(end) if fate == "reset" else end.transport.abort()
                    return
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            for end in ends:  # one side is gone: the other would wait for ever
                end.transport.abort()
