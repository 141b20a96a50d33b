"""prompt-toolkit: a program on a terminal that reads what a person types, while other tasks run."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.libraries.served import LOOPS, PATIENCE, ROOT, library

library("prompt_toolkit")

PROGRAM = """
import asyncio, cede, sys
from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

async def main():
    session = PromptSession(enable_suspend=False)
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1
            if ticks == 5:
                print("five ticks")
    with patch_stdout():
        ticking = asyncio.create_task(tick())
        while True:
            try:
                line = await session.prompt_async("say> ")
            except EOFError:
                break
            except KeyboardInterrupt:
                print("interrupted")
                continue
            print("heard", line.upper(), type(asyncio.get_running_loop()).__module__.partition(".")[0])
        ticking.cancel()
    print("bye", ticks > 0)

with asyncio.Runner(loop_factory={"cede": cede.new_event_loop, "asyncio": asyncio.SelectorEventLoop}[sys.argv[1]]) as runner:
    runner.run(main())
"""


class Terminal:
    """A program on a terminal, and what the screen was sent."""

    def __init__(self, *command: str) -> None:
        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "PYTHONWARNINGS": "error", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.screen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str) -> None:
        """Until the screen shows `text` after what was expected before."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.screen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, (text, self.screen)
            try:
                self.screen += os.read(self.master, 65536)
            except OSError:
                raise AssertionError(f"the program ended without {text!r}: {self.screen!r}") from None
        self.screen = self.screen[self.screen.index(text.encode()) + len(text) :]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_conversation_on_a_terminal(loop: str) -> None:
    with Terminal("-c", PROGRAM, loop) as terminal:
        terminal.expect("say>")
        terminal.expect("five ticks")  # while it waits for a line
        terminal.type("hello\r")
        terminal.expect(f"heard HELLO {loop}")
        terminal.expect("say>")
        terminal.type("wrld\x1b[D\x1b[D\x1b[Do\r")  # three to the left, and the letter that is missing
        terminal.expect(f"heard WORLD {loop}")
        terminal.expect("say>")
        terminal.process.send_signal(signal.SIGWINCH)  # the size of the window changed: it is drawn anew
        terminal.expect("say>")
        terminal.type("given up\x03")
        terminal.expect("interrupted")
        terminal.expect("say>")
        terminal.type("\x04")
        terminal.expect("bye True")
        assert terminal.process.wait(PATIENCE) == 0


def test_input_through_a_pipe(run: Any) -> None:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    async def main() -> None:
        with create_pipe_input() as keys:
            session: Any = PromptSession(input=keys, output=DummyOutput())
            for number in range(20):
                keys.send_text(f"line {number}\n")
                assert await session.prompt_async() == f"line {number}"

    run(main)
