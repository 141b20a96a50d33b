"""What the documents for contributors say of the source is held to be true: the glossary, and "to change X, open Y"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "cede"
GLOSSARY = ROOT / "docs" / "glossary.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PLACE = re.compile(r"`([\w/.]+)`: ((?:`[\w.]+`(?:, )?)+)")


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading."""
    (table,) = re.findall(rf"^\| {re.escape(heading)} \|[^\n]*\n\|[-:| ]+\|\n((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]


def names_in_python(tree: ast.AST) -> Iterator[str]:
    """What a module, or a class, defines; not what is inside its functions, but for the attributes of `self`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
            if isinstance(node, ast.ClassDef):
                yield from (f"{node.name}.{name}" for name in names_in_python(node))
            elif isinstance(tree, (ast.ClassDef, ast.If)):
                stores = (each for each in ast.walk(node) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store))
                yield from (each.attr for each in stores if isinstance(each.value, ast.Name) and each.value.id == "self")
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.If):
            yield from names_in_python(node)


def names_in_cython(text: str) -> Iterator[str]:
    """What is declared: classes and their members, enumerations, variables, functions."""
    owner = ""
    for line in text.splitlines():
        if kind := re.match(r"(?:cdef |cpdef )?class (\w+)", line):
            owner = kind[1] + "."
            yield kind[1]
            continue
        if line[:1].strip():
            owner = ""
        if re.match(r"\s*(?:cdef|cpdef|def) |\s+[A-Z_]+ = ", line):
            declared = re.match(r"\s*(?:(?:cdef|cpdef|def) .*?)?(\w+)\s*(?:\(.*|=.*|#.*)?$", line)
            if declared:
                yield owner + declared[1]


def names_in_c(text: str) -> Iterator[str]:
    yield from re.findall(r"^(?:\} |#define )?(\w+)(?:;|\()", text, re.MULTILINE)


def names_in(path: Path) -> set[str]:
    text = path.read_text()
    if path.suffix == ".py":
        return set(names_in_python(ast.parse(text)))
    return set(names_in_c(text) if path.suffix == ".h" else names_in_cython(text))


def wrong_places(glossary: str) -> Iterator[str]:
    for word, _, where in rows(glossary, "word"):
        places = PLACE.findall(where)
        if "; ".join(f"`{path}`: {names}" for path, names in places) != where:
            yield f"{word}: write `path`: `name`, `name`; `path`: `name`"
        for path, names in places:
            if not (PACKAGE / path).is_file():
                yield f"{word}: there is no {path}"
                continue
            missing = set(re.findall(r"`([\w.]+)`", names)) - names_in(PACKAGE / path)
            yield from (f"{word}: {path} defines no {name}" for name in sorted(missing))


def test_each_word_of_the_glossary_lives_where_it_says() -> None:
    assert list(wrong_places(GLOSSARY.read_text())) == []


def test_the_words_stand_once_and_in_order() -> None:
    words = [row[0] for row in rows(GLOSSARY.read_text(), "word")]
    assert len(words) > 40
    assert words == sorted(set(words))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_the_glossary_can_be_found(document: str) -> None:
    assert "glossary.md)" in (ROOT / document).read_text()


def unknown_files(text: str) -> Iterator[str]:
    for change, first, then in rows(text, "to change"):
        files = re.findall(r"`([\w.-]+/[\w./-]+|[\w-]+\.\w+)`", first + then)
        if not re.search(r"`[\w./-]+/[\w.-]+`", first):
            yield f"{change}: name a file to open"
        yield from (f"{change}: there is no {file}" for file in files if not (ROOT / file).is_file())


def test_each_file_to_open_is_there() -> None:
    text = CONTRIBUTING.read_text()
    assert len(rows(text, "to change")) == 10
    assert list(unknown_files(text)) == []


def gone(text: str) -> set[str]:
    """Files of the package that a page names, by their paths below `src/cede`, and that are not there."""
    return {path for path in re.findall(r"`(\w+/[\w/]+\.(?:py|pyx|pxd|h))`", text) if not (PACKAGE / path).is_file()}


def test_each_file_of_the_architecture_page_is_there() -> None:
    assert gone(ARCHITECTURE.read_text()) == set()
    assert gone("`core/scheduler/kernel.py`, `core/task/awaitable.h` and `sync/waiters.py`") == {"core/task/awaitable.h", "sync/waiters.py"}


@pytest.mark.parametrize("file", ["src/cede/core/kernel.py", "NOWHERE.md", "the file"])
def test_a_wrong_file_is_seen(file: str) -> None:
    text = f"| to change | open | and then |\n|---|---|---|\n| it | `src/cede/__init__.py` | `{file}` |\n"
    assert len(list(unknown_files(text if file != "the file" else text.replace("src/cede/__init__.py", "the file")))) == 1


@pytest.mark.parametrize(
    "place",
    [
        *("`core/scheduler/kernel.py`: `Kernel.turns_taken`", "`core/scheduler/kernel.py`: `turn`", "`core/kernel.py`: `Kernel`"),
        *("`core/task/task.pxd`: `PENDING`", "`core/task/future.pxd`: `Task.waiter`", "`core/native/spin.h`: `backoff`"),
        *("`drivers/contract.py`: `Driver.sock`", "`core/scheduler/kernel.py`", "`core/scheduler/kernel.py`: Kernel"),
    ],
)
def test_a_wrong_place_is_seen(place: str) -> None:
    assert len(list(wrong_places(f"| word | meaning | where |\n|---|---|---|\n| it | It. | {place} |\n"))) == 1
