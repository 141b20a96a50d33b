"""Mends that the fuzzer has to miss: for each, what to put back in which file of the source."""

from __future__ import annotations

# (file, the mended text, the text in its place)
Change = tuple[str, str, str]

# Every module includes the headers. Those that call what is changed in them are compiled anew, and no others: all would take half an hour.
HEADERS_CONCERN = {"src/cede/core/native/call.h": ("src/cede/tasks/wait_for", "src/cede/stackful/coroutine")}

MENDS: dict[str, list[Change]] = {
    # The ring is emptied in several steps, with what dies between two of them.
    "ring": [
        (
            "src/cede/core/scheduler/ready_queue.py",
            """        fresh = [None] * SMALLEST
        dropped = self.slots
        self.slots = fresh
        self.mask = SMALLEST - 1
        self.head = self.tail = 0
        dropped.clear()
""",
            """        self.slots = [None] * SMALLEST
        self.mask = SMALLEST - 1
        self.head = self.tail = 0
""",
        )
    ],
    # A number sizes memory before the system was asked what it is.
    "number": [
        (
            "src/cede/drivers/epoll/waiter.pyx",
            """        if c_fcntl(fd, F_GETFD) < 0:
            raise os_error(errno_now)
""",
            "",
        ),
    ],
    # What drives one of its own kind goes as deep as it likes.
    "depth": [
        (
            "src/cede/core/native/call.h",
            """    if (Py_EnterRecursiveCall(" in an awaitable that drives another"))
        return cede_take_exception();
""",
            "",
        ),
        ("src/cede/core/native/call.h", "    Py_LeaveRecursiveCall();\n    return result;\n", "    return result;\n"),
    ],
    # What a time limit raises leaves the loop.
    "limit": [
        (
            "src/cede/tasks/deadline.py",
            """            try:
                limit.overdue()
            except BaseException as error:
                # What stops a task may be code of the program's (a future of its own), or go too deep (a long chain of tasks).
                report_failure(self, "A time limit was reached, and failed to stop its task", error)
                error = None  # uncompiled, its traceback holds this frame
""",
            "            limit.overdue()\n",
        ),
    ],
    # A transport trusts its queue after a send that gave up the interpreter's lock.
    "abort": [
        ("src/cede/net/stream/transport.py", "        if taken and self.queue is queue:\n", "        if taken:\n"),
        (
            "src/cede/net/stream/transport.py",
            """        self.queue = None
        self.queued = 0
        self.stream.pause()
""",
            """        if self.queue:
            self.queue.clear()
            self.queued = 0
        self.stream.pause()
""",
        ),
        ("src/cede/net/write_buffer.py", "    if taken and queue:\n", "    if taken:\n"),
    ],
    # The turn counts what is ready when it begins, and a turn that is run by hand takes some of it.
    "turn": [
        (
            "src/cede/core/scheduler/kernel.py",
            """        while True:
            if self._after_step:
                self.end_step()
            if self.steps >= end or not ring.size():
                break
            runnable = ring.popleft()
""",
            """        count = ring.size()
        while True:
            if self._after_step:
                self.end_step()
            if count <= 0:
                break
            count -= 1
            runnable = ring.popleft()
""",
        ),
    ],
    # Datagrams are told from the place where the next ones arrive.
    "datagrams": [
        (
            "src/cede/drivers/epoll/datagrams.pyx",
            """                data = batch_data(&arena.batch, 0)
                address = batch_sender(&arena.batch, 0)
                if count > 1:
                    taken = [None] * (2 * count)
                    slot_put(taken, 2 * count - 2, data)
                    slot_put(taken, 2 * count - 1, address)
                    for index in range(1, count):
                        slot_put(taken, 2 * (count - 1 - index), batch_data(&arena.batch, index))
                        slot_put(taken, 2 * (count - 1 - index) + 1, batch_sender(&arena.batch, index))
                    self.kept = taken
                    self.left = count
        finally:
            arena.busy = self.receiving = False
        if count == 1:
            return sink.received_from(data, address)
""",
            """        finally:
            arena.busy = self.receiving = False
        for index in range(count):
            sink.received_from(batch_data(&arena.batch, index), batch_sender(&arena.batch, index))
""",
        ),
    ],
}
