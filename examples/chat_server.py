"""A chat server: rooms, nicknames, one coroutine a client.

    python   examples/chat_server.py --port 8888      # on asyncio
    cede run examples/chat_server.py --port 8888      # the same file on cede
    nc 127.0.0.1 8888                                 # a client, good enough

The wire is lines of UTF-8. The server asks for a name first; after that a line is a
message to the room, or a command (/help lists them). What comes back starts with

    <name> text     somebody spoke. The speaker gets the line back too: it is the receipt,
                    and so everybody in a room sees one and the same order
    * text          news      ! text   something of yours was refused

What the server promises to people who share it with strangers:

- A slow reader never holds up the others. What a client has not read yet waits in an outbox of
  its own, and the outbox is bounded: who falls further behind than that is disconnected. (The other
  choice, to drop the oldest lines, leaves a conversation with holes that its reader cannot see.)
- A flood is slowed down, not thrown away: the server reads a client no faster than `--rate` lines
  a second, and the client's own kernel makes it wait.
- A line that is too long, bytes that are no UTF-8, NULs and terminal escapes harm nobody.
- A client that goes away, in whichever way, takes nothing with it but itself.
"""

import argparse
import asyncio
import re
import signal
import socket
import sys

MAX_LINE = 2048  # bytes, the newline included
OUTBOX = 256 * 1024  # bytes a client may be behind before it is disconnected
LOBBY = "lobby"
CROWD = 50  # in a room with more people than this, nobody is told who comes and goes
NAME_TIME = 60.0  # seconds a client has to say its name
LINGER = 2.0  # seconds a leaving client gets to read its last lines

NAME = re.compile(r"[\w-]{1,20}")
# C0 and C1 controls, line and paragraph separators, and the marks that turn text round: what a
# stranger could use to draw on somebody else's terminal.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

HELP = """\
* /join ROOM       go to another room, which is made if need be
* /nick NAME       be called something else
* /who             who is in this room
* /rooms           which rooms there are
* /msg NAME TEXT   a line to one person
* /quit            goodbye"""


# ---- The chat itself: who is where and who hears what. No I/O, so nothing here can wait. ----------


class Refused(Exception):
    """Something a client asked for that it cannot have; the text is for the client to read."""


class Member:
    """Somebody in the chat. How a line reaches them is up to the subclass."""

    nick = ""
    room = ""

    def post(self, data: bytes) -> None:
        """Hand over whole lines. Never waits, never raises: others are being told as well."""
        raise NotImplementedError

    def tell(self, text: str) -> None:
        self.post(f"{text}\n".encode())


class Chat:
    """Names, rooms and commands."""

    def __init__(self) -> None:
        self._names: dict[str, Member] = {}
        # A dict in place of a set: people are told in the order in which they came, every time.
        self._rooms: dict[str, dict[Member, None]] = {}

    def enter(self, member: Member, line: bytes) -> None:
        """Let `member` in under the name that `line` holds. Raises Refused."""
        self._rename(member, clean(line))
        member.tell(f"* hello {member.nick}; /help lists the commands")
        self._join(member, LOBBY)

    def leave(self, member: Member, why: str) -> None:
        """Forget `member`, who may never have got as far as having a name."""
        if self._names.get(member.nick.casefold()) is member:
            del self._names[member.nick.casefold()]
        self._leave_room(member, f"* {member.nick} left: {why}")

    def hear(self, member: Member, line: bytes) -> bool:
        """Take one line of `member`'s. False: it was their last. Raises Refused."""
        text = clean(line)
        if not text:
            return True
        if not text.startswith("/"):
            self._tell_room(member.room, f"<{member.nick}> {text}")
            return True
        command, _, rest = text[1:].partition(" ")
        rest = rest.strip()
        match command:
            case "join":
                self._join(member, named(rest, "room"))
            case "nick":
                old = member.nick
                self._rename(member, rest)
                self._tell_room(member.room, f"* {old} is now {member.nick}")
            case "who":
                names = ", ".join(other.nick for other in self._rooms[member.room])
                member.tell(f"* in {member.room}: {names}")
            case "rooms":
                rooms = (f"{room} ({len(who)})" for room, who in sorted(self._rooms.items()))
                member.tell("* rooms: " + ", ".join(rooms))
            case "msg":
                self._whisper(member, rest)
            case "help":
                member.tell(HELP)
            case "quit":
                return False
            case _:
                raise Refused(f"/{command} is no command; /help lists them")
        return True

    def _rename(self, member: Member, wanted: str) -> None:
        nick = named(wanted, "name")
        if self._names.get(nick.casefold(), member) is not member:
            raise Refused(f"the name {nick} is taken")
        self._names.pop(member.nick.casefold(), None)
        self._names[nick.casefold()] = member
        member.nick = nick

    def _join(self, member: Member, room: str) -> None:
        if room == member.room:
            raise Refused(f"you are in {room} already")
        self._leave_room(member, f"* {member.nick} went to {room}")
        people = self._rooms.setdefault(room, {})
        people[member] = None
        member.room = room
        news = f"* {member.nick} joined {room}"
        if len(people) <= CROWD:
            self._tell_room(room, news)
        else:
            member.tell(news)

    def _leave_room(self, member: Member, news: str) -> None:
        room, member.room = member.room, ""
        people = self._rooms.get(room)
        if people is None:
            return
        del people[member]
        if not people:
            del self._rooms[room]  # or a client could fill the memory with empty rooms
        elif len(people) <= CROWD:
            self._tell_room(room, news)

    def _whisper(self, member: Member, rest: str) -> None:
        nick, _, text = rest.partition(" ")
        other = self._names.get(nick.casefold())
        if other is None:
            raise Refused(f"nobody is called {nick}" if nick else "use /msg NAME TEXT")
        other.tell(f"<{member.nick}> (to you) {text}")

    def _tell_room(self, room: str, text: str) -> None:
        data = f"{text}\n".encode()  # once, however many people there are
        for member in self._rooms[room]:
            member.post(data)


def clean(line: bytes) -> str:
    """What a stranger sent as text that is safe to show to the others."""
    return UNPRINTABLE.sub("\ufffd", line.decode("utf-8", "replace").strip())


def named(text: str, what: str) -> str:
    if not NAME.fullmatch(text):
        raise Refused(f"a {what} is 1 to 20 letters, digits, _ or -")
    return text


class Pace:
    """Says how long to wait so that `rate` lines a second are kept; a second's worth may come at once."""

    def __init__(self, rate: float, now: float) -> None:
        self._gap = 1 / rate if rate else 0.0  # 0: no limit
        self._due = now - 1.0

    def delay(self, now: float) -> float:
        """Seconds until the next line may be read; 0 or less: at once."""
        self._due = max(self._due, now - 1.0) + self._gap
        return self._due - now


# ---- The wire: from here on it is asyncio streams. ------------------------------------------------


class Connection(Member):
    """A member at the other end of a stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float) -> None:
        self.reader = reader
        self.writer = writer
        self._clock = asyncio.get_running_loop().time
        self._pace = Pace(rate, self._clock())
        self.why = "connection closed"

    def post(self, data: bytes) -> None:
        transport = self.writer.transport
        if transport.is_closing():
            return
        # The transport's buffer is the outbox. write() never waits; it is `drain` that would, and a
        # client that makes others wait for it is what this server must not have.
        transport.write(data)
        if transport.get_write_buffer_size() > OUTBOX:
            self.why = "too slow a reader"
            transport.abort()  # takes effect in a later turn: whoever is looping over a room may go on

    async def read_line(self) -> bytes | None:
        """The next line, b"" for one that was too long and is gone, None at the end."""
        # What is in the reader's buffer comes without a wait. So without this one, whoever fills it
        # with a thousand short lines has a thousand turns in a row.
        if (wait := self._pace.delay(self._clock())) > 0:
            await asyncio.sleep(wait)
        too_long = False
        while True:
            try:
                line = await self.reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                # The last line may lack its newline.
                return None if too_long or not end.partial else end.partial
            except asyncio.LimitOverrunError as over:
                # Dropped piece by piece as it comes, so a line without an end costs no memory.
                await self.reader.readexactly(over.consumed)
                too_long = True
                continue
            if not too_long:
                return line
            self.tell(f"! that line was longer than {MAX_LINE} bytes and was dropped")
            return b""

    async def hang_up(self) -> None:
        """Send what is still in the outbox, but do not wait for ever for a peer that will not read."""
        self.writer.close()
        try:
            async with asyncio.timeout(LINGER):
                await self.writer.wait_closed()
        except TimeoutError:
            self.writer.transport.abort()
        except OSError:
            pass  # the peer was gone before us: there is nobody left to tell


class Server:
    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._chat = Chat()
        self._clients: dict[asyncio.Task[None], Connection] = {}

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Connection(reader, writer, self._rate)
        task = asyncio.create_task(self._serve(client))
        self._clients[task] = client
        task.add_done_callback(self._clients.__delitem__)

    async def _serve(self, client: Connection) -> None:
        """A client's whole life, top to bottom. That this can be read is what coroutines are for."""
        try:
            # A peer whose machine vanished sends nothing, ever: let the kernel ask after it.
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if await self._welcome(client):
                await self._talk(client)
        except OSError as error:  # reset, timed out, unreachable: how connections end
            client.why = f"connection lost ({error.strerror or error})"
        finally:
            self._chat.leave(client, client.why)
            await client.hang_up()

    async def _welcome(self, client: Connection) -> bool:
        """Ask for a name until one is good. False: there will be none."""
        client.tell("* welcome; what is your name?")
        try:
            async with asyncio.timeout(NAME_TIME):
                while (line := await client.read_line()) is not None:
                    try:
                        self._chat.enter(client, line)
                        return True
                    except Refused as refusal:
                        client.tell(f"! {refusal}; what is your name?")
        except TimeoutError:
            client.tell("! no name, no chat; goodbye")
        return False

    async def _talk(self, client: Connection) -> None:
        while (line := await client.read_line()) is not None:
            try:
                if not self._chat.hear(client, line):
                    client.why = "quit"
                    client.tell("* goodbye")
                    return
            except Refused as refusal:
                client.tell(f"! {refusal}")
            # A client that asks and asks and never reads its answers waits here for itself.
            await client.writer.drain()

    async def close(self) -> None:
        """Tell everybody, and give them `LINGER` seconds to read it."""
        for client in self._clients.values():
            client.tell("* the server is closing; goodbye")
            client.why = "server closing"
            client.writer.close()  # all of them first: no news of each other
        for task in self._clients:
            task.cancel()  # wherever it waits, what comes next is its `finally`, and that is bounded
        if self._clients:
            await asyncio.wait(list(self._clients))


async def serve(host: str, port: int, rate: float) -> int:
    """Serve until a signal comes. The exit status."""
    chat = Server(rate)
    try:
        server = await asyncio.start_server(chat.connected, host, port, limit=MAX_LINE - 1, backlog=1024)
    except OSError as error:
        print(f"chat_server: cannot listen on {host} port {port}: {error}", file=sys.stderr)
        return 1
    # Ctrl-C as an event like any other: it cannot strike in the middle of something.
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bound = server.sockets[0].getsockname()
    print(f"chat_server: listening on {bound[0]} port {bound[1]}", flush=True)
    await stop.wait()

    server.close()
    await chat.close()
    print("chat_server: closed", flush=True)
    return 0


def arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8888, help="port; 0: any free one (%(default)s)")
    parser.add_argument(
        "--rate", type=float, default=50.0, metavar="N",
        help="lines a second taken from one client; 0: no limit (%(default)g)",
    )  # fmt: skip
    args = parser.parse_args()
    if not 0 <= args.port <= 65535:
        parser.error(f"--port must be 0 to 65535, not {args.port}")
    if not 0 <= args.rate < float("inf"):
        parser.error(f"--rate must be 0 or more, not {args.rate:g}")
    return args


def main() -> int:
    args = arguments("A chat server: rooms, nicknames, one coroutine a client.")
    return asyncio.run(serve(args.host, args.port, args.rate))


if __name__ == "__main__":
    sys.exit(main())
