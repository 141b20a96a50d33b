"""The demo, small: both loops, every delivery checked; and a server that loses something must be found out."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

from tests.examples.programs import EXAMPLES, PATIENCE, run

SMALL = ("--clients", "50", "--room", "10", "--rate", "20", "--seconds", "0.5")


def test_small() -> None:
    output = run("asyncio", "demo/main.py", *SMALL)
    assert output.startswith("50 clients in rooms of 10")
    for loop in ("cede", "asyncio"):
        for phase in ("steady", "flat out"):
            assert re.search(rf"^{loop} +{phase} .* delivered ", output, re.MULTILINE)
    sent, delivered = (figures(output, f"messages {what}") for what in ("sent", "delivered"))
    assert len(sent) == 2
    assert delivered == [count * 10 for count in sent]
    assert figures(output, "lost, twice or out of order") == [0, 0]
    assert "Nothing was lost." in output


def figures(output: str, row: str) -> list[int]:
    line = next(line for line in output.splitlines() if row in line)
    return [int(figure.replace(",", "")) for figure in re.findall(r" ([\d,]+)\b", line.split(row)[1])]


def test_a_last_room_that_is_not_full() -> None:
    output = run("asyncio", "demo/main.py", "--clients", "7", "--room", "5", "--seconds", "0.2", "--loops", "asyncio")
    assert "Nothing was lost." in output


def test_a_server_that_loses_lines_is_found_out(tmp_path: Path) -> None:
    bad = tmp_path / "bad_server.py"
    bad.write_text(f"""
import sys
sys.path.insert(0, {str(EXAMPLES)!r})
import chat_server
post, lines = chat_server.Connection.post, 0
def lossy(self, data):
    global lines
    lines += data.startswith(b"<")
    # One line in so many is kept back from one of its readers.
    if not data.startswith(b"<") or lines % 101:
        post(self, data)
chat_server.Connection.post = lossy
sys.exit(chat_server.main())
""")
    options = ("--clients", "20", "--room", "10", "--rate", "50", "--seconds", "0.3", "--patience", "0.3")
    output = run("asyncio", "demo/main.py", *options, "--loops", "asyncio", "--server", str(bad), status=1)
    sent, delivered, lost = (figures(output, row)[0] for row in ("messages sent", "messages delivered", "lost, twice or out of order"))
    assert delivered < sent * 10
    assert lost > 0
    assert "deliveries were lost, double or out of order" in output


def test_a_limit_on_open_files_is_told_before_anything_starts() -> None:
    def low() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo" / "main.py")],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=low if os.name == "posix" else None,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "ulimit -n 1064" in done.stderr
    assert "--clients 36" in done.stderr


def test_arguments() -> None:
    assert "--clients" in run("asyncio", "demo/main.py", "--help")
    assert "must be a number above 0" in run("asyncio", "demo/main.py", "--clients", "many", status=2)
    assert "--loops knows cede and asyncio" in run("asyncio", "demo/main.py", "--loops", "curio", status=2)
