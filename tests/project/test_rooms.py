"""`tests` mirrors the package: whoever changes a room of `src/cede` finds its tests in the folder of that name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "tests" / "README.md").read_text()
# What is about no room in particular: the table in the tests' README.
OTHERS = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))


def rooms(package: Path) -> set[str]:
    found = {path.parent.relative_to(package).as_posix() for path in package.rglob("*") if path.suffix in (".py", ".pyx", ".pxd", ".h")}
    found |= {parent.as_posix() for room in found for parent in Path(room).parents}
    return found - {"."}


def wrong_places(root: Path) -> Iterator[str]:
    here = rooms(root / "src" / "cede")
    for path in sorted((root / "tests").rglob("*.py")):
        folder = path.parent.relative_to(root / "tests").as_posix()
        if folder.split("/")[0] in OTHERS or path == root / "tests" / "conftest.py":
            continue
        if folder not in here:
            yield f"{path.relative_to(root)}: there is no room {folder} in src/cede"


def untested(root: Path) -> list[str]:
    """The floors without a folder of tests."""
    floors = {room for room in rooms(root / "src" / "cede") if "/" not in room}
    return sorted(floor for floor in floors if not any((root / "tests" / floor).rglob("test_*.py")))


def test_each_folder_is_named_as_a_room_or_on_the_list() -> None:
    assert list(wrong_places(ROOT)) == []
    assert {name for name in OTHERS if not (ROOT / "tests" / name).is_dir()} == set()


def test_the_example_is_a_test() -> None:
    (example,) = re.findall(r"```python\n.*?(def test_.*?)```", README, re.DOTALL)
    assert example in (ROOT / "tests" / "sync" / "test_primitives.py").read_text()


# Where tests are named by their paths or as modules. What ends in an underscore is made longer there.
NAMED = re.compile(r"(?<![\w/.-])(tests(?:/[\w*.-]+)+)|-m (tests(?:\.\w+)+)")


def named(root: Path) -> Iterator[tuple[str, str]]:
    for pattern in (
        "Makefile",
        "pyproject.toml",
        ".ci/run",
        "*.md",
        "docs/*.md",
        "benchmarks/*.md",
        "tests/**/*.md",
        "tests/**/*.toml",
        "tests/*/steps.py",
    ):
        for file in sorted(root.glob(pattern)):
            for path, module in NAMED.findall(file.read_text()):
                name = path.rstrip(".") or module.replace(".", "/")
                yield str(file.relative_to(root)), name + "*" if name.endswith("_") else name


def test_each_path_that_is_named_is_there() -> None:
    found = list(named(ROOT))
    assert {"Makefile", "docs/guarantees.md", "tests/conformance/ledgers/cpython.toml", "tests/nightly/steps.py"} <= {
        file for file, _ in found
    }
    assert [f"{file}: {name}" for file, name in found if not any(ROOT.glob(name)) and not any(ROOT.glob(f"{name}.py"))] == []


def test_each_floor_has_tests() -> None:
    assert untested(ROOT) == []


def test_a_test_in_the_wrong_place_is_seen(tmp_path: Path) -> None:
    for name in (
        *("src/cede/net/tls/records.py", "src/cede/core/native/ring.h", "src/cede/loop/event_loop.py"),
        *("tests/conftest.py", "tests/net/tls/test_records.py", "tests/core/native/test_ring.py", "tests/order/of/test_timers.py"),
        *("tests/test_flat.py", "tests/net/test_all.py", "tests/net/ssl/test_records.py", "tests/sync/test_lock.py"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [line.split(":")[0] for line in wrong_places(tmp_path)] == [
        "tests/net/ssl/test_records.py",
        "tests/sync/test_lock.py",
        "tests/test_flat.py",
    ]
    assert untested(tmp_path) == ["loop"]
