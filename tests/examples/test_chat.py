"""The chat servers, over real sockets: with coroutines on both loops, and bare on select.epoll."""

import contextlib
import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.examples.programs import Person, Program, run

SERVERS = {
    "coroutines, asyncio": ("asyncio", "chat_server.py"),
    "coroutines, cede": ("cede", "chat_server.py"),
    "bare epoll": ("asyncio", "echo_epoll.py"),
}


@contextlib.contextmanager
def serving(which: str, *args: str) -> Iterator[tuple[Program, int]]:
    with Program(*SERVERS[which], "--port", "0", *args) as program:
        yield program, program.port()


@pytest.fixture(params=SERVERS)
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def port(which: str) -> Iterator[int]:
    """A server's port. When the test is through, the server must still be well and end without a complaint."""
    with serving(which) as (program, port):
        yield port
        with Person(port, "afterwards") as last:
            last.say("anybody?")
            last.expect("<afterwards> anybody?")
            program.interrupt()
            last.expect("the server is closing")
        program.ended_cleanly()


def test_conversation(port: int) -> None:
    with Person(port, "ann") as ann, Person(port, "ben") as ben:
        ann.expect("* ben joined lobby")
        ann.say("hello, ben")
        assert ben.expect("<") == ann.expect("<") == "<ann> hello, ben"
        ben.say("/who", "/rooms", "/nick benjamin", "/msg ANN a word", "/dance", "/help")
        assert ben.expect("in lobby") == "* in lobby: ann, ben"
        assert ben.line() == "* rooms: lobby (2)"
        assert ben.line() == "* ben is now benjamin"
        assert ben.line().startswith("! /dance is no command")
        assert ben.line().startswith("* /join ROOM")
        assert ann.expect("<") == "<benjamin> (to you) a word"
        ben.say("/join den", "is nobody here?")
        assert ann.line() == "* benjamin went to den"
        assert ben.expect("<") == "<benjamin> is nobody here?"
        ann.say("/who")
        assert ann.line() == "* in lobby: ann"
        ann.say("/join den", "/quit")
        assert ben.line() == "* ann joined den"
        assert ben.line() == "* ann left: quit"
        assert ann.rest()[-1] == "* goodbye"


def test_names_are_asked_for_until_one_is_good(port: int) -> None:
    with Person(port, "ann"), Person(port) as other:
        other.expect("welcome")
        other.say("ANN", "two words", "", "x" * 21, "Zoë")
        assert other.line() == "! the name ANN is taken; what is your name?"
        for _ in range(3):
            assert other.line().startswith("! a name is 1 to 20 letters")
        assert other.line().startswith("* hello Zoë")


def test_a_name_is_free_again_when_its_owner_is_gone(port: int) -> None:
    with Person(port, "watcher") as watcher:
        with Person(port, "ann"):
            watcher.expect("ann joined")
        watcher.expect("* ann left")
        with Person(port, "ann"):
            watcher.expect("ann joined")


def test_everybody_sees_one_order(port: int) -> None:
    with contextlib.ExitStack() as stack:
        people = [stack.enter_context(Person(port, f"p{n}")) for n in range(10)]
        for n, person in enumerate(people):
            person.say(*(f"{n}.{count}" for count in range(20)))
        seen = [[person.expect("<") for _ in range(200)] for person in people]
    assert all(lines == seen[0] for lines in seen)
    for n in range(10):
        mine = [line for line in seen[0] if line.startswith(f"<p{n}>")]
        assert mine == [f"<p{n}> {n}.{count}" for count in range(20)]


def test_slow_reader_is_cut_off_and_holds_up_nobody(which: str) -> None:
    with serving(which, "--rate", "0") as (program, port), contextlib.ExitStack() as stack:
        stack.enter_context(Person(port, "sloth", buffer=4096))
        quick = stack.enter_context(Person(port, "quick"))
        talker = stack.enter_context(Person(port, "talker"))
        quick.expect("talker joined")
        said = 0
        gone = False
        while not gone:
            assert said < 20_000, "40 MB said and the sloth is still there: its outbox has no bound"
            batch = [f"{said + n} {'.' * 1900}" for n in range(20)]
            talker.say(*batch)
            said += len(batch)
            while batch:  # each line comes back to the talker and the quick one, sloth or no sloth
                line = quick.line()
                assert talker.line() == line
                if line == "* sloth left: too slow a reader":
                    gone = True
                else:
                    assert line == f"<talker> {batch.pop(0)}"
        talker.say("/who")
        assert talker.expect("* in") == "* in lobby: quick, talker"
        program.interrupt()
        program.ended_cleanly()


def test_lines_that_are_too_long(port: int) -> None:
    with Person(port, "ann") as ann:
        longest = "x" * 2047
        ann.say(longest, "y" * 2048, "between", "z" * 300_000, "after")
        assert ann.line() == f"<ann> {longest}"
        for word in ("between", "after"):
            assert ann.line() == "! that line was longer than 2048 bytes and was dropped"
            assert ann.line() == f"<ann> {word}"


def test_a_line_without_an_end(port: int) -> None:
    with Person(port, "witness") as witness:
        with Person(port, "endless") as endless:
            for _ in range(100):
                endless.send(b"x" * 65536)
            witness.say("still here")
            witness.expect("<witness> still here")
        assert witness.expect("endless").startswith("* endless left")


def test_bytes_that_are_no_text(port: int) -> None:
    with Person(port, "ann") as ann:
        ann.send(b"\xff\xfe caf\xe9\n\x00\x00nul\x00\n\x1b[2J\x1b]0;gotcha\x07\n\xc3\n \r\n\x85\xe2\x80\xae\n/\n/\xff\n")
        assert ann.line() == "<ann> \ufffd\ufffd caf\ufffd"
        assert ann.line() == "<ann> \ufffd\ufffdnul\ufffd"
        assert ann.line() == "<ann> \ufffd[2J\ufffd]0;gotcha\ufffd"
        assert ann.line() == "<ann> \ufffd"
        assert ann.line() == "<ann> \ufffd\ufffd"
        assert ann.line() == "! / is no command; /help lists them"
        assert ann.line() == "! /\ufffd is no command; /help lists them"


def test_bytes_one_by_one(port: int) -> None:
    with Person(port, "ann") as ann:
        ann.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in "naïve ☕\n".encode():
            ann.send(bytes([byte]))
        assert ann.line() == "<ann> naïve ☕"


def test_half_closed_with_half_a_line(port: int) -> None:
    with Person(port, "witness") as witness, Person(port, "half") as half:
        half.send(b"first\nand the last")
        half.sock.shutdown(socket.SHUT_WR)
        assert witness.expect("<") == "<half> first"
        assert witness.line() == "<half> and the last"
        assert witness.line() == "* half left: connection closed"
        assert half.rest()[-1] == "<half> and the last"


def test_resets_at_any_moment(port: int) -> None:
    reset = struct.pack("ii", 1, 0)  # close() then resets the connection
    with Person(port, "witness") as witness:
        moments = (b"", b"na", b"name\n", b"name\n/who\nhalf", b"name\n" + b"line\n" * 1000, b"\n" * 50_000)
        for n, before in enumerate(moments):
            for _ in range(5):
                with Person(port) as person:
                    person.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    person.send(before.replace(b"name", f"name{n}".encode()))
        witness.say("survived")
        witness.expect("<witness> survived")


def test_a_flood_holds_up_nobody(port: int) -> None:
    with Person(port) as nameless, Person(port, "flood") as flood, Person(port, "calm") as calm:
        nameless.send(b"\n" * 50_000)
        flood.send(b"\n" * 20 + b"me me me\n" * 3000)
        for n in range(20):
            calm.say(f"calm {n}")
            calm.expect(f"<calm> calm {n}")
        calm.say("/who")
        assert calm.expect("* in") == "* in lobby: flood, calm"
        # Neither was cut off for it: what they sent is still being taken, at its pace.
        flood.expect("<flood> me me me")
        nameless.expect("! a name is")


def test_asking_and_never_reading_hurts_only_the_asker(port: int) -> None:
    with Person(port, "rude", buffer=4096) as rude, Person(port, "calm") as calm:
        rude.send(b"/help\n" * 5000)
        calm.say("still served")
        calm.expect("<calm> still served")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(which: str, number: int) -> None:
    with serving(which) as (program, port), contextlib.ExitStack() as stack:
        people = [stack.enter_context(Person(port, f"p{n}")) for n in range(20)]
        nameless = stack.enter_context(Person(port))
        nameless.expect("welcome")
        program.interrupt(number)
        for person in [*people, nameless]:
            assert person.rest()[-1] == "* the server is closing; goodbye"
        program.expect("closed")
        program.ended_cleanly()


def test_ctrl_c_does_not_wait_for_one_who_does_not_read(which: str) -> None:
    with serving(which, "--rate", "0") as (program, port), Person(port, "deaf", buffer=4096) as deaf:
        deaf.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:  # until the server reads no more, because its own answers are not being read
                deaf.sock.send(b"/help\n" * 1000)
        program.interrupt()
        program.ended_cleanly()


def test_a_port_in_use(which: str) -> None:
    with serving(which) as (_, port):
        output = run(*SERVERS[which], "--port", str(port), status=1)
        assert f"cannot listen on 127.0.0.1 port {port}" in output


@pytest.mark.parametrize("script", ["chat_server.py", "echo_epoll.py"])
def test_arguments(script: str) -> None:
    assert "--rate" in run("asyncio", script, "--help")
    assert "--port must be 0 to 65535" in run("asyncio", script, "--port", "70000", status=2)
    assert "--rate must be 0 or more" in run("asyncio", script, "--rate", "-1", status=2)
    assert "--rate must be 0 or more" in run("asyncio", script, "--rate", "nan", status=2)
