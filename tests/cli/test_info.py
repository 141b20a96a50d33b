"""`cede info`, the help, and what the command says to bad input."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys

import pytest

from cede.cli import info, main
from cede.core import build

KEYS = {"version", "location", "build", "driver", "python", "kernel", "optional"}


def cede(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "cede", *args], capture_output=True, text=True, timeout=60, check=False)


def test_json_and_the_table_tell_the_same() -> None:
    as_json, table = cede("info", "--json"), cede("info")
    assert (as_json.returncode, table.returncode, as_json.stderr, table.stderr) == (0, 0, "", "")
    facts = json.loads(as_json.stdout)
    assert set(facts) == KEYS
    assert facts["python"]["version"] == platform.python_version()
    assert facts["kernel"]["release"] in table.stdout
    assert facts["version"] in table.stdout
    for name in facts["driver"]["available"]:
        assert name in table.stdout


def test_it_tells_what_is_really_loaded() -> None:
    facts = info.collect()
    spec = importlib.util.find_spec("cede.core.task.task")
    assert spec is not None
    assert spec.origin is not None
    assert (facts["build"]["mode"] == "compiled") == (not spec.origin.endswith(".py"))
    assert (facts["build"]["compiled_modules"] > 0) == (facts["build"]["mode"] == "compiled")
    assert "selector" in facts["driver"]["available"]
    assert ("epoll" in facts["driver"]["available"]) == (facts["build"]["mode"] == "compiled" and sys.platform == "linux")


def test_a_loop_uses_the_default_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    import cede as package

    monkeypatch.delenv("CEDE_DRIVER", raising=False)
    loop = package.new_event_loop()
    try:
        assert type(loop.driver).__module__.split(".")[:3] == ["cede", "drivers", info.collect()["driver"]["default"]]
    finally:
        loop.close()


@pytest.mark.parametrize("mode", ["compiled", "pure", "pure-no-compiler"])
@pytest.mark.parametrize("pwait2", [True, False, None])
def test_the_table_has_a_line_for_each_fact(mode: str, pwait2: bool | None) -> None:
    facts = info.collect()
    facts["build"] = {"mode": mode, "reason": "the reason", "compiled_modules": 3 if mode == "compiled" else 0}
    facts["kernel"]["epoll_pwait2"] = pwait2
    facts["python"] |= {"free_threaded": True, "gil_enabled": False}
    table = info.describe(facts)
    assert "the reason" in table
    assert "GIL off" in table
    assert ("Install a C compiler" in table) == (mode == "pure-no-compiler")


def test_a_reader_that_leaves_is_no_reason_for_a_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "cede", "info"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_version() -> None:
    done = cede("--version")
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "cede", "")
    assert done.stdout.split()[1] == info.collect()["version"]


def test_a_missing_record_is_worked_out(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(build, "PACKAGE", tmp_path)
    monkeypatch.setattr(build, "compiled_modules", dict)
    assert build.look().mode == "pure"
    assert not build.look().asked_for


@pytest.mark.parametrize("args", [("--help",), ("run", "--help"), ("run", "-h"), ("info", "--help")])
def test_help_goes_to_stdout(args: tuple[str, ...]) -> None:
    done = cede(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: cede")
    assert max(map(len, done.stdout.splitlines())) <= 160


def test_help_has_examples() -> None:
    assert "cede run -m package" in cede("--help").stdout
    assert "python -X dev" in cede("run", "--help").stdout


@pytest.mark.parametrize("args", [("jump",), ("info", "--xml"), ("info", "extra"), ("--what",)])
def test_bad_words_are_told_with_the_way_to_the_help(args: tuple[str, ...]) -> None:
    done = cede(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--help" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_words_at_all_give_the_help() -> None:
    done = cede()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: cede")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.py"], ([], "script", "a.py", [])),
        (["a.py", "-m", "x", "--debug"], ([], "script", "a.py", ["-m", "x", "--debug"])),
        (["--debug", "-m", "x", "a.py"], (["--debug"], "-m", "x", ["a.py"])),
        (["--driver", "epoll", "a.py"], (["--driver", "epoll"], "script", "a.py", [])),
        (["--driver=epoll", "a.py"], (["--driver=epoll"], "script", "a.py", [])),
        (["-c", "-x", "y"], ([], "-c", "-x", ["y"])),
        (["-cpass", "-m"], ([], "-c", "pass", ["-m"])),
        (["-", "x"], ([], "script", "-", ["x"])),
        (["--", "-odd.py", "x"], ([], "script", "-odd.py", ["x"])),
        (["--debug"], (["--debug"], "", "", [])),
        ([], ([], "", "", [])),
    ],
)
def test_where_the_programs_words_begin(words: list[str], expected: tuple[list[str], str, str, list[str]]) -> None:
    assert main.split_program(words, main.Parser()) == expected
