"""What is iterated keeps the order of insertion. A set goes by hashes, which are addresses in memory or drawn anew for each process.

Each place in `src/cede` that makes a set of other things than constants stands here, with the reason why its order decides nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "cede"

MEMBERS = "is asked who is in it, and not iterated"
RESULT = "asyncio's own result: the program is given a set, as there"
THREADS = "of threads: the loop's thread does not look who is first"
REPORT = "goes into a text or a count"

REASONS = {
    "__init__.py: __dir__": REPORT,
    "cli/tracebacks.py: clean": MEMBERS,
    "core/task/describe.py: awaited_by": REPORT,
    "core/task/future.py: Future.remove_done_callback": MEMBERS,
    "core/task/registry.py": "keeps tasks alive on 3.11; asyncio's own set tells of them",
    "loop/running.py: RunningMixin._let_go_of_tasks": "each is taken off a table, which runs nothing",
    "loop/sockets.py": MEMBERS,
    "loop/statistics.py: StatisticsMixin.statistics": REPORT,
    "loop/stopping.py: Stopping._end_tasks": MEMBERS,
    "loop/threads/pool.py: WorkerPool.__init__": THREADS,
    "loop/threads/pool.py: WorkerPool.busy_threads": MEMBERS,
    "loop/unfinished.py: unfinished_tasks": "sorted by the tasks' names",
    "net/resolver/resolver.py: ResolverPool.__init__": THREADS,
    "offload/limits.py": "keeps tasks alive",
    "runner/accelerate.py: accelerate": "each name is put in its own place",
    "runner/watchdog.py": THREADS,
    "streams/protocol.py": "keeps tasks alive",
    "streams/subprocess.py: SubprocessStreamProtocol.__init__": MEMBERS,
    "sync/parking_lot.py: PureParkingLot.__init__": MEMBERS,
    "tasks/callgraph.py: future_add_to_awaited_by": REPORT,
    "tasks/callgraph.py: graph_of": MEMBERS,
    "tasks/callgraph.py: waiters_of": REPORT,
    "tasks/wait.py: wait": RESULT,
}


def makes_set(node: ast.AST) -> bool:
    """Whether the expression is a set whose order depends on more than the source."""
    if isinstance(node, ast.SetComp):
        return True
    if isinstance(node, ast.Set):
        return not all(isinstance(each, (ast.Constant, ast.Attribute, ast.Name)) for each in node.elts)
    if isinstance(node, ast.Call):
        function = node.func
        name = function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
        if isinstance(function, ast.Attribute) and name == "set":
            return False  # a method: Event.set
        return name in ("set", "WeakSet", "all_tasks", "difference", "symmetric_difference", "intersection")
    return False


class Sets(ast.NodeVisitor):
    def __init__(self) -> None:
        self.inside: list[str] = []
        self.found: set[str] = set()

    def enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.inside.append(node.name)
        self.generic_visit(node)
        self.inside.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = enter

    def visit(self, node: ast.AST) -> None:
        if makes_set(node):
            self.found.add(".".join(self.inside))
        super().visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)


def places(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.py")):
        sets = Sets()
        sets.visit(ast.parse(path.read_text()))
        where = path.relative_to(root).as_posix()
        yield from (f"{where}: {name}" if name else where for name in sorted(sets.found))
    for path in sorted(root.rglob("*.pyx")):
        if re.search(r"(?<!\.)\bset\(|\bWeakSet\(", path.read_text()):
            yield path.relative_to(root).as_posix()


def test_each_set_has_its_reason() -> None:
    found = set(places(SRC))
    assert sorted(found - set(REASONS)) == []  # a dict, a list or a WeakOrderedSet keeps the order; or it stands above
    assert sorted(set(REASONS) - found) == []


@pytest.mark.parametrize(
    "text",
    [
        "def f(tasks):\n    for task in set(tasks):\n        task.cancel()",
        "def f(tasks):\n    return {task for task in tasks}",
        "class A:\n    def __init__(self):\n        self.tasks: set[int] = set()",
        "import weakref\nservers = weakref.WeakSet()",
        "import asyncio\ndef f():\n    for task in asyncio.all_tasks():\n        task.cancel()",
        "def f(a, b):\n    return {a(), b()}",
    ],
)
def test_a_new_one_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text(text)
    assert len(list(places(tmp_path))) == 1


@pytest.mark.parametrize("text", ["NAMES = {'a', 'b'}", "def f(event):\n    event.set()", "x: set[int]", "y = frozenset({1, 2})"])
def test_what_is_none_is_not(text: str, tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text(text)
    assert list(places(tmp_path)) == []
