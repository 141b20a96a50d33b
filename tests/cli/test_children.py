"""Python processes that a program under `cede run` starts are on cede as it is, whichever way they are started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import cede

CEDE = (sys.executable, "-m", "cede", "run")
INSIDE = f"{Path(cede.__file__).parent}{os.sep}"
# What a child is: its loop's home, that of its queues, whether asyncio was there before it asked, and what of us is left on its path.
LOOK = f"""
import sys
before = [name for name in ("asyncio", "cede") if name in sys.modules]
import asyncio, json, os
loop = asyncio.new_event_loop()
loop.close()
def home(cls):
    return cls.__module__.partition(".")[0]
print(json.dumps([home(type(loop)), home(asyncio.Queue), before, [path for path in sys.path if path.startswith({INSIDE!r})]]))
"""
ON_CEDE = ["cede", "cede", [], []]
PLAIN = ["asyncio", "asyncio", [], []]


def execute(*command: str, cwd: Path, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False, env={**os.environ, **environment})
    assert done.returncode == status, done.stdout + done.stderr
    return done


def looks(folder: Path, program: str, *options: str, **environment: str) -> list[Any]:
    """What each child of the program printed, whose file it is."""
    (folder / "look.py").write_text(LOOK)
    (folder / "program.py").write_text(textwrap.dedent(program))
    done = execute(*CEDE, *options, "program.py", cwd=folder, **environment)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


SUBPROCESS = "import subprocess, sys; subprocess.run([sys.executable, 'look.py'], check=True)"
WAYS = {
    "subprocess": SUBPROCESS,
    "as a module": "import subprocess, sys; subprocess.run([sys.executable, '-m', 'look'], check=True)",
    "os.spawnv": "import os, sys; os.spawnv(os.P_WAIT, sys.executable, [sys.executable, 'look.py'])",
    "execv": "import os, sys; os.execv(sys.executable, [sys.executable, 'look.py'])",
    "through a shell": "import os, sys; os.system(f'{sys.executable} look.py')",
    "a grandchild": f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SUBPROCESS!r}], check=True)",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_child_is_on_cede(tmp_path: Path, way: str) -> None:
    assert looks(tmp_path, WAYS[way]) == [ON_CEDE]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_are_on_cede(tmp_path: Path, method: str) -> None:
    program = f"""
        import multiprocessing
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            for _ in range(2):
                process = context.Process(target=__import__, args=("look",))
                process.start()
                process.join()
    """
    found = looks(tmp_path, program)
    assert [look[:2] for look in found] == [["cede", "cede"]] * 2


def test_a_pool_of_processes_is_on_cede(tmp_path: Path) -> None:
    program = """
        import concurrent.futures, multiprocessing
        if __name__ == "__main__":
            with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                pool.submit(exec, "import look").result()
    """
    assert [look[:2] for look in looks(tmp_path, program)] == [["cede", "cede"]]


@pytest.mark.parametrize("way", ["subprocess", "a grandchild"])
def test_no_children(tmp_path: Path, way: str) -> None:
    assert looks(tmp_path, WAYS[way], "--no-children") == [PLAIN]


def test_stock_names_are_inherited(tmp_path: Path) -> None:
    assert looks(tmp_path, SUBPROCESS, "--stock") == [["cede", "asyncio", [], []]]


def test_a_driver_is_inherited(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text("import asyncio\nloop = asyncio.new_event_loop()\nprint(type(loop.driver).__name__)\nloop.close()")
    program = "import subprocess, sys; subprocess.run([sys.executable, 'driver.py'], check=True)"
    assert execute(*CEDE, "--driver", "selector", "-c", program, cwd=tmp_path).stdout == "SelectorDriver\n"


@pytest.mark.parametrize(
    ("options", "expected"), [([], ON_CEDE[:2]), (["--stock"], ["cede", "asyncio"]), (["--no-children"], ON_CEDE[:2])]
)
@pytest.mark.parametrize("outer", [[], ["--stock"]])
def test_the_command_within_the_command_decides_for_itself(
    tmp_path: Path, outer: list[str], options: list[str], expected: list[str]
) -> None:
    words = ["-W", "ignore", "-X", "utf8", "-m", "cede", "run", *options, "look.py"]
    found = looks(tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, *{words!r}], check=True)", *outer)
    assert [look[:2] for look in found] == [expected]


def test_no_children_within_the_command_ends_the_line(tmp_path: Path) -> None:
    words = ["-m", "cede", "run", "--no-children", "-c", SUBPROCESS]
    assert looks(tmp_path, f"import subprocess, sys; subprocess.run([sys.executable, *{words!r}], check=True)") == [PLAIN]


def test_a_program_that_imports_cede_first_is_on_it_too(tmp_path: Path) -> None:
    code = "import cede, asyncio; print(asyncio.Queue is cede.Queue, asyncio.Lock is cede.Lock)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    assert execute(*CEDE, "-c", program, cwd=tmp_path).stdout == "True True\n"


def test_a_child_without_asyncio_imports_nothing_of_ours(tmp_path: Path) -> None:
    code = "import sys; print([name for name in sys.modules if name.partition('.')[0] in ('asyncio', 'cede')])"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    assert execute(*CEDE, "-c", program, cwd=tmp_path).stdout == "[]\n"


def test_the_path_that_the_user_set_is_kept(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "neighbour.py").write_text("print('found')")
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import neighbour'], check=True)"
    assert execute(*CEDE, "-c", program, cwd=tmp_path, PYTHONPATH=str(tmp_path / "there")).stdout == "found\n"
    plain = execute(*CEDE, "--no-children", "-c", "import os; print(os.environ['PYTHONPATH'])", cwd=tmp_path, PYTHONPATH="a")
    assert plain.stdout == "a\n"
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [*CEDE, "--no-children", "-c", "import os; print('PYTHONPATH' in os.environ)"]
    assert subprocess.run(words, env=bare, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_sitecustomize_of_somebody_elses_runs_as_well(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.theirs = True\nprint('theirs')")
    code = "import sys, asyncio, sitecustomize; print(sys.theirs, sitecustomize.__file__, asyncio.Queue.__module__.partition('.')[0])"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    done = execute(*CEDE, "-c", program, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.stdout.splitlines() == ["theirs", "theirs", f"True {tmp_path / 'sitecustomize.py'} cede"]
    assert done.stderr == ""


def test_a_sitecustomize_that_fails_is_told_of_as_ever(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import nothing_of_that_name")
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1)'], check=True)"
    done = execute(*CEDE, "--no-children", "-c", program, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    ours = execute(*CEDE, "-c", program, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert ours.stdout == done.stdout == "1\n"
    assert ours.stderr.count("nothing_of_that_name") == done.stderr.count("nothing_of_that_name") > 0


def test_a_python_without_cede_runs_as_it_would(tmp_path: Path) -> None:
    """Another environment: no complaint, asyncio's own loop."""
    execute(sys.executable, "-m", "venv", "--without-pip", "other", cwd=tmp_path)
    (tmp_path / "look.py").write_text(LOOK)
    program = "import subprocess; subprocess.run(['other/bin/python', 'look.py'], check=True)"
    done = execute(*CEDE, "-c", program, cwd=tmp_path)
    assert (json.loads(done.stdout), done.stderr) == (PLAIN, "")


@pytest.mark.parametrize("option", ["-E", "-I", "-S"])
def test_a_child_that_is_told_to_ignore_the_environment_is_plain_python(tmp_path: Path, option: str) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, {option!r}, 'look.py'], check=True)"
    assert [look[:2] for look in looks(tmp_path, program)] == [PLAIN[:2]]


def test_an_import_that_fails_and_is_tried_again(tmp_path: Path) -> None:
    """The first import of asyncio ends in an error of its own; cede is there after the second."""
    code = """
        import builtins, sys
        begin = builtins.__import__
        def fail(name, *args, **options):
            if name == "concurrent.futures":
                raise LookupError
            return begin(name, *args, **options)
        builtins.__import__ = fail
        try:
            import asyncio
        except LookupError:
            print("failed")
        builtins.__import__ = begin
        for name in [name for name in sys.modules if name.startswith("asyncio")]:
            del sys.modules[name]
        import asyncio
        print(asyncio.Queue.__module__.partition(".")[0])
    """
    (tmp_path / "again.py").write_text(textwrap.dedent(code))
    program = "import subprocess, sys; subprocess.run([sys.executable, 'again.py'], check=True)"
    assert execute(*CEDE, "-c", program, cwd=tmp_path).stdout.split() == ["failed", "cede"]
