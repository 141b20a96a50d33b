"""The benchmark: what its rows are, whom they are measured on, and what of an import and an install is counted."""

from __future__ import annotations

import asyncio
import importlib.metadata
import zipfile
from pathlib import Path

import pytest

from benchmarks import harness, http_rows, http_server, install_rows
from benchmarks.children import MeasureError
from benchmarks.harness import Cell
from benchmarks.loops import BARE, GOAL, OURS, OWN, Installed, label
from benchmarks.rows import MS, ROWS, RPS, Target, choose
from benchmarks.verdict import judge

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
