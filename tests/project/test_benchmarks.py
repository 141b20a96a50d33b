"""The benchmark: what its rows are, whom they are measured on, and what of an import and an install is counted."""

from __future__ import annotations

import asyncio
import importlib.metadata
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import clocks, harness, http_rows, http_server, install_rows, publish, task_worker
from benchmarks.children import MeasureError
from benchmarks.harness import Cell
from benchmarks.loops import BARE, GOAL, OURS, OWN, Installed, label
from benchmarks.rows import CAPACITY, MS, ROWS, RPS, Target, choose
from benchmarks.verdict import judge
from benchmarks.work import Work

ALL = [Installed(name, "ok") for name in ("asyncio", "uvloop", "cede")]


def contestants(key: str) -> list[str]:
    return harness.contestants(next(row for row in ROWS if row.key == key), ALL)


def test_who_is_measured_in_the_rows_of_installs() -> None:
    assert contestants("install.import") == ["uvloop", "cede"]  # asyncio is there already
    assert contestants("install.hello") == ["asyncio", "uvloop", "cede"]
    assert contestants("install.rebuild") == [OURS]
    assert {row.key.partition(".")[2] for row in ROWS if row.kind == "install"} == install_rows.MEASURES.keys()


def test_what_takes_minutes_has_to_be_spelt_out() -> None:
    def keys(*globs: str) -> set[str]:
        return {row.key for row in choose(list(globs))}

    assert "install.rebuild" not in keys() | keys("*") | keys("install.*")
    assert keys("install.rebuild") == {"install.rebuild"}


@pytest.mark.parametrize(("ours", "met"), [(10.0, True), (9.0, True), (10.5, False), (None, None)])
def test_a_goal_in_its_own_unit(ours: float | None, met: bool | None) -> None:
    assert Target(MS, GOAL, 10).text == "<= 10 ms"
    cells = {"uvloop": Cell([{"ms": 1.0}]), OURS: Cell([] if ours is None else [{"ms": ours}])}
    (line,) = judge(choose(["install.import"]), {"install.import": cells}, pure=False)
    assert (line.against, line.theirs, line.ours, line.met) == (GOAL, 10.0, ours, met)
    assert line.ratio == (None if ours is None else ours / 10)


def test_a_goal_where_more_is_better() -> None:
    assert Target(RPS, GOAL, 100).met(1.2)
    assert not Target(RPS, GOAL, 100).met(0.9)


def test_the_wheel_is_as_large_as_its_files_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"pack/a.py": b"a = 1\n" * 500, "pack/b.so": bytes(range(256)) * 99, "pack/deep/er/c.so": b"c", "pack-1.dist-info/METADATA": b""}
    made = {"pack/__pycache__/a.pyc": b"x" * 9999, "pack-1.dist-info/INSTALLER": b"pip", "../bin/pack": b"#!" * 999}
    site = tmp_path / "site"
    for name, data in (kept | made).items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
    (site / "pack-1.dist-info/RECORD").write_text("".join(f"{name},,\n" for name in kept | made))
    distribution = importlib.metadata.PathDistribution(site / "pack-1.dist-info")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: distribution)
    with zipfile.ZipFile(tmp_path / "pack.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
    assert install_rows.wheel("pack")["mb"] * 1e6 == pytest.approx((tmp_path / "pack.whl").stat().st_size, rel=0.02)
    assert install_rows.objects("pack") == {"files": 2}


def test_what_is_not_installed_gives_a_reason() -> None:
    with pytest.raises(MeasureError, match="asyncio is part of Python"):
        install_rows.objects("asyncio")
    with pytest.raises(MeasureError, match="exit status 1: ModuleNotFoundError: No module named 'none_such'"):
        install_rows.imported("none_such")


def test_an_import_and_a_process_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_rows, "PROCESSES", 1)
    seen = install_rows.imported(OURS)
    assert seen["ms"] > 0
    assert seen["mb"] > 0
    assert install_rows.hello(OURS)["ms"] > 0


def test_the_source_that_is_rebuilt_is_compiled() -> None:
    assert (install_rows.ROOT / install_rows.compiled_source()).with_suffix(".pxd").exists()


def test_the_service_answers() -> None:
    assert asyncio.run(http_server.gathered()) == http_server.HELLO
    assert set(http_server.STARTS) == set(http_rows.CONNECTIONS) == {row.key.partition(".")[2] for row in ROWS if row.kind == "http"}


def test_a_web_row_of_cedes_own_is_a_program_under_cede_run() -> None:
    assert http_rows.server_command("gather", OWN)[1:6] == ["-m", "cede", "run", "-m", "benchmarks.http_server"]
    assert http_rows.server_command("gather", OURS)[1:3] == ["-m", "benchmarks.http_server"]
    assert (label(OWN, "http"), label(OWN, "task"), label(BARE)) == ("cede run", "cede, own API", "no loop")


def test_a_clock_that_stands_still_is_read_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    # The process loses its CPU for two seconds, from 10 to 12, between the two clocks.
    waits, times = iter([1.0, 3.0, 3.0]), iter([10.0, 12.5])
    monkeypatch.setattr(clocks, "waited", lambda: next(waits))
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: next(times))
    assert clocks.active() == 9.5


@pytest.mark.parametrize(("best", "took"), [(False, 0.003), (True, 0.001)])
def test_of_many_batches_the_median_counts_or_the_best(best: bool, took: float) -> None:
    calls = iter([0.01] + [0.001, 0.003, 0.009] * 3)

    async def body(bench: Any, n: int) -> float:
        return next(calls) * n

    seen = asyncio.run(task_worker.measure(None, Work(body, least=1), 0.01, 9, best))  # type: ignore[arg-type]
    assert seen["ns"] == pytest.approx(took * 1e9)
    assert seen["operations"] == 9


def test_long_batches_are_fewer() -> None:
    async def body(bench: Any, n: int) -> float:
        return 1.0

    assert asyncio.run(task_worker.measure(None, Work(body, least=1), 0.002, 50))["operations"] == task_worker.BATCHES  # type: ignore[arg-type]


# --- what is published ------------------------------------------------------------------------------------------------------


def a_result() -> dict[str, Any]:
    """As `make bench` writes it: cede in the middle of two peers in each of the five rows, its own API in front."""
    metrics = {row.key: CAPACITY if row.kind in ("http", "net") else row.metric for row in ROWS}
    told = {"asyncio": 3000.4, "uvloop": 1000.0, OURS: 2000.0, OWN: 500.0}

    def cell(value: float, key: str) -> dict[str, Any]:
        return {"rounds": [{metrics[key].key: value * part} for part in (0.9, 1.0, 1.4)], "failures": [], "disturbed": 1}

    rows = {key: {name: cell(value, key) for name, value in told.items()} for key in publish.FIVE}
    del rows["install.import"]["asyncio"]
    machine = {"commit": "abc", "python": "CPython 3.14.8, GCC", "system": "Linux", "processor": "a CPU", "date": "2026-12-01 18:00 UTC"}
    return {"machine": machine, "pure": False, "rounds": 3, "load": [0.25, 2.5], "rows": rows}


def test_the_readme_has_five_rows_of_one_result() -> None:
    head, _, *lines = publish.five(a_result()).splitlines()
    assert head == "|  | asyncio | uvloop | **cede** | **cede**, own API or `cede run` |"
    assert [line.count("|") for line in lines] == [6] * 5
    assert lines[1] == "| `create_task` and await it: ns | 3,000 | 1,000 | 2,000 | 500 |"
    assert "| asyncio is imported already: ms |  | 1,000.00 |" in lines[4].replace("`import`, where ", "")
    shaken = a_result()
    shaken["rows"]["task.create"]["uvloop"]["disturbed"] = 2
    assert "| 3,000 | 1,000 ~ | 2,000 | 500 |" in publish.five(shaken)
    assert publish.where(a_result()) == (
        "cede abc, CPython 3.14.8, Linux, a CPU, 2026-12-01, 3 rounds. Load of the machine before the run 0.2; "
        "19 of 57 measurements were disturbed by other work (~: most of a figure's). "
        "**No quiet machine was to be had: other programs took most of both CPUs. Read ratios, and those with care.**"
    )


def test_the_page_counts_what_is_met_and_what_is_not() -> None:
    told = publish.every(a_result())
    assert told.startswith("1 of 9 goals are met.\n\n| row | cede |")
    assert "| uvloop 1,000 ns | 2.00x | <= 0.5x best peer | **no** |" in told
    assert "| `create_task` and await it, own API | 500 ns | uvloop 1,000 ns | 0.50x | <= 0.5x best peer | yes |" in told


def test_a_page_is_written_between_its_marks_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = f"before\n{publish.BEGIN.format('old.json')}\nold\n{publish.END}\nafter {{}} \\1\n"
    made = publish.inserted(text, "new.json", "| a \\1 |", page)
    assert made == f"before\n{publish.BEGIN.format('new.json')}\n\n| a \\1 |\n\n{publish.END}\nafter {{}} \\1\n"
    assert publish.inserted(made, "new.json", "| a \\1 |", page) == made
    for wrong in ("no marks", text + text):
        with pytest.raises(publish.PublishError, match="needs the marks"):
            publish.inserted(wrong, "new.json", "", page)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "no result of make bench"), ("{}", "no result of make bench"), ('{"rows": {}}', "has no row http.gather, task.create")],
)
def test_what_cannot_be_published_says_why(text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "result.json"
    result.write_text(text)
    with pytest.raises(SystemExit) as ended:
        publish.main([str(result)])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("page", [publish.README, publish.PAGE], ids=lambda page: page.name)
def test_what_is_published_is_what_was_measured(page: Path) -> None:
    source = publish.source_of(page)
    made = publish.published(source)[page]
    assert made == page.read_text(encoding="utf-8"), f"python -m benchmarks.publish {source.relative_to(publish.ROOT)} writes it"
