"""``python -bb``, with which suites hunt for mistaken bytes: a comparison of bytes with text, or with a number, is an error."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PROGRAM = """
    import asyncio, os, socket, sys, tempfile

    import cede

    async def echo(reader, writer):
        writer.write(await reader.read(100))
        writer.close()
        await writer.wait_closed()

    async def ask(reader, writer):
        writer.write(b"x")
        assert await reader.read() == b"x"
        writer.close()
        await writer.wait_closed()

    async def main():
        loop = asyncio.get_running_loop()
        for host in ("127.0.0.1", "localhost"):
            server = await asyncio.start_server(echo, host, 0)
            port = server.sockets[0].getsockname()[1]
            for asked in (host, host.encode()):
                for number in (port, str(port)):
                    await ask(*await asyncio.open_connection(asked, number))
            server.close()
        with tempfile.TemporaryDirectory() as folder:
            for path in (os.path.join(folder, "one"), os.path.join(folder, "two").encode()):
                server = await asyncio.start_unix_server(echo, path)
                await ask(*await asyncio.open_unix_connection(path))
                server.close()
        for port in (None, 0, "", b"", "0", b"0", 80):
            await loop.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)
            await loop.getaddrinfo(b"::1", port, type=socket.SOCK_STREAM)
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        transport.sendto(b"x", transport.get_extra_info("sockname"))
        transport.close()
        sock = socket.socket()
        sock.setblocking(False)
        listener = socket.create_server(("127.0.0.1", 0))
        await loop.sock_connect(sock, listener.getsockname())
        sock.close()
        listener.close()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(input())", stdin=-1, stdout=-1)
        assert await process.communicate(b"in") == (b"in\\n", None)
        process = await asyncio.create_subprocess_shell(b"exit 3")
        assert await process.wait() == 3
        assert await cede.to_thread(len, b"ab") == 2

    cede.run(main())
    cede.accelerate()
    asyncio.run(main())
"""


def test_no_bytes_are_compared_with_anything_else() -> None:
    command = [sys.executable, "-bb", "-W", "error::BytesWarning", "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
