"""The chat server once more, bare on select.epoll: what the coroutine saves one from.

    python examples/echo_epoll.py --port 8888

It speaks the wire of chat_server.py and shares its rooms and commands (class Chat, which does no
I/O). What is written out here is only what `await` does there, so lay the two side by side:

    chat_server.py, one client                       here
    ------------------------------------------------ ------------------------------------------------
    await reader.readuntil(b"\\n")                    Client.inbox, Client.feed: bytes come in any
                                                     pieces, and each piece is a new call from outside
    the place in the code where the coroutine waits  Client.state, and an `if` on it at every door
    local variables                                  attributes
    await writer.drain(), the transport's buffer     Client.outbox, Client.flush, EPOLLOUT on and off
    async with asyncio.timeout(60)                   a heap of deadlines, with dead entries in it
    await asyncio.sleep(wait)                        state, deadline, and EPOLLIN off and on again
    try ... finally                                  Client.cut, Server.bury, and every path must end there
    asyncio.start_server                             Server.accept, and what it does without descriptors
    loop.add_signal_handler                          a socket pair that the signal writes into

None of it is hard. But the life of one client, which reads top to bottom over there, is cut in
pieces here, and nothing but care holds the pieces together.
"""

from __future__ import annotations

import enum
import errno
import heapq
import itertools
import select
import signal
import socket
import sys
import time

from chat_server import LINGER, MAX_LINE, NAME_TIME, OUTBOX, Chat, Member, Pace, Refused, arguments

CHUNK = 64 * 1024  # bytes read from one client before the next has its turn
HIGH = 64 * 1024  # bytes in the outbox above which its owner is not read any more
READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class State(enum.Enum):
    """Where a client's coroutine would be waiting, if it had one."""

    NAMING = enum.auto()  # for its name
    TALKING = enum.auto()  # for its next line
    PACED = enum.auto()  # for the clock, or for its outbox to empty; it is not read meanwhile
    LEAVING = enum.auto()  # for its last lines to be sent
    GONE = enum.auto()  # for nothing: it is to be buried at the end of the turn


class Client(Member):
    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.state = State.NAMING
        self.interest = READ  # what epoll watches for us
        self.deadline = 0.0  # the one entry in the server's heap that counts for us; 0: none does
        self.inbox = bytearray()  # what came and is no whole line yet
        self.outbox = bytearray()  # what the kernel would not take yet
        self.skipping = False  # in the middle of a line that is too long
        self.ended = False  # the peer will send no more
        self.pace = Pace(server.rate, time.monotonic())
        self.name_by = time.monotonic() + NAME_TIME
        self.paused_in = State.NAMING  # what to go back to from PACED
        self.why = "connection closed"

    # ---- out ----

    def post(self, data: bytes) -> None:
        if self.state in (State.LEAVING, State.GONE):
            return
        self.outbox += data
        self.flush()
        if len(self.outbox) > OUTBOX:
            self.cut("too slow a reader")

    def flush(self) -> None:
        """Send what the kernel takes, and ask to be told when it would take more."""
        while self.outbox:
            try:
                sent = self.sock.send(self.outbox)
            except BlockingIOError:
                break
            except OSError as error:
                self.cut(f"connection lost ({error.strerror})")
                return
            del self.outbox[:sent]
        # With nothing to send EPOLLOUT must be off: a socket is nearly always writable, and every
        # poll would return at once.
        self.want(self.interest | WRITE if self.outbox else self.interest & ~WRITE)

    def want(self, interest: int) -> None:
        if interest != self.interest:
            self.interest = interest
            self.server.epoll.modify(self.sock, interest)

    def cut(self, why: str) -> None:
        """The end, without another word.

        Nothing is closed here. Our caller may be in the middle of a loop over our room; and a number
        that is closed now can be handed out again by the next accept, while this batch of events
        still holds one for its old owner.
        """
        if self.state is not State.GONE:
            self.state = State.GONE
            self.why = why
            self.server.doomed.append(self)

    # ---- in ----

    def event(self, events: int) -> None:
        if events & WRITE:
            self.flush()
            if not self.outbox:
                self.drained()
        if self.state is State.GONE:
            return
        if self.interest & READ:
            if events & ~WRITE:
                self.readable()
        elif events & (select.EPOLLHUP | select.EPOLLERR):
            # These two cannot be switched off, so to leave them unanswered would be a busy loop.
            self.cut("connection lost")

    def readable(self) -> None:
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self.cut(f"connection lost ({error.strerror})")
            return
        if data:
            self.inbox += data
        else:
            self.ended = True
            self.want(self.interest & ~READ)  # an end stays readable for ever
        self.feed()

    def feed(self) -> None:
        """Take lines off the inbox for as long as our state lets us."""
        while self.state in (State.NAMING, State.TALKING):
            end = self.inbox.find(b"\n", 0, MAX_LINE)
            if end < 0 and len(self.inbox) >= MAX_LINE:
                # Too long. Dropped as it comes, up to its newline, which may be megabytes away.
                self.skipping = True
                end = self.inbox.find(b"\n")
                del self.inbox[: end if end >= 0 else len(self.inbox)]
            elif end >= 0:
                line = bytes(self.inbox[: end + 1])
                del self.inbox[: end + 1]
                if self.skipping:
                    self.skipping = False
                    self.tell(f"! that line was longer than {MAX_LINE} bytes and was dropped")
                else:
                    self.hear(line)
            elif not self.ended:
                return
            elif self.inbox and not self.skipping:
                line = bytes(self.inbox)  # the last line may lack its newline
                self.inbox.clear()
                self.hear(line)
            else:
                self.server.leave(self)

    def hear(self, line: bytes) -> None:
        try:
            if self.state is State.NAMING:
                self.server.chat.enter(self, line)
                if self.state is State.NAMING:  # still: to be greeted can be the end of a slow reader
                    self.state = State.TALKING
                    self.deadline = 0.0
            elif not self.server.chat.hear(self, line):
                self.why = "quit"
                self.tell("* goodbye")
                self.server.leave(self)
        except Refused as refusal:
            self.tell(f"! {refusal}; what is your name?" if self.state is State.NAMING else f"! {refusal}")
        now = time.monotonic()
        wait = self.pace.delay(now)
        if self.state in (State.NAMING, State.TALKING) and (wait > 0 or len(self.outbox) > HIGH):
            self.paused_in = self.state
            self.state = State.PACED
            self.want(self.interest & ~READ)
            self.server.at(now + max(wait, 0.0), self)

    # ---- what would stand after an await ----

    def expired(self) -> None:
        """Our deadline passed. What that means hangs on the state we are in."""
        if self.state is State.NAMING:
            self.tell("! no name, no chat; goodbye")
            self.server.leave(self)
        elif self.state is State.LEAVING:
            self.cut(self.why)
        elif self.state is State.PACED and len(self.outbox) <= HIGH:
            self.resume()

    def drained(self) -> None:
        """Our outbox is empty. So does this."""
        if self.state is State.LEAVING:
            self.cut(self.why)
        elif self.state is State.PACED and not self.deadline:
            self.resume()

    def resume(self) -> None:
        self.state = self.paused_in
        if self.state is State.NAMING:
            self.server.at(self.name_by, self)  # our one deadline was in use for something else
        if not self.ended:
            self.want(self.interest | READ)
        self.feed()  # no event will come for the lines that are in the inbox already


class Server:
    def __init__(self, listener: socket.socket, rate: float) -> None:
        self.rate = rate
        self.chat = Chat()
        self.epoll = select.epoll()
        self.doomed: list[Client] = []
        self._listener = listener
        self._clients: dict[int, Client] = {}
        # (when, tie-breaker, who): deadlines that do not count any more stay in until they come up.
        self._deadlines: list[tuple[float, int, Client]] = []
        self._tie = itertools.count()
        self._accept_again = 0.0  # when; 0: we are accepting

    def run(self) -> None:
        # A signal handler may strike between any two lines of this file. So ours does nothing, and
        # the byte which Python writes for it is an event like the others.
        bell, clapper = socket.socketpair()
        with bell, clapper, self.epoll:
            clapper.setblocking(False)
            signal.set_wakeup_fd(clapper.fileno())
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: None)
            self._listener.setblocking(False)
            self.epoll.register(self._listener, READ)
            self.epoll.register(bell, READ)
            bound = self._listener.getsockname()
            print(f"echo_epoll: listening on {bound[0]} port {bound[1]}", flush=True)
            while not self._turn(bell.fileno()):
                pass
            self.epoll.unregister(bell)
            self._close()
            signal.set_wakeup_fd(-1)

    def _turn(self, bell: int) -> bool:
        """Wait for events and serve them all. True: a signal was among them."""
        rang = False
        for fd, events in self.epoll.poll(self._patience()):
            if fd == bell:
                rang = True
            elif fd in self._clients:
                self._clients[fd].event(events)
            else:
                self._accept()
        self._expire()
        while self.doomed:  # whose room is told, which may doom others
            self._bury(self.doomed.pop())
        return rang

    def _accept(self) -> None:
        for _ in range(64):  # then those who are in already have their turn
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # it left while it stood in the queue
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                # The queue stays readable and accept goes on failing: look away for a second.
                print(f"echo_epoll: cannot accept for now: {error.strerror}", file=sys.stderr)
                self.epoll.modify(self._listener, 0)
                self._accept_again = time.monotonic() + 1.0
                return
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as asyncio does
            client = Client(self, sock)
            self._clients[sock.fileno()] = client
            self.epoll.register(sock, READ)
            self.at(client.name_by, client)
            client.tell("* welcome; what is your name?")

    def leave(self, client: Client) -> None:
        """Let `client` read its last lines, for as long as is decent, and then be gone."""
        self.chat.leave(client, client.why)
        if client.state is State.GONE:
            return
        client.state = State.LEAVING
        client.want(client.interest & ~READ)
        if client.outbox:
            self.at(time.monotonic() + LINGER, client)
        else:
            client.cut(client.why)

    def _bury(self, client: Client) -> None:
        del self._clients[client.sock.fileno()]
        self.epoll.unregister(client.sock)
        client.sock.close()
        self.chat.leave(client, client.why)

    def at(self, when: float, client: Client) -> None:
        client.deadline = when
        heapq.heappush(self._deadlines, (when, next(self._tie), client))

    def _patience(self) -> float | None:
        """Seconds that poll may sleep; None: until something happens."""
        if self.doomed:
            return 0.0  # cut outside a turn, by _close
        while self._deadlines and self._dead(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        until = [self._deadlines[0][0]] if self._deadlines else []
        if self._accept_again:
            until.append(self._accept_again)
        return max(0.0, min(until) - time.monotonic()) if until else None

    def _expire(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            entry = heapq.heappop(self._deadlines)
            if not self._dead(entry):
                entry[2].deadline = 0.0
                entry[2].expired()
        if self._accept_again and self._accept_again <= now:
            self._accept_again = 0.0
            self.epoll.modify(self._listener, READ)

    def _dead(self, entry: tuple[float, int, Client]) -> bool:
        when, _, client = entry
        return client.state is State.GONE or client.deadline != when

    def _close(self) -> None:
        """Tell everybody, and give them `LINGER` seconds to read it."""
        self.epoll.unregister(self._listener)
        self._listener.close()
        self._accept_again = 0.0
        for client in self._clients.values():
            client.tell("* the server is closing; goodbye")
            client.why = "server closing"
            if client.state is not State.GONE:
                client.state = State.LEAVING  # all of them first: no news of each other
        for client in self._clients.values():
            self.leave(client)
        while self._clients:
            self._turn(-1)


def main() -> int:
    args = arguments("The chat server, bare on select.epoll.")
    try:
        family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
        listener = socket.create_server((args.host, args.port), family=family, backlog=1024)
    except OSError as error:
        print(f"echo_epoll: cannot listen on {args.host} port {args.port}: {error}", file=sys.stderr)
        return 1
    Server(listener, args.rate).run()
    print("echo_epoll: closed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
