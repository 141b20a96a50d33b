"""The floors of the house: what each one imports lies below it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
# From the ground up. What lies outside the floors (cede itself, its version) may be imported by the top floors only; see ROOF.
FLOORS = (
    "core", "sync", "tasks", "flows", "stackful", "drivers", "net", "process", "streams", "loop", "offload", "cluster", "runner", "cli"
)  # fmt: skip
ROOF = {"runner", "cli"}
# What a floor may need beyond the standard library: it is an extra of the package, and nothing below needs it.
OPTIONAL = {"stackful": {"greenlet"}, "cluster": {"distributed", "cloudpickle"}}
CIMPORT = re.compile(r"^\s*(?:from\s+(?P<source>[\w.]+)\s+cimport\s+(?P<names>[^#\n]+)|cimport\s+(?P<module>[\w.]+))", re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from\s+(?P<source>[\w.]+)\s+import\s+(?P<names>[^#\n]+)|import\s+(?P<module>[\w.]+))", re.MULTILINE)


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(SRC).parts[:-1])


def absolute(path: Path, source: str, level: int) -> str:
    """The module a `from` statement in this file means."""
    if not level:
        return source
    package = package_of(path).split(".")
    return ".".join([*package[: len(package) - level + 1], *([source] if source else [])])


def with_names(source: str, names: list[str]) -> list[str]:
    """`from cede import net` names the floor in the list of names; `from cede.net import x` before it."""
    return [f"{source}.{name}" for name in names] if source == "cede" else [source]


def imports_of_python(path: Path) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = absolute(path, node.module or "", node.level)
            yield from ((node.lineno, name) for name in with_names(source, [alias.name for alias in node.names]))


def imports_of_cython(path: Path) -> Iterator[tuple[int, str]]:
    """A .pxd or .pyx is not Python; its import lines are regular enough to be read one by one."""
    text = path.read_text()
    for pattern in (CIMPORT, IMPORT):
        for found in pattern.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            if found["module"]:
                yield line, found["module"]
                continue
            dots = len(found["source"]) - len(found["source"].lstrip("."))
            names = [name.split(" as ")[0].strip(" ()") for name in found["names"].split(",")]
            for name in with_names(absolute(path, found["source"][dots:], dots), names):
                yield line, name


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    return imports_of_python(path) if path.suffix == ".py" else imports_of_cython(path)


def floor_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "cede" and parts[1] in FLOORS else None


def upward_imports(path: Path) -> list[str]:
    floor = floor_of(package_of(path))
    if floor is None:
        return []
    wrong = []
    for line, target in imports_of(path):
        if target != "cede" and not target.startswith("cede."):
            continue
        below = floor_of(target)
        allowed = floor in ROOF if below is None else FLOORS.index(below) <= FLOORS.index(floor)
        if not allowed:
            wrong.append(f"{path.relative_to(SRC)}:{line}: {floor} imports {target}")
    return wrong


SOURCES = sorted(path for path in SRC.rglob("*") if path.suffix in (".py", ".pxd", ".pyx"))


def test_imports_run_downwards_only() -> None:
    assert [line for path in SOURCES for line in upward_imports(path)] == []


def test_every_folder_is_a_known_floor() -> None:
    assert {path.relative_to(SRC / "cede").parts[0] for path in SOURCES if path.parent != SRC / "cede"} == set(FLOORS)


def room_of(path: Path) -> str:
    """A floor is a room; of the core each folder is one."""
    parts = path.relative_to(SRC / "cede").parts
    return "/".join(parts[:2]) if parts[0] == "core" and len(parts) == 3 else parts[0]


def test_no_room_holds_more_than_a_fifth_of_the_code() -> None:
    lines: dict[str, int] = {}
    for path in [*SOURCES, *SRC.rglob("*.h")]:
        lines[room_of(path)] = lines.get(room_of(path), 0) + path.read_text().count("\n")
    most = max(lines, key=lambda room: lines[room])
    assert lines[most] <= sum(lines.values()) / 5, (most, lines)


def test_the_core_needs_the_standard_library_only() -> None:
    allowed = set(sys.stdlib_module_names) | {"cede", "cython", "cpython", "libc"}
    foreign = [
        f"{path.relative_to(SRC)}:{line}: {target}"
        for path in SOURCES
        if floor_of(package_of(path)) is not None
        for line, target in imports_of(path)
        if target.split(".")[0] not in allowed | OPTIONAL.get(floor_of(package_of(path)), set())
    ]
    assert foreign == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("core/a.py", "from cede.loop import x", ["cede.loop"]),
        ("core/a.py", "def f():\n    from cede import net", ["cede.net"]),
        ("core/a.py", "from ..drivers import base", ["cede.drivers"]),
        ("core/a.py", "from . import b", []),
        ("net/a.pxd", "from cede.loop.x cimport Y  # why", ["cede.loop.x"]),
        ("net/a.pyx", "cimport cede.loop.y\nimport cede.core.z", ["cede.loop.y"]),
        ("loop/a.py", "import cede", ["cede"]),
        ("cli/a.py", "import cede.loop, cede._version", []),
    ],
)
def test_the_check_sees_each_kind_of_import(tmp_path: Path, monkeypatch, file: str, text: str, expected: list[str]) -> None:
    monkeypatch.setitem(globals(), "SRC", tmp_path)
    path = tmp_path / "cede" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert [line.rsplit(" ", 1)[1] for line in upward_imports(path)] == expected
