"""A small key-value server whose protocol is read by a plain, recursive parser.

    python   examples/redis_like.py               # serves, talks to itself, and ends
    cede run examples/redis_like.py --port 6380   # serves until Ctrl-C; try redis-cli -p 6380

The parser below pulls what it needs, a line here and so many bytes there, from a file object, and calls itself for nested lists: the way
one writes a parser when nothing is async. Over a stream it would have to become a state machine, or async from top to bottom. Here each
connection is a plain function on a stack of its own, and `stackful.open_file` lends it the stream as a file.

It speaks enough of RESP, the protocol of Redis, for: PING, ECHO, SET, GET, DEL, KEYS.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from typing import IO

try:
    from cede import stackful
except ImportError as error:
    sys.exit(f"redis_like: {error}")

LONGEST = 1 << 20  # bytes in a string, items in a list: a peer that announces more is refused
DEEPEST = 8

Value = bytes | int | list["Value"] | None


class ProtocolError(Exception):
    """What came is no RESP."""


def parse(file: IO[bytes], depth: int = 0) -> Value:
    """The next value. Raises EOFError at the end of the stream, ProtocolError for nonsense."""
    line = file.readline(LONGEST)
    if not line:
        raise EOFError
    if not line.endswith(b"\r\n"):
        raise ProtocolError("a line ends with CR LF")
    kind, text = line[:1], line[1:-2]
    if kind == b"+":
        return text
    if kind not in b":$*":
        raise ProtocolError(f"no type is called {kind!r}")
    try:
        number = int(text)
    except ValueError:
        raise ProtocolError(f"a number is expected, not {text!r}") from None
    if kind == b":":
        return number
    if number < 0:
        return None
    if number > LONGEST or depth > DEEPEST:
        raise ProtocolError("too much")
    if kind == b"*":
        return [parse(file, depth + 1) for _ in range(number)]
    data = file.read(number + 2)
    if len(data) < number + 2:
        raise EOFError
    return data[:-2]


def dump(value: Value, file: IO[bytes]) -> None:
    if value is None:
        file.write(b"$-1\r\n")
    elif isinstance(value, int):
        file.write(b":%d\r\n" % value)
    elif isinstance(value, list):
        file.write(b"*%d\r\n" % len(value))
        for item in value:
            dump(item, file)
    else:
        file.write(b"$%d\r\n%s\r\n" % (len(value), value))


def execute(store: dict[bytes, bytes], words: Value) -> Value:
    match words:
        case [bytes(name), *arguments]:
            match name.upper(), arguments:
                case b"PING", []:
                    return b"PONG"
                case b"ECHO", [bytes(text)]:
                    return text
                case b"SET", [bytes(key), bytes(value)]:
                    store[key] = value
                    return b"OK"
                case b"GET", [bytes(key)]:
                    return store.get(key)
                case b"DEL", [*keys]:
                    return sum(store.pop(key, None) is not None for key in keys if isinstance(key, bytes))
                case b"KEYS", [_]:
                    return [*sorted(store)]
    raise ProtocolError("unknown command, or wrong number of arguments")


def serve(store: dict[bytes, bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, from its first byte to its last."""
    with contextlib.suppress(ConnectionError), stackful.open_file(reader, writer) as file:
        with contextlib.suppress(EOFError):
            while True:
                try:
                    dump(execute(store, parse(file)), file)
                except ProtocolError as error:
                    file.write(b"-ERR %s\r\n" % str(error).encode())
                    return
                finally:
                    file.flush()


def ask(file: IO[bytes], *words: bytes) -> Value:
    dump(list(words), file)
    file.flush()
    return parse(file)


def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> list[Value]:
    """A client, just as plain."""
    with stackful.open_file(reader, writer) as file:
        key = b"key %d" % number
        return [ask(file, b"SET", key, b"x" * number), ask(file, b"GET", key), ask(file, b"DEL", key), ask(file, b"GET", key)]


async def main(port: int | None) -> None:
    store: dict[bytes, bytes] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stackful.run_sync(serve, store, reader, writer)

    async with await asyncio.start_server(connected, "127.0.0.1", port or 0) as server:
        address = server.sockets[0].getsockname()
        print(f"serving on {address[0]}:{address[1]}", flush=True)
        if port:
            await server.serve_forever()

        async def client(number: int) -> bool:
            return await stackful.run_sync(talk, *await asyncio.open_connection(*address[:2]), number) == [b"OK", b"x" * number, 1, None]

        results = await asyncio.gather(*(client(number) for number in range(50)))
    print(f"{sum(results)} of {len(results)} clients got their own answers, {len(store)} keys are left")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, help="serve here until Ctrl-C, instead of talking to itself")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parser.parse_args().port))
