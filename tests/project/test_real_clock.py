"""Who reads a real clock, and who makes sockets. What decides anything comes in through the ports, so each place has its reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "cede"

PORT = "it is what a port is by default: the system's clock, or the driver that is the world itself"
REPORT = "a report: it is told to somebody, and decides nothing"
THREAD = "a thread that is not the loop's waits, by the time of the system"
REPLACED = "not where the clock was replaced"
POOL = "the default of the offload port: how its threads go to sleep"
CLUSTER = "the cluster's workers, other processes, have no other clock"

# Where, and why it may.
CLOCK = {
    "cluster/remote.py: perform": CLUSTER,
    "core/native/call.h": PORT,
    "core/native/spin.h": POOL,
    "core/pure/shims.py": PORT,
    "core/scheduler/kernel.py: Kernel._poll_is_due": REPLACED,
    "core/scheduler/kernel.py: Kernel._spin": REPLACED,
    "core/scheduler/kernel.py: Kernel.expect_post": REPLACED,
    "core/scheduler/kernel.py: Kernel.run_handle": REPORT,
    "core/scheduler/kernel.py: Kernel.run_one": REPORT,
    "core/scheduler/run_queue.py: RunQueue.now": PORT,
    "core/scheduler/run_queue.py: RunQueue.time": PORT,
    "core/task/cancel_request.py: CancelRequest.__str__": REPORT,
    "core/task/task.py: Task.note_request": REPORT,
    "drivers/epoll/datagrams.pyx: DatagramBatch.tell_kept": PORT,
    "drivers/readiness.py: ReadinessDriver.fire_timed": REPORT,
    "loop/threads/pool.py: LoopJob.run_ready": POOL,
    "loop/threads/pool.py: Worker.park": POOL,
    "loop/threads/pool.py: WorkerPool.next_job": REPORT,
    "loop/threads/pool.py: WorkerPool.place": REPORT,
    "loop/threads/pool.py: WorkerPool.tell": REPORT,
    "sync/thread_channel.py: ThreadChannel.block": THREAD,
    "tasks/cancel_scope.py: CancelScope.deliver": REPORT,
    "tasks/timeouts.py: ask_to_stop": REPORT,
}


class Readers(ast.NodeVisitor):
    """The names of the functions that use one of some names."""

    def __init__(self, names: set[str], of_module: dict[str, set[str]]) -> None:
        self.names = names
        self.of_module = of_module
        self.inside: list[str] = []
        self.found: set[str] = set()

    def note(self) -> None:
        self.found.add(".".join(self.inside))

    def enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.inside.append(node.name)
        self.generic_visit(node)
        self.inside.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = enter

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.names:
            self.note()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        module = node.value.id if isinstance(node.value, ast.Name) else ""
        if node.attr in self.of_module.get(module, set()):
            self.note()
        self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        # Under another name it would not be found.
        names = self.of_module.get(node.module or "", set())
        if any(alias.asname not in (None, alias.name) and alias.name in names for alias in node.names):
            self.found.add(f"an alias in line {node.lineno}")


CLOCKS = {f"{name}{unit}" for name in ("monotonic", "perf_counter", "process_time", "thread_time") for unit in ("", "_ns")}
OF_MODULE = {
    "time": {*CLOCKS, "time", "time_ns", "clock_gettime", "clock_gettime_ns", "localtime", "gmtime", "ctime", "strftime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
# What is not Python: the clock's function, or a call of what stands for it.
IN_C = re.compile(r"\bclock_gettime\(|\b(?:monotonic|gettimeofday|perf_counter|time_ns)\(")
DEFINED = re.compile(r"^\s*(?:cdef\s+(?:inline\s+)?[\w ]+?|cpdef\s+[\w ]+?|def)\s*(\w+)\(|^cdef class (\w+)|^class (\w+)")


def readers(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.py")):
        visitor = Readers(CLOCKS, OF_MODULE)
        visitor.visit(ast.parse(path.read_text()))
        where = path.relative_to(root).as_posix()
        yield from (f"{where}: {name}" if name else where for name in sorted(visitor.found))
    for path in sorted([*root.rglob("*.pyx"), *root.rglob("*.pxd"), *root.rglob("*.h")]):
        where = path.relative_to(root).as_posix()
        if path.suffix == ".pxd":
            continue  # declares; what it makes inline it makes for a .py, and there it is called
        kind = function = ""
        for line in re.sub(r'"""(?:.|\n)*?"""|/\*(?:.|\n)*?\*/', "", path.read_text()).splitlines():
            if path.suffix == ".pyx" and (begun := DEFINED.match(line)):
                kind, function = (kind, begun[1]) if begun[1] else (begun[2] or begun[3], "")
            code = line.split("#")[0] if path.suffix == ".pyx" else line
            if IN_C.search(code) and "cimport" not in code:
                yield where if path.suffix == ".h" else f"{where}: {kind}.{function}"


def test_each_reader_of_a_real_clock_has_its_reason() -> None:
    found = set(readers(SRC))
    # What decides something reads kernel.now(), or loop.time(). What does not stands above, with its reason.
    assert sorted(found - set(CLOCK)) == []
    assert sorted(set(CLOCK) - found) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ndef f():\n    return time.monotonic()",
        "from time import monotonic\nclass A:\n    def f(self):\n        return monotonic()",
        "import time\ntick = time.perf_counter",
        "from time import monotonic as seconds",
        "import time\nasync def f():\n    x = time.time()",
        "from datetime import datetime\ndef f():\n    return datetime.now()",
    ],
)
def test_a_new_reader_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text(text)
    assert len(list(readers(tmp_path))) == 1


def test_a_new_reader_in_c_is_found(tmp_path: Path) -> None:
    (tmp_path / "new.pyx").write_text("cdef class A:\n    cdef int f(self) except -1:\n        began = monotonic()\n")
    (tmp_path / "new.h").write_text("static int f(void) { clock_gettime(CLOCK_MONOTONIC, &now); }\n")
    (tmp_path / "no.h").write_text("/* clock_gettime() is not called */\n")
    assert sorted(readers(tmp_path)) == ["new.h", "new.pyx: A.f"]


# -- sockets

SOCKETS = {
    "drivers/contract.py: Driver.make_socket": "a driver makes sockets",
    "offload/process.py: Worker.__init__": "the line to a worker process, which is none of a network's",
    "offload/worker.py: main": "a process of its own, without a loop",
}
MAKERS = {"socket": {"socket", "socketpair", "create_connection", "create_server", "fromfd"}}


class Makers(Readers):
    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            if function.attr in MAKERS.get(function.value.id, set()):
                self.note()
        self.generic_visit(node)


def makers(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.py")):
        visitor = Makers(set(), {})
        visitor.visit(ast.parse(path.read_text()))
        where = path.relative_to(root).as_posix()
        yield from (f"{where}: {name}" for name in sorted(visitor.found) if not where.startswith(("drivers/selector", "drivers/epoll")))


def test_sockets_are_made_by_drivers_alone() -> None:
    assert sorted(set(makers(SRC)) ^ set(SOCKETS)) == []
