"""`cede run` beside `python`: the same program, the same output, complaints and exit status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

PYTHON = (sys.executable,)
CEDE = (sys.executable, "-m", "cede", "run")
SCRIPT = Path(sysconfig.get_path("scripts"), "cede")


@dataclass
class Result:
    status: int
    out: str
    err: str


def execute(*command: str | os.PathLike[str], cwd: Path, stdin: str = "", **env: str) -> Result:
    done = subprocess.run(
        [os.fspath(word) for word in command],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": "0", **env},
    )
    return Result(done.returncode, done.stdout, done.stderr)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def comparable(err: str) -> str:
    """Without what may differ: the frames of python's own launcher under -m, and how many levels fit before the recursion limit."""
    lines: list[str] = []
    skipping = False
    for line in err.splitlines():
        bare = line.lstrip(" |")
        if bare.startswith("File "):
            skipping = "<frozen runpy>" in line or "<frozen importlib" in line
        elif not line.startswith(("    ", "  |     ")):
            skipping = False
        if not skipping:
            lines.append(re.sub(r"repeated \d+ more", "repeated N more", line))
    if lines and lines[0].startswith("Traceback") and not any(", in " in line for line in lines):
        del lines[0]
    return "\n".join(lines)


def assert_same(*args: str, cwd: Path, stdin: str = "", **env: str) -> Result:
    """Runs the program both ways and returns what python made of it."""
    plain = execute(*PYTHON, *args, cwd=cwd, stdin=stdin, **env)
    ours = execute(*CEDE, *args, cwd=cwd, stdin=stdin, **env)
    assert ours.out == plain.out
    assert comparable(ours.err) == comparable(plain.err)
    assert ours.status == plain.status
    return plain


SHOW_MAIN = """
    import sys, __main__
    print(sys.argv, sys.path[0], sys.modules[__name__] is __main__)
    for name in sorted(vars(__main__)):
        value = vars(__main__)[name]
        if name == "__spec__" and value is not None:
            value = (value.name, value.origin, value.parent)
        if name == "__loader__":
            value = getattr(value, "__name__", type(value).__name__)
        if name == "__builtins__":
            value = type(value)
        print(name, "=", value)
"""


# --- what the program sees -------------------------------------------------------------------------------------------------


def test_a_script_sees_what_python_shows_it(tmp_path: Path) -> None:
    write(tmp_path, "sub/show.py", SHOW_MAIN)
    plain = assert_same("sub/show.py", "one", "--two", "-m", "-c", "run", "--debug", "--", cwd=tmp_path)
    assert "--debug" in plain.out


def test_a_script_behind_a_link_finds_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "real/show.py", "import neighbour, sys; print(__file__, sys.path[0])")
    write(tmp_path, "real/neighbour.py", "")
    (tmp_path / "link.py").symlink_to("real/show.py")
    assert assert_same("link.py", cwd=tmp_path).status == 0


@pytest.mark.parametrize("args", [("-m", "pkg", "x", "-h"), ("-m", "pkg.part"), ("-m", "single", "--driver", "x"), ("-msingle",)])
def test_a_module_sees_what_python_shows_it(tmp_path: Path, args: tuple[str, ...]) -> None:
    write(tmp_path, "pkg/__init__.py", "print('package imported')")
    for name in ("pkg/__main__.py", "pkg/part.py", "single.py"):
        write(tmp_path, name, SHOW_MAIN)
    assert assert_same(*args, cwd=tmp_path).status == 0


@pytest.mark.parametrize("args", [("-c", textwrap.dedent(SHOW_MAIN), "a", "-b"), ("-cimport sys; print(sys.argv)", "a")])
def test_code_sees_what_python_shows_it(tmp_path: Path, args: tuple[str, ...]) -> None:
    assert assert_same(*args, cwd=tmp_path).status == 0


def test_standard_input_is_a_program(tmp_path: Path) -> None:
    assert assert_same("-", "a", cwd=tmp_path, stdin=textwrap.dedent(SHOW_MAIN)).status == 0


def test_a_folder_and_an_archive_run_their_main(tmp_path: Path) -> None:
    write(tmp_path, "app/__main__.py", SHOW_MAIN + "    import neighbour\n")
    write(tmp_path, "app/neighbour.py", "print('neighbour')")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        for path in (tmp_path / "app").iterdir():
            archive.write(path, path.name)
    assert assert_same("app", "a", cwd=tmp_path).status == 0
    assert assert_same("app.zip", "a", cwd=tmp_path).status == 0


def test_a_compiled_file_runs(tmp_path: Path) -> None:
    write(tmp_path, "show.py", SHOW_MAIN)
    execute(*PYTHON, "-c", "import py_compile; py_compile.compile('show.py', cfile='show.pyc')", cwd=tmp_path)
    assert assert_same("show.pyc", cwd=tmp_path).status == 0


def test_safe_path_is_respected(tmp_path: Path) -> None:
    write(tmp_path, "show.py", "import sys; print(sys.path)")
    assert_same("show.py", cwd=tmp_path, PYTHONSAFEPATH="1")


def test_dunder_main_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    write(
        tmp_path,
        "late.py",
        """
        import atexit, pickle, threading
        class Thing:
            n = 7
        def work():
            main_is_done.wait()
            print(pickle.loads(pickle.dumps(Thing())).n)
        main_is_done = threading.Event()
        threading.Thread(target=work).start()
        atexit.register(lambda: print(Thing.n, __name__))
        main_is_done.set()
        """,
    )
    assert assert_same("late.py", cwd=tmp_path).out == "7\n7 __main__\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_finds_the_program(tmp_path: Path, method: str) -> None:
    write(
        tmp_path,
        "many.py",
        f"""
        import multiprocessing as mp, os
        def square(n):
            return n * n
        if __name__ == "__main__":
            with mp.get_context({method!r}).Pool(2) as pool:
                print(pool.map(square, range(4)))
        """,
    )
    assert assert_same("many.py", cwd=tmp_path).out == "[0, 1, 4, 9]\n"


# --- how it ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit()",
        "import sys; sys.exit(0)",
        "import sys; sys.exit(7)",
        "import sys; sys.exit('a message')",
        "raise SystemExit(True)",
        "raise SystemExit((1, 2))",
        "import os; os._exit(9)",
        "import atexit; atexit.register(print, 'bye'); 1/0",
        "import threading; threading.Thread(target=lambda: print('thread')).start(); 1/0",
    ],
)
def test_exit_status(tmp_path: Path, code: str) -> None:
    assert_same("-c", code, cwd=tmp_path)


def test_keyboard_interrupt_ends_with_the_signal(tmp_path: Path) -> None:
    plain = assert_same("-c", "raise KeyboardInterrupt", cwd=tmp_path)
    assert plain.status == -signal.SIGINT
    ours = execute(*CEDE, "-c", "import asyncio\nasync def main():\n    raise KeyboardInterrupt\nasyncio.run(main())", cwd=tmp_path)
    assert ours.status == -signal.SIGINT
    assert ours.err.endswith("KeyboardInterrupt\n")


def test_ctrl_c_ends_an_idle_program_as_python_does(tmp_path: Path) -> None:
    code = """
        import asyncio
        async def main():
            try:
                print("ready", flush=True)
                await asyncio.Event().wait()
            finally:
                print("cleaned up", flush=True)
        asyncio.run(main())
        """
    for command in (PYTHON, CEDE):
        program = subprocess.Popen(
            [*command, "-c", textwrap.dedent(code)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=60)
        assert (program.returncode, out) == (-signal.SIGINT, "cleaned up\n")
        assert err.endswith("KeyboardInterrupt\n")
        assert "cede" not in err


ERRORS = {
    "plain": "def f():\n    1/0\nf()\n",
    "chained": "def f():\n    1/0\ntry:\n    f()\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e\n",
    "group": "def f(n):\n    raise OSError(n)\nlist_ = []\nfor n in range(2):\n    try:\n        f(n)\n    except OSError as e:\n"
    "        list_.append(e)\nraise ExceptionGroup('both', list_)\n",
    "syntax": "def f(:\n    pass\n",
    "inner syntax": "eval('1 +')\n",
    "deep": "def f():\n    f()\nf()\n",
    "no such import": "import no_such_module_at_all\n",
    "notes": "e = ValueError('x')\ne.add_note('a note')\nraise e\n",
    "unprintable": "class E(Exception):\n    def __str__(self):\n        raise RuntimeError\nraise E\n",
}


# Each as a script; started otherwise, one of each shape: raised, chained, grouped, and found by the compiler.
TRACEBACKS = [("script", name) for name in ERRORS]
TRACEBACKS += [(how, name) for how in ("module", "code", "stdin") for name in ("plain", "chained", "group", "syntax")]


@pytest.mark.parametrize(("how", "name"), TRACEBACKS)
def test_tracebacks_are_the_programs_own(tmp_path: Path, how: str, name: str) -> None:
    text = ERRORS[name]
    write(tmp_path, "bad.py", text)
    args = {"script": ("bad.py",), "module": ("-m", "bad"), "code": ("-c", text), "stdin": ("-",)}[how]
    plain = assert_same(*args, cwd=tmp_path, stdin=text if how == "stdin" else "")
    assert plain.status == 1
    if how != "stdin" or sys.version_info >= (3, 13):
        assert plain.err


@pytest.mark.parametrize("args", [("-m", "pkg"), ("-m", "pkg.part"), ("-c", "import pkg"), ("-m", "broken")])
def test_an_error_in_an_imported_module_shows_its_frames(tmp_path: Path, args: tuple[str, ...]) -> None:
    write(tmp_path, "pkg/__init__.py", "import pkg.inner")
    write(tmp_path, "pkg/inner.py", "def f():\n    import does_not_exist_either\nf()\n")
    write(tmp_path, "pkg/part.py", "")
    write(tmp_path, "broken.py", "import missing_one")
    plain = assert_same(*args, cwd=tmp_path)
    assert plain.status == 1


HOOKS = {
    "prints": "sys.excepthook = lambda *a: print('hook', a[0].__name__, a[2].tb_frame.f_code.co_name, a[1].__traceback__ is a[2])",
    "exits": "sys.excepthook = lambda *a: sys.exit(5)",
    "delegates": "old = sys.excepthook\nsys.excepthook = lambda *a: (print('first', sys.excepthook is not old), old(*a))",
    "restores": "sys.excepthook = sys.__excepthook__",
    "last": "import atexit\natexit.register(lambda: print(sys.last_type, sys.last_traceback.tb_frame.f_code.co_filename))",
    "none": "sys.excepthook = None",
    "fails": "def hook(*a):\n    raise OSError('hook')\nsys.excepthook = hook",
    "deleted": "del sys.excepthook",
}


@pytest.mark.parametrize("name", HOOKS)
def test_the_programs_excepthook_is_the_one_called(tmp_path: Path, name: str) -> None:
    write(tmp_path, "hook.py", f"import sys\nassert sys.excepthook is sys.__excepthook__\n{HOOKS[name]}\ndef f():\n    1/0\nf()\n")
    assert_same("hook.py", cwd=tmp_path)


# --- asyncio on cede ---------------------------------------------------------------------------------------------------------

WAYS = {
    "run": "async def main():\n    return type(asyncio.get_running_loop())\nkind = asyncio.run(main())",
    "Runner": "with asyncio.Runner() as runner:\n    kind = type(runner.get_loop())",
    "new_event_loop": "loop = asyncio.new_event_loop(); kind = type(loop); loop.close()",
    "set and get": "asyncio.set_event_loop(asyncio.new_event_loop()); loop = asyncio.get_event_loop(); kind = type(loop); loop.close()",
    "thread": "import threading\nkinds = []\nasync def main():\n    kinds.append(type(asyncio.get_running_loop()))\n"
    "t = threading.Thread(target=asyncio.run, args=(main(),)); t.start(); t.join(); kind = kinds[0]",
    "unittest": "import unittest\nkinds = []\nclass T(unittest.IsolatedAsyncioTestCase):\n    async def test(self):\n"
    "        kinds.append(type(asyncio.get_running_loop()))\nunittest.main(argv=['x'], exit=False)\nkind = kinds[0]",
}
if sys.version_info < (3, 14):
    WAYS["policy"] = "loop = asyncio.get_event_loop_policy().new_event_loop(); kind = type(loop); loop.close()"


@pytest.mark.parametrize("way", WAYS)
def test_asyncio_makes_cede_loops(tmp_path: Path, way: str) -> None:
    write(tmp_path, "way.py", f"import asyncio\n{WAYS[way]}\nimport cede\nprint(kind is cede.EventLoop)\n")
    done = execute(sys.executable, "-W", "error", "-X", "dev", "-m", "cede", "run", "way.py", cwd=tmp_path)
    assert (done.out, done.status) == ("True\n", 0), done.err
    assert way == "unittest" or done.err == ""


def test_a_python_without_policies_gets_cede_loops_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        "future.py",
        """
        import asyncio, cede
        from cede.runner import install
        install.install(asyncio.SelectorEventLoop)
        install.replace_functions(cede.EventLoop)
        async def main():
            return type(asyncio.get_running_loop())
        print(asyncio.run(main()) is cede.EventLoop)
        loop = asyncio.new_event_loop()
        print(type(loop) is cede.EventLoop)
        loop.close()
        """,
    )
    done = execute(*PYTHON, "-W", "error", "future.py", cwd=tmp_path)
    assert (done.out, done.err) == ("True\nTrue\n", "")


def test_a_policy_of_the_programs_own_is_left_alone(tmp_path: Path) -> None:
    if sys.version_info >= (3, 14):
        setter = "asyncio.events._set_event_loop_policy(asyncio.events._BaseDefaultEventLoopPolicy.__subclasses__()[0]())"
    else:
        setter = "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())"
    code = f"import asyncio\n{setter}\nasync def main():\n    print(type(asyncio.get_running_loop()).__module__)\nasyncio.run(main())"
    assert_same("-c", code, cwd=tmp_path, CEDE_QUIET="1")  # it would be told that its loop is not cede's


IN_A_TASK = """
    import asyncio

    async def inner():
        await asyncio.sleep(0)
        raise LookupError("from a task")

    async def main():
        {body}

    asyncio.run(main())
"""
BODIES = {
    "awaited": "await inner()",
    "task": "await asyncio.create_task(inner())",
    "gather": "await asyncio.gather(inner(), inner())",
    "timeout": "await asyncio.wait_for(inner(), 10)",
    "group": "async with asyncio.TaskGroup() as group: group.create_task(inner())",
    "bad argument": "asyncio.get_running_loop().call_later('soon', print)",
}


@pytest.mark.parametrize("body", BODIES)
def test_tracebacks_through_the_loop_show_no_frame_of_cede(tmp_path: Path, body: str) -> None:
    write(tmp_path, "task.py", IN_A_TASK.format(body=BODIES[body]))
    ours = execute(*CEDE, "task.py", cwd=tmp_path)
    assert ours.status == 1
    assert "task.py" in ours.err
    assert "cede" not in ours.err.replace(str(tmp_path), "")
    if body != "bad argument":
        plain = execute(*PYTHON, "task.py", cwd=tmp_path)
        assert frames_in(ours.err, tmp_path) == frames_in(plain.err, tmp_path)


def frames_in(err: str, folder: Path) -> list[str]:
    return [line for line in err.splitlines() if line.lstrip("| ").startswith("File") and str(folder) in line]


def test_debug_starts_loops_in_debug_mode_and_shows_everything(tmp_path: Path) -> None:
    code = "import asyncio\nasync def main():\n    print(asyncio.get_running_loop().get_debug())\n    1/0\nasyncio.run(main())"
    done = execute(*CEDE, "--debug", "-c", code, cwd=tmp_path)
    assert (done.out, done.status) == ("True\n", 1)
    assert "cli" not in done.err


def test_the_driver_can_be_chosen(tmp_path: Path) -> None:
    code = "import asyncio\nasync def main():\n    print(type(asyncio.get_running_loop().driver).__module__)\nasyncio.run(main())"
    done = execute(*CEDE, "--driver", "selector", "-c", code, cwd=tmp_path)
    assert done.out == "cede.drivers.selector.driver\n", done.err
    done = execute(*CEDE, "--driver=selector", "-c", code, cwd=tmp_path)
    assert done.out == "cede.drivers.selector.driver\n", done.err


# --- bad input ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ((), 2, "nothing to run"),
        (("--debug",), 2, "nothing to run"),
        (("-m",), 2, "expected a module name"),
        (("-c",), 2, "expected Python code"),
        (("--no-such-option", "x.py"), 2, "--no-such-option"),
        (("--driver", "steam", "x.py"), 2, "steam"),
        (("missing.py",), 2, "can't open file"),
        (("unreadable.py",), 2, "can't open file"),
        (("-m", "no_such_module"), 1, "No module named no_such_module"),
        (("-m", "no_such.module"), 1, "No module named no_such"),
        (("-m", ".relative"), 1, "relative"),
        (("-m", "emptypkg"), 1, "cannot be directly executed"),
        (("-m", "sys"), 1, "No code object available"),
        (("empty",), 1, "can't find '__main__' module"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path: Path, args: tuple[str, ...], status: int, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable.py").symlink_to("unreadable.py")
    write(tmp_path, "emptypkg/__init__.py", "")
    done = execute(*CEDE, *args, cwd=tmp_path)
    assert done.status == status
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.err.startswith("cede run: ")


def test_the_missing_file_is_named_as_python_names_it(tmp_path: Path) -> None:
    plain = execute(*PYTHON, "no/such.py", cwd=tmp_path)
    ours = execute(*CEDE, "no/such.py", cwd=tmp_path)
    assert ours.err.partition(": ")[2] == plain.err.partition(": ")[2]
    assert ours.status == plain.status == 2


def test_the_installed_command_is_the_same(tmp_path: Path) -> None:
    write(tmp_path, "bad.py", "import sys\nprint(sys.argv, sys.path[0])\n1/0\n")
    plain = execute(*PYTHON, "bad.py", "x", cwd=tmp_path)
    assert execute(SCRIPT, "run", "bad.py", "x", cwd=tmp_path) == plain
