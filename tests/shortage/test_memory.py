"""No memory for what arrives: bytes are told in order without a gap, or the end of the connection is told; none are lost in silence."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from cede.loop.config import driver_names

pytestmark = [
    pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="looks into /proc"),
    pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="a sanitizer needs memory of its own at any moment"),
]

PROGRAM = """
    import asyncio, os, resource, socket, sys
    from cede.loop.config import make_driver
    from cede.loop.event_loop import EventLoop

    SIZE = 190_000
    kind, name, warm = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
    pattern = memoryview(b"".join(b"%08d" % at for at in range(3 * SIZE // 8)))  # no two stretches of it look alike
    room = memoryview(bytearray(len(pattern)))  # made now, and never larger: our own memory is not the point
    got = sent = 0
    lost = []

    class Takes(asyncio.Protocol, asyncio.DatagramProtocol):
        def data_received(self, data):
            global got
            room[got : got + len(data)] = data
            got += len(data)
        def datagram_received(self, data, address):
            self.data_received(data)
        def connection_lost(self, error):
            lost.append(error)

    def shortage():
        # What is small finds room still.
        crumbs = [object() for _ in range(200_000)]
        del crumbs[::2]
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), resource.RLIM_INFINITY))
        hoard = [crumbs]
        for size in (SIZE, 100_000, 60_000, 15_000) if kind == "tls" else (SIZE, 100_000, 60_000, 48_000):
            try:
                while True:
                    hoard.append(bytes(size))
            except MemoryError:
                pass
        return hoard

    async def main():
        loop = asyncio.get_running_loop()
        hoard = []

        def relieve():
            hoard.clear()
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        loop.set_exception_handler(lambda loop, context: None)
        rest = []  # what is to go to a TLS transport and has found no room yet
        if kind == "pipe":
            near, far = os.pipe()
            import fcntl
            fcntl.fcntl(far, 1031, 1 << 20)  # F_SETPIPE_SZ
            os.set_blocking(far, False)
            put = lambda data: os.write(far, data)
            transport, _ = await loop.connect_read_pipe(Takes, os.fdopen(near, "rb", 0))
        else:
            near, far = socket.socketpair(type=socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            near.setblocking(False)
            far.setblocking(False)
            put = far.send
            if kind == "stream":
                transport, _ = await loop.create_connection(Takes, sock=near)
            elif kind == "datagram":
                transport, _ = await loop.create_datagram_endpoint(Takes, sock=near)
            elif "tls" in kind:
                from tests.support.certificates import client_context, server_context
                from tests.support.tls_peer import Peer

                peer = Peer(far, client_context())
                shaking = asyncio.ensure_future(peer.handshake())
                transport, _ = await loop.connect_accepted_socket(Takes, near, ssl=server_context())
                await shaking
                sealed = []
                for size in (40_000,) * warm + (SIZE, SIZE):  # of more than a record: memory to decrypt it into is there then
                    start = sum(size for size, _ in sealed)
                    peer.tls.write(pattern[start : start + size])
                    sealed.append((size, memoryview(peer.outgoing.read())))

                blocks = iter(sealed)  # which lives: the memory of what was sent would be room for what is received

                def put(data):
                    size, block = next(blocks)
                    rest.append(block)
                    return size

        def send(size):
            global sent
            try:
                sent += put(pattern[sent : sent + size])
            except ConnectionError:
                pass

        def push():
            try:
                while rest:
                    rest[0] = rest[0][far.send(rest[0]) :]
                    if not rest[0]:
                        rest.pop(0)
            except BlockingIOError:
                pass
            except OSError:
                rest.clear()

        async def receive():
            if kind == "sock_recv":
                try:
                    async with asyncio.timeout(0.02):  # all there is to receive has arrived
                        Takes.data_received(None, await loop.sock_recv(near, 256 * 1024))
                except (MemoryError, TimeoutError):
                    pass
            else:
                for turn in range(10):
                    push()
                    await asyncio.sleep(0)
                    if hoard and kind[-1:].isdigit() and turn + 1 == int(kind[-1]):
                        relieve()

        if warm:
            send(1000)
            await receive()
        send(SIZE)
        if "paused" in kind:
            transport.pause_reading()
            await receive()  # but not decrypted
        hoard += shortage()
        if "paused" in kind:
            transport.resume_reading()
        for _ in range(3):
            await receive()
        send(SIZE)
        for _ in range(3):
            await receive()
        relieve()
        for _ in range(30):
            await receive()
        if room[:got] != pattern[:got]:
            print("a gap")
        elif got < sent and kind == "sock_recv":
            print("something is missing")
        elif got < sent and not (lost and isinstance(lost[0], (MemoryError, OSError))):  # OpenSSL has an error of its own for it
            print("something is missing, and the end was not told", lost)
        else:
            print("ok", "ended" if lost else "whole", got, "of", sent)
        if kind != "sock_recv":
            transport.close()
            await asyncio.sleep(0)

    factory = asyncio.SelectorEventLoop if name == "asyncio" else lambda: EventLoop(make_driver(name))
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    """


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("name", [*driver_names(), "asyncio"])
@pytest.mark.parametrize("kind", ["stream", "pipe", "datagram", "tls", "tls 2", "tls paused 2", "sock_recv"])
def test_nothing_is_lost_in_silence(kind: str, name: str, warm: bool) -> None:
    words = [sys.executable, "-c", textwrap.dedent(PROGRAM), kind, name, str(warm)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("ok"), done.stdout + done.stderr
    # OpenSSL can do nothing without memory; where the connection lived through it, nothing was tried.
    assert "tls" not in kind or done.stdout.startswith("ok ended"), done.stdout
