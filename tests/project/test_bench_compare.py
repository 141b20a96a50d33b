"""bench-compare: what it builds, how it pairs, what it calls worse, and what it says where it cannot."""

from __future__ import annotations

import math
import os
import random
import re
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
from benchmarks.compare.pairs import Line
from benchmarks.rows import CAPACITY, NS, ROWS, choose

BUILDS = (Build("base", Path("/base")), Build("this", Path("/this")))


def row(key: str) -> Line:
    return pairs.lines_of([row for row in ROWS if row.key == key])[0]


def of(key: str, costs: list[float], instructions: float | None = None) -> str:
    """What is said of a row of which each pair came to such a cost."""
    line = row(key)
    metric = line.metrics[0]
    line.pairs[metric.key] = [(100.0, 100.0 * cost) if metric.less_is_better else (100.0 * cost, 100.0) for cost in costs]
    if instructions is not None:
        line.instructions = (1000.0, 1000.0 * instructions)
    return pairs.verdict(line, metric)


@pytest.mark.parametrize(
    ("count", "least", "greatest"),
    [
        (6, 1, 6),  # all six: 97 % by the coins
        (8, 1, 8),
        (9, 2, 8),
        (12, 3, 10),
        (25, 8, 18),
        (3, -1, 5),  # too few for 95 %: the range, and as much again on both sides
        (5, -3, 9),
        (1, 1, 1),
    ],
)
def test_the_interval_holds_the_median_with_the_confidence_that_it_names(count: int, least: float, greatest: float) -> None:
    assert pairs.interval([float(i) for i in range(count, 0, -1)]) == (least, greatest)


def test_the_interval_covers_what_it_says() -> None:
    draw = random.Random(17)

    def one() -> float:
        """Noise as it is: now and then something else takes half of the CPU. The median is known, the shape does not matter."""
        cost = draw.lognormvariate(0, 0.1)
        return cost * draw.choice((1, 1, 1, 2)) if cost > 1 else cost / draw.choice((1, 1, 1, 2))

    for many in (6, 9, 12, 25):
        found = [pairs.interval([one() for _ in range(many)]) for _ in range(2000)]
        assert sum(low <= 1 <= high for low, high in found) > 0.94 * len(found), many


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ([1.10, 1.20, 1.10, 1.30, 1.15, 1.12], "slower"),
        ([1.10, 1.20, 0.90, 1.30, 0.80, 1.12], "unclear"),
        ([1.01, 1.012, 1.013, 1.011, 1.012, 1.01], "same"),  # clear, and no more than layout
        ([1.01, 0.97, 1.02, 0.99, 1.03, 1.0], "same"),
        ([0.9, 0.91, 0.9, 0.88, 0.89, 0.9], "faster"),
        ([0.9, 0.91, 0.9, 0.88, 0.89, 0.9, 0.9, 0.9, 1.9], "faster"),  # one of nine may have met with anything
        ([1.5], "unclear"),  # one pair shows nothing
        ([1.10, 1.11, 1.12], "slower"),
        ([1.10, 1.11, 1.30], "unclear"),
    ],
)
def test_what_differs_by_more_than_the_noise(costs: list[float], said: str) -> None:
    assert of("task.sleep0", costs) == said
    assert of("net.protocol", costs) == said  # where more is better a cost is the other way about
    assert of("memory.task", costs) == {"slower": "larger", "faster": "smaller"}.get(said, said)


@pytest.mark.parametrize(
    ("costs", "instructions", "said"),
    [
        ([0.8, 1.2, 0.8, 1.2, 1.2, 0.9], 1.03, "slower"),  # noise tells nothing: what is counted does
        ([0.8, 1.2, 0.8, 1.2, 1.2, 0.9], 0.97, "faster"),
        ([0.8, 1.2, 0.8, 1.2, 1.2, 0.9], 1.005, "same"),
        ([1.1] * 6, 1.005, "slower"),  # the same code from another place in memory
        ([1.0] * 6, 1.03, "same"),  # nobody waits for instructions
        ([1.1] * 6, 0.9, "unclear"),  # that wants to be looked at
    ],
)
def test_instructions_settle_what_noise_hides(costs: list[float], instructions: float, said: str) -> None:
    assert of("task.sleep0", costs, instructions) == said


def test_a_cost_of_nothing_is_no_error() -> None:
    assert pairs.cost(0, 0, NS) == 1
    assert pairs.cost(0, 5, NS) == math.inf
    assert pairs.cost(0, 0, CAPACITY) == 1


def test_the_rows_that_the_design_rests_on_are_rows() -> None:
    assert set(pairs.RESTS_ON) <= {row.key for row in ROWS}
    assert choose(list(pairs.RESTS_ON))


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
    assert cells == ["task.sleep0", "cede", "100 ns", "150 ns", "1.500", "1.500-1.500", "slower"]


def test_a_row_that_fails_says_on_which_build() -> None:
    line = row("task.sleep0")

    def take(build: Build, _: Line) -> dict[str, float]:
        raise MeasureError("killed by signal 11")

    pairs.one_pair(line, BUILDS, True, take)
    assert line.trouble == "this failed: killed by signal 11"
    assert pairs.table([line], ("base", "this"), True)[1:] == []


def test_rows_that_take_long_have_fewer_rounds_unless_somebody_wants_them() -> None:
    assert [pairs.rounds_of(row(key), 12, False) for key in ("task.sleep0", "memory.task", "work.sleepers")] == [12, 3, 3]
    assert pairs.rounds_of(row("memory.task"), 12, True) == 12


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


def test_a_whole_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    here = Path(sys.executable)
    monkeypatch.setattr(command, "both", lambda _: (Build("one", here), Build("two", here)))
    assert command.main(["one", "--rows", "task.call-soon", "--rounds", "2"]) == 0
    said = capsys.readouterr()
    assert re.search(r"two beside one\n\n  row +through +one +two +ratio +interval +verdict", said.out)
    assert re.search(r"task\.call-soon +cede +[\d,]+ ns +[\d,]+ ns +[\d.]+ +-?[\d.]+-[\d.]+ +(same|slower|faster|unclear)", said.out)
    assert "[1/2] round 1/2 task.call-soon cede" in said.err


def test_check_tells_by_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(sys.executable)
    monkeypatch.setattr(command, "both", lambda _: (Build("one", here), Build("two", here)))
    monkeypatch.setattr(command, "counter_here", lambda _: (None, ""))
    told = {"one": 100.0, "two": 110.0}
    monkeypatch.setattr(pairs, "measure", lambda build, line: {"ns": told[build.name]})
    asked = ["one", "--rows", "task.call-soon", "--rounds", "6"]
    assert command.main(asked) == 0
    assert command.main([*asked, "--check"]) == 1
    told["two"] = 100.0
    assert command.main([*asked, "--check"]) == 0


def test_the_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert "sync.lock" in capsys.readouterr().out
