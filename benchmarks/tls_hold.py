"""Idle TLS connections: opens N, has each say one message and hear it back, then holds them all until standard input closes.

The twin of ``client/hold.c``; it prints "held N" when all stand.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import sys

from benchmarks.clocks import raise_descriptor_limit


def main() -> None:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("size", type=int)
    wish = parser.parse_args()
    raise_descriptor_limit()
    # Whose certificate it is says nothing about memory.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    held = []
    for number in range(wish.connections):
        sock = context.wrap_socket(socket.create_connection(("127.0.0.1", wish.port), 10))
        message = bytes([number % 256]) * wish.size
        sock.sendall(message)
        answer = b""
        while len(answer) < wish.size:
            data = sock.recv(wish.size - len(answer))
            if not data:
                sys.exit(f"connection {number} ended before its answer was whole")
            answer += data
        if answer != message:
            sys.exit(f"connection {number}: wrong echo")
        held.append(sock)
    print(f"held {len(held)}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
