"""The demo's load: a thousand chat clients in one process, each of which checks what it hears.

Started by main.py. Written bare on select.epoll, so that a core of this machine is enough for all of
them and what is measured is the server. It says in JSON lines on stdout how it goes, waits for a
line on stdin before each phase, and talks to the server in two ways:

    steady     so many messages a second, evenly spread over the clients, whatever comes back
    flat out   every client has one message under way; when its own line is back it sends the next

A message is "SENDER NUMBER TIME TEXT". Everybody in the room must get it, the sender included, once
and in the order in which each sender sent. TIME is when it was handed to the kernel, and the
latency is from then until a receiver's recv() returned it.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from array import array
from collections import Counter
from typing import Any

TEXT = b"the quick brown fox jumps over the lazy dog"
CONNECT = 20.0  # seconds to get a client into the chat
NEWS = 0.2  # seconds between two lines of progress
STRIDE = 7919  # a prime, so that every client has its turn


class Broken(Exception):
    """The server did something after which there is no point in going on."""


def tell(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


class Client:
    """One chat client."""

    __slots__ = ("due", "name", "number", "rest", "room", "sock")

    def __init__(self, number: int, room: int, port: int) -> None:
        self.name = b"c%d" % number
        self.room = room
        self.number = 0  # of the next message it sends
        self.due: dict[bytes, int] = {}  # sender: the number that must come next
        self.rest = b""  # half a line
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=CONNECT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(b"%b\n/join room%d\n" % (self.name, room))
        self.sock.setblocking(False)

    def lines(self) -> list[bytes]:
        """The whole lines that have come."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return []
        if not data:
            raise Broken(f"the server hung up on {self.name.decode()}")
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        return lines

    def send(self) -> None:
        message = b"%b %d %d %b\n" % (self.name, self.number, time.monotonic_ns(), TEXT)
        self.number += 1
        try:
            sent = self.sock.send(message)
        except BlockingIOError:
            sent = 0
        if sent < len(message):
            raise Broken(f"the server has stopped reading {self.name.decode()}")


class Crowd:
    """All clients, and what they heard."""

    def __init__(self, clients: int, room: int, port: int, patience: float) -> None:
        self._patience = patience
        self._epoll = select.epoll()
        self.clients = [Client(number, number // room, port) for number in range(clients)]
        self._by_fd = {client.sock.fileno(): client for client in self.clients}
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)
        self._sizes = Counter(client.room for client in self.clients)
        self._progress_at = 0.0
        self.latencies = array("q")  # nanoseconds, one for each good delivery
        self.wrong: Counter[str] = Counter()  # deliveries that were not good
        self._await_joins()
        for client in self.clients:
            client.due = {other.name: 0 for other in self.clients[client.room * room : (client.room + 1) * room]}

    def _await_joins(self) -> None:
        missing = len(self.clients)
        deadline = time.monotonic() + CONNECT
        while missing:
            if time.monotonic() > deadline:
                raise Broken(f"{missing} clients were not let in within {CONNECT:g} s")
            for fd, _ in self._epoll.poll(1.0):
                client = self._by_fd[fd]
                joined = b"* %b joined room%d" % (client.name, client.room)
                for line in client.lines():
                    if line.startswith(b"!"):
                        raise Broken(f"the server said {line.decode()!r}")
                    missing -= line == joined

    def listen(self, timeout: float) -> list[Client]:
        """Take what has come, after at most `timeout` seconds. Those whose own line came back."""
        back = []
        for fd, _ in self._epoll.poll(timeout):
            client = self._by_fd[fd]
            due = client.due
            lines = client.lines()
            now = time.monotonic_ns()
            for line in lines:
                if line.startswith(b"* "):
                    continue  # who came and went
                try:
                    prefix, sender, digits, sent, text = line.split(b" ", 4)
                    number = int(digits)
                    expected = due[sender]
                    latency = now - int(sent)
                except (ValueError, KeyError):
                    self.wrong["garbled or of another room"] += 1
                    continue
                if number == expected and text == TEXT and prefix[1:-1] == sender:
                    due[sender] = number + 1
                    self.latencies.append(latency)
                else:
                    # Already passed: it came twice, or late. Not reached yet: something is missing.
                    self.wrong["twice or late" if number < expected else "after a gap"] += 1
                    due[sender] = max(expected, number + 1)
                if sender == client.name:
                    back.append(client)
        return back

    def talk(self, phase: str, seconds: float, rate: float) -> None:
        """Talk for so long, `rate` messages a second in all (0: flat out), and hear it all. Tells how it went."""
        self.latencies = array("q")
        self.wrong = Counter()
        cpu = time.process_time()
        started = now = time.monotonic()
        end = started + seconds
        sent = due = 0
        ready = [] if rate else list(self.clients)
        while now < end:
            if rate:
                # Neighbours in the list share a room: a stride keeps rooms from being talked to in bursts.
                count = int((now - started) * rate) - sent
                ready = [self.clients[(sent + n) * STRIDE % len(self.clients)] for n in range(count)]
            for client in ready:
                client.send()
                due += self._sizes[client.room]
            sent += len(ready)
            back = self.listen(1 / rate if rate else 1.0)
            if not rate:
                ready = back
            now = time.monotonic()
            self._progress(phase, now - started)
        self._hear_out(phase, due, started)
        took = time.monotonic() - started
        tell(
            "done",
            phase=phase,
            sent=sent,
            due=due,
            delivered=len(self.latencies),
            wrong=dict(self.wrong),
            seconds=took,
            cpu=(time.process_time() - cpu) / took,
            **quantiles(self.latencies),
        )

    def _hear_out(self, phase: str, due: int, started: float) -> None:
        """Listen until nothing is missing, or for as long as something still comes."""
        last_news = time.monotonic()
        while len(self.latencies) < due and time.monotonic() < last_news + self._patience:
            before = len(self.latencies)
            self.listen(0.1)
            if len(self.latencies) > before:
                last_news = time.monotonic()
            self._progress(phase, time.monotonic() - started)

    def _progress(self, phase: str, seconds: float) -> None:
        if time.monotonic() >= self._progress_at:
            self._progress_at = time.monotonic() + NEWS
            tell("progress", phase=phase, seconds=seconds, delivered=len(self.latencies))


def quantiles(latencies: array[int]) -> dict[str, float]:
    """p50 and p99 in milliseconds; nothing if nothing was delivered."""
    if not latencies:
        return {}
    ordered = sorted(latencies)
    return {f"p{percent}": ordered[len(ordered) * percent // 100] / 1e6 for percent in (50, 99)}


def main() -> int:
    parser = argparse.ArgumentParser(description="The demo's load; main.py starts it.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--room", type=int, required=True, help="clients in a room")
    parser.add_argument("--rate", type=float, required=True, help="messages a second, all clients together")
    parser.add_argument("--seconds", type=float, required=True, help="for each phase")
    parser.add_argument("--patience", type=float, default=CONNECT, help="seconds without news after which the missing is lost")
    args = parser.parse_args()
    try:
        crowd = Crowd(args.clients, args.room, args.port, args.patience)
        tell("connected")
        sys.stdin.readline()
        crowd.talk("steady", args.seconds, args.rate)
        sys.stdin.readline()
        crowd.talk("flat out", args.seconds, 0)
    except (Broken, OSError) as error:
        tell("broken", why=str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
