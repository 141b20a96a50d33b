"""fetch.py against its own small site (an aiohttp server on the loop under test), and against one of ours."""

import http.server
import re
import threading
import time
from typing import Self

import pytest

from tests.examples.programs import LOOPS, Program, run

pytest.importorskip("aiohttp")
FAST = ("--timeout", "0.5")


def lines(output: str, mark: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(mark)]


class Site:
    """A site in a thread of the test that counts how many requests it holds at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.served = 0
        self.done = threading.Event()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.enter()
                if self.path == "/slow":
                    site.done.wait()
                else:
                    time.sleep(0.005)  # so that requests do overlap
                site.leave()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"ok")
                except OSError:
                    pass  # the slow page, whose client has gone

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def enter(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def leave(self) -> None:
        with self._lock:
            self._now -= 1
            self.served += 1

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.mark.parametrize("loop", LOOPS)
def test_gather_tells_everything_in_the_order_asked(loop: str) -> None:
    output = run(loop, "fetch.py", *FAST, status=1)
    assert len(lines(output, "+")) == len(lines(output, "-")) == 4
    assert "/slow  no answer within 0.5 s" in output
    assert "/missing  404 Not Found" in output
    assert "/broken  500 Internal Server Error" in output
    assert "/cut  ClientPayloadError" in output
    assert output.splitlines()[-1] == "1 broken, 4 fetched, 2 refused, 1 too slow"
    assert [line.split("/")[3].split()[0] for line in output.splitlines()[:-1]] == [
        *("page1", "slow", "page2", "missing"),
        *("page3", "broken", "cut", "page4"),
    ]


@pytest.mark.parametrize("loop", LOOPS)
def test_as_completed_tells_the_slow_one_last(loop: str) -> None:
    output = run(loop, "fetch.py", *FAST, "--how", "as-completed", status=1)
    assert len(lines(output, "+")) == 4
    assert lines(output, "-")[-1].endswith("/slow  no answer within 0.5 s")


@pytest.mark.parametrize("loop", LOOPS)
def test_the_first_few_are_enough(loop: str) -> None:
    output = run(loop, "fetch.py", "--timeout", "60", "--how", "as-completed", "--first", "2", status=0)
    assert len(lines(output, "+")) == 2
    assert re.search(r"\d cancelled", output)  # the slow one at least


@pytest.mark.parametrize("loop", LOOPS)
def test_group_is_all_or_nothing(loop: str) -> None:
    output = run(loop, "fetch.py", "--timeout", "60", "--how", "group", status=1)
    assert lines(output, "+") == []
    assert all(line.startswith(("- refused", "- broken")) for line in lines(output, "-"))
    assert re.search(r"\d cancelled", output)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("how", ["gather", "as-completed", "group"])
def test_deadline(loop: str, how: str) -> None:
    with Site() as one:
        output = run(loop, "fetch.py", "--deadline", "0.3", "--how", how, f"{one.url}/slow", f"{one.url}/slow", status=1)
    assert "the deadline of 0.3 s has passed" in output
    assert "2 cancelled" in output


@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_cancels_what_is_under_way(loop: str) -> None:
    with Program(loop, "fetch.py", "--timeout", "60", "--how", "as-completed") as program:
        for _ in range(7):
            program.expect(r"^[+-] ")
        program.interrupt()  # only the slow one is left
        program.expect("^1 broken, 1 cancelled, 4 fetched, 2 refused$")
        assert program.end() == 130
        assert program.errors() == ["fetch: stopped"]


@pytest.mark.parametrize("loop", LOOPS)
def test_things_that_are_no_url(loop: str) -> None:
    output = run(loop, "fetch.py", "nonsense", "http://127.0.0.1:1/", "ftp://127.0.0.1/", "http://[::1", status=1)
    assert len(lines(output, "-")) == 4
    assert "4 broken" in output


@pytest.mark.parametrize("loop", LOOPS)
def test_many_but_not_all_at_once(loop: str) -> None:
    with Site() as one:
        urls = [f"{one.url}/{number}" for number in range(100)]
        output = run(loop, "fetch.py", "--timeout", "20", "--at-once", "7", *urls)
    assert [line.split()[1] for line in lines(output, "+")] == urls
    assert output.splitlines()[-1] == "100 fetched"
    assert one.served == 100
    assert one.most <= 7


def test_arguments() -> None:
    assert "--how" in run("asyncio", "fetch.py", "--help")
    assert "--first goes with --how as-completed" in run("asyncio", "fetch.py", "--first", "1", status=2)
    too_many = run("asyncio", "fetch.py", "--how", "as-completed", "--first", "2", "http://127.0.0.1:1", status=2)
    assert "--first 2 is more than there are URLs" in too_many
    assert "must be above 0" in run("asyncio", "fetch.py", "--timeout", "0", status=2)
