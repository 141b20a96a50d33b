"""bench-compare: what it builds, how it pairs, what it calls worse, and what it says where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.children import MeasureError
from benchmarks.compare import __main__ as command
from benchmarks.compare import builds, pairs
from benchmarks.compare.builds import Build, BuildError
from benchmarks.compare.counting import Perf, Valgrind, count, per_operation
from benchmarks.compare.pairs import Compared, Line
from benchmarks.rows import CAPACITY, NS, ROWS

BUILDS = (Build("base", Path("/base")), Build("this", Path("/this")))


def row(key: str) -> Line:
    return pairs.lines_of([row for row in ROWS if row.key == key])[0]


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.1, 1.2, 1.1, 1.3], "worse"),
        ([1.1, 1.2, 0.9, 1.3], "worse"),
        ([1.1, 1.2, 0.9, 0.8], ""),
        ([1.004, 1.005, 1.006, 1.005], ""),
        ([0.9, 0.9, 0.9, 1.1, 0.9], "better"),
        ([1.5], "worse"),
    ],
)
def test_what_is_worse_than_the_noise(ratios: list[float], verdict: str) -> None:
    assert Compared.of([(100.0, 100.0 * ratio) for ratio in ratios], NS).verdict == verdict
    # Where more is better the same costs are the other way about.
    seen = Compared.of([(100.0 * ratio, 100.0) for ratio in ratios], CAPACITY)
    assert seen.verdict == verdict
    assert (seen.ratio > 1) == (Compared.of([(100.0, 100.0 * ratio) for ratio in ratios], NS).ratio > 1)


def test_builds_take_turns() -> None:
    line, order = row("task.sleep0"), []

    def take(build: Build, _: Line) -> dict[str, float]:
        order.append(build.name)
        return {"ns": 100.0 if build.name == "base" else 150.0, "operations": 10}

    for turn in range(4):
        pairs.one_pair(line, BUILDS, turn % 2 == 1, take)
    assert order == ["base", "this", "this", "base", "base", "this", "this", "base"]
    assert line.pairs == {"ns": [(100.0, 150.0)] * 4}  # whoever came first
    head, cells = pairs.table([line], ("base", "this"), False)
    assert len(head) == len(cells)
    assert cells == ["task.sleep0", "cede", "100 ns", "150 ns", "1.500", "1.500-1.500", "worse"]


def test_a_row_that_fails_says_on_which_build() -> None:
    line = row("task.sleep0")

    def take(build: Build, _: Line) -> dict[str, float]:
        raise MeasureError("killed by signal 11")

    pairs.one_pair(line, BUILDS, True, take)
    assert line.trouble == "this failed: killed by signal 11"
    assert pairs.table([line], ("base", "this"), True)[1:] == []


def test_rows_that_take_long_have_fewer_rounds_unless_somebody_wants_them() -> None:
    assert [pairs.rounds_of(row(key), 11, False) for key in ("task.sleep0", "memory.task", "work.sleepers")] == [11, 3, 3]
    assert pairs.rounds_of(row("memory.task"), 11, True) == 11


def test_counts_are_read_or_missed() -> None:
    assert Perf().read("# started on ...\n\n12345,,instructions:u,100,100.00,,\n") == 12345
    assert Perf().read("# started on ...\n\n<not supported>,,instructions:u,0,100.00,,\n") is None
    assert Valgrind().read("==7== \n==7== I   refs:      1,234,567\n") == 1234567
    assert Valgrind().read("==7== nothing\n") is None


class Lengths(Perf):
    """Counts the letters of what a command prints."""

    def command(self, output: Path) -> list[str]:
        code = "import subprocess, sys; print(len(subprocess.check_output(sys.argv[2:])), '', sep=',', file=open(sys.argv[1], 'w'))"
        return [sys.executable, "-c", code, str(output)]


def test_an_operation_is_what_one_more_of_them_takes() -> None:
    def worker(operations: int) -> list[str]:
        return [sys.executable, "-c", f"import sys; sys.stdout.write('s' * 1000 + 'o' * 7 * {operations})"]

    assert count(Lengths(), worker(10)) == 1070
    assert per_operation(Lengths(), worker, 10) == 7
    with pytest.raises(MeasureError, match="perf stat"):
        count(Lengths(), [sys.executable, "-c", "raise SystemExit(3)"])


def test_a_worker_can_run_operations_alone() -> None:
    line = row("task.sleep0")
    done = subprocess.run(pairs.worker(Build("", Path(sys.executable)), line, 200), cwd=builds.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- builds -----------------------------------------------------------------------------------------------------------------

SETUP = """
import json, os, pathlib, setuptools
mode = os.environ.get("MODE", "compiled")
pathlib.Path("src/cede/_build.json").write_text(json.dumps({"mode": mode, "reason": "no C compiler"}))
setuptools.setup(name="cede", version="0", packages=["cede"], package_dir={"": "src"}, package_data={"cede": ["*.json"]})
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a package of two commits, tagged one and two."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "repository"
    (root / "src/cede").mkdir(parents=True)
    monkeypatch.setattr(builds, "ROOT", root)
    monkeypatch.setattr(builds, "PLACE", root / "build" / "compare")
    (root / ".gitignore").write_text("build/\n_build.json\n*.egg-info/\n")
    (root / "setup.py").write_text(SETUP)
    (root / "src/cede/same.py").write_text("")
    for tag in ("one", "two"):
        (root / "src/cede/__init__.py").write_text(f"NAME = {tag!r}\n")
        (root / f"src/cede/{tag}.py").write_text("")
        author = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", tag], ["tag", tag]):
            subprocess.run(["git", *author, *arguments], cwd=root, check=True, capture_output=True)
        (root / f"src/cede/{tag}.py").unlink()
    subprocess.run(["git", "checkout", "-q", "-f", "two"], cwd=root, check=True, capture_output=True)
    return root


def name_of(build: Build) -> str:
    return subprocess.check_output([build.python, "-c", "import cede; print(cede.NAME)"], cwd="/", text=True).strip()


def test_only_what_differs_is_written(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "synced"
    builds.sync(folder, builds.of_commit("one"))
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    assert builds.sync(folder, builds.of_commit("two")) == ["src/cede/__init__.py", "src/cede/one.py", "src/cede/two.py"]
    assert (folder / "src/cede/same.py").stat().st_mtime == 1
    assert not (folder / "src/cede/one.py").exists()
    (repository / "src/cede/new.py").write_text("")
    assert builds.sync(folder, builds.of_tree()) == ["src/cede/new.py"]


@pytest.mark.slow
def test_each_state_has_an_install_of_its_own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    two = builds.commit_of("two", "BASE")
    kept = [builds.built(builds.commit_of("one", "BASE"), said.append), builds.built(two, said.append)]
    (repository / "src/cede/__init__.py").write_text("NAME = 'changed'\n")
    tree = builds.built_tree(said.append)
    assert [name_of(build) for build in (*kept, tree)] == ["one", "two", "changed"]
    assert len(said) == 3
    assert builds.built(two, said.append) == kept[1]
    assert builds.built_tree(said.append) == tree
    assert len(said) == 3  # nothing was built again
    (repository / "src/cede/__init__.py").write_text("NAME = 'changed again'\n")
    monkeypatch.setenv("MODE", "pure-no-compiler")
    with pytest.raises(BuildError, match=r"the tree cannot be compiled here \(no C compiler\): install gcc"):
        builds.built_tree(said.append)
    (repository / "setup.py").write_text("raise SystemExit('broken')")
    with pytest.raises(BuildError, match=r"the build failed, with status 1: .*build.log says why"):
        builds.built_tree(said.append)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what to compare with: make bench-compare BASE=COMMIT"),
        (["none-such"], "BASE=none-such: no such commit, branch or tag here"),
        (["one", "--this", "none-such"], "--this=none-such: no such commit"),
        (["two"], "there is nothing to compare"),
        (["one", "--rows", "none.*"], "--rows none.*: no such row"),
    ],
)
def test_errors_say_what_to_do(repository: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_tree_with_changes_is_measured_on_demand_only(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "src/cede/same.py").write_text("# changed\n")
    with pytest.raises(SystemExit) as ended:
        command.main(["one"])
    assert ended.value.code == 2
    assert "not committed (src/cede/same.py): commit them, or say --dirty" in capsys.readouterr().err


def test_the_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert "sync.lock" in capsys.readouterr().out
