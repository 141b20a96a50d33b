"""A file on its way through a stream transport, sent by the system itself: its bytes never come up into the program.

While it lasts the transport writes nothing else: its queue is empty, `write` refuses, and room in the socket is this file's.

Nothing is sent once `done` is: whoever cancelled it counts on that, a turn before the task that waited hears of it.
"""

from __future__ import annotations

from typing import Any

from cede.drivers.portions import AT_ONCE, IN_A_ROW


class FileSend:
    """At most `count` bytes (below 0: no limit) of the file with descriptor `file`, from `offset`. Whoever makes it owns the descriptor.

    ``done`` is a future that is set when all is handed to the system, or fails with what prevented it; ``sent`` counts, whatever happened.
    """

    def __init__(self, transport: Any, stream: Any, file: int, offset: int, count: int) -> None:
        self.transport = transport
        self.stream = stream
        self.file = file
        self.offset = offset
        self.count = count
        self.sent = 0
        self.done = transport._loop.new_waiter(self)

    def proceed(self) -> None:
        """There is room, or may be."""
        in_a_row = 0
        if self.done.done():
            self.stream.want_writable(False)
            return
        while in_a_row < IN_A_ROW:
            left = AT_ONCE if self.count < 0 else self.count - self.sent
            try:
                taken = self.stream.send_file(self.file, self.offset + self.sent, left) if left else -1
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                self.fail(error)
                return
            if taken < 0:
                self.stream.want_writable(False)
                if not self.done.done():
                    self.done.set_result(None)
                return
            if taken == 0:
                break
            self.sent += taken
            in_a_row += taken
        self.stream.want_writable(True)

    def fail(self, error: BaseException) -> None:
        self.stream.want_writable(False)
        if isinstance(error, ConnectionError):
            self.transport._fatal_error(error, "Fatal write error on socket transport")
        if not self.done.done():
            self.done.set_exception(error)
