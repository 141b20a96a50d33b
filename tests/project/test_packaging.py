"""What the build makes of the sources: compiled, pure, or pure for want of a compiler, and never one by mistake for another."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT_FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
PROGRAM = """
import asyncio, cede
async def main():
    await asyncio.sleep(0)
    print(isinstance(asyncio.get_running_loop(), cede.EventLoop))
asyncio.run(main())
"""

pytestmark = pytest.mark.slow


def environment(**changes: str) -> dict[str, str]:
    """This process's, without what steers builds and imports."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CEDE_PURE", "CC", "CFLAGS", "PYTHONPATH", "CEDE_DRIVER")}
    return {**kept, **changes}


def copy_project(folder: Path, *, sources: bool = True) -> Path:
    """The project in a folder of its own: a build leaves files behind."""
    folder.mkdir()
    for name in PROJECT_FILES:
        shutil.copy(ROOT / name, folder / name)
    if sources:
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so", ".*"))
    return folder


def build_wheel(project: Path, **env: str) -> tuple[subprocess.CompletedProcess[str], Path | None]:
    """Builds as pip would, without what pip does around it; returns what was said, and the wheel if there is one."""
    out = project / "wheels"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('wheels')"]
    done = subprocess.run(command, cwd=project, env=environment(**env), capture_output=True, text=True, timeout=300, check=False)
    return done, next(out.glob("*.whl"), None) if out.exists() else None


def install(project: Path, target: Path, **env: str) -> Path:
    """Builds, and unpacks as `pip install --target` would; returns the wheel."""
    done, wheel = build_wheel(project, **env)
    assert wheel is not None, done.stdout + done.stderr
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return wheel


def cede(target: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cede", *args],
        cwd=target,
        env=environment(PYTHONPATH=str(target)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- the real package, uncompiled ----------------------------------------------------------------------------------------------


def test_a_pure_install_on_demand_is_complete_and_says_nothing(tmp_path: Path) -> None:
    """uvloop 690: builds and imports on each new Python."""
    wheel = install(copy_project(tmp_path / "project"), tmp_path / "target", CEDE_PURE="1")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not list((tmp_path / "target").rglob("*.so"))
    facts = json.loads(cede(tmp_path / "target", "info", "--json").stdout)
    assert facts["location"] == str(tmp_path / "target" / "cede")
    assert facts["build"]["mode"] == "pure"
    assert "CEDE_PURE" in facts["build"]["reason"]
    assert facts["driver"] == {"default": "selector", "available": ["selector"]}
    ran = cede(tmp_path / "target", "run", "-c", PROGRAM)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("True\n", "", 0)
    refused = cede(tmp_path / "target", "run", "--driver", "epoll", "-c", PROGRAM)
    assert (refused.stdout, refused.returncode) == ("", 2)
    assert "epoll" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("compiler", ["/nonexistent/cc", "/bin/false"])
def test_without_a_compiler_the_pure_install_says_so(tmp_path: Path, compiler: str) -> None:
    wheel = install(copy_project(tmp_path / "project"), tmp_path / "target", CC=compiler)
    assert wheel.name.endswith("-py3-none-any.whl")
    facts = json.loads(cede(tmp_path / "target", "info", "--json").stdout)
    assert facts["build"]["mode"] == "pure-no-compiler"
    assert "compiler" in facts["build"]["reason"]
    assert "C compiler" in cede(tmp_path / "target", "info").stdout
    ran = cede(tmp_path / "target", "run", "-c", PROGRAM)
    assert (ran.stdout, ran.returncode) == ("True\n", 0)
    assert ran.stderr.count("\n") == 1
    assert "uncompiled" in ran.stderr


def test_the_source_archive_has_every_source(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    code = "from setuptools.build_meta import build_sdist; build_sdist('out')"
    subprocess.run([sys.executable, "-c", code], cwd=project, env=environment(CEDE_PURE="1"), capture_output=True, timeout=120, check=True)
    with tarfile.open(next((project / "out").glob("*.tar.gz"))) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {str(path.relative_to(project)) for path in (project / "src" / "cede").rglob("*") if path.is_file()}
    assert wanted <= inside


# --- a small package in its place, compiled --------------------------------------------------------------------------------------


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A package of three compiled modules, two of one name, with a C header; built by cede's own setup.py, and loaded as cede is."""
    pytest.importorskip("Cython", reason="this environment has no Cython, so nothing can be compiled")
    project = copy_project(tmp_path / "toy", sources=False)
    files = {
        "__init__.py": "from cede.runner import loading",
        "_version.py": "__version__ = '0'",
        "core/__init__.py": "",
        "core/interpreters.py": "def refuse_where_compiled(): pass",
        "core/native/modules.h": (ROOT / "src/cede/core/native/modules.h").read_text(),
        "runner/__init__.py": "",
        "runner/loading.py": (ROOT / "src/cede/runner/loading.py").read_text(),
        "runner/sealing.py": "def seal(module): pass",
        "core/fast.h": "static inline int times(int n) { return 3 * n; }",
        "core/fast.pxd": """
            cdef extern from "fast.h":
                int times(int n)
            cdef class Fast:
                cpdef int go(self, int n)
            """,
        "core/fast.py": """
            import cython
            class Fast:
                def go(self, n):
                    return times(n)
            COMPILED = cython.compiled
            """,
        "net/__init__.py": "",
        "net/user.pyx": "from cede.core.fast cimport Fast, times\ndef go(Fast f): return f.go(2), times(4)",
        "net/fast.pyx": "WHO = 'net'",
        "net/plain.py": "COMPILED = False",
    }
    for name, text in files.items():
        path = project / "src" / "cede" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return project


def ask(target: Path, code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=target, env=environment(), capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_what_has_a_pxd_is_compiled_and_builds_again_in_no_time(toy: Path, tmp_path: Path) -> None:
    """uvloop 690: builds and imports on each new Python."""
    quick = {"CFLAGS": "-O0"}
    wheel = install(toy, tmp_path / "target", **quick)
    assert "none-any" not in wheel.name
    assert json.loads((tmp_path / "target/cede/_build.json").read_text())["mode"] == "compiled"
    code = "from cede.core import fast; from cede.net import user, fast as other; print(fast.COMPILED, user.go(fast.Fast()), other.WHO)"
    assert ask(tmp_path / "target", code) == "True (6, 12) net"
    names = zipfile.ZipFile(wheel).namelist()
    assert {"cede/core/fast.pxd", "cede/core/fast.h", "cede/core/fast.py", "cede/net/user.pyx"} <= set(names)  # tracebacks show their lines
    assert not [name for name in names if name.endswith(".c")]
    assert not list((toy / "src").rglob("*.c"))

    again, _ = build_wheel(toy, **quick)
    assert "Cythonizing" not in again.stdout
    assert "fast.o" not in again.stdout

    # A header that changes, and a module that goes.
    (toy / "src/cede/core/fast.h").write_text("static inline int times(int n) { return 5 * n; }")
    (toy / "src/cede/net/plain.py").unlink()
    shutil.rmtree(tmp_path / "target")
    install(toy, tmp_path / "target", **quick)
    assert ask(tmp_path / "target", "from cede.core.fast import Fast; print(Fast().go(1))") == "5"
    assert not (tmp_path / "target/cede/net/plain.py").exists()

    # A module that is no longer to be compiled: its extension would shadow it.
    (toy / "src/cede/core/fast.pxd").unlink()
    (toy / "src/cede/net/user.pyx").unlink()
    (toy / "src/cede/net/fast.pyx").unlink()
    (toy / "src/cede/core/fast.py").write_text("COMPILED = False")
    shutil.rmtree(tmp_path / "target")
    install(toy, tmp_path / "target", **quick)
    assert ask(tmp_path / "target", "from cede.core import fast; print(fast.COMPILED)") == "False"


def compiled(told: str) -> set[str]:
    """The C files that a build has compiled."""
    return set(re.findall(r"-c \S*build/cython/src/cede/(\S+)\.c\b", told))


def test_what_has_not_changed_is_not_compiled_again(toy: Path, tmp_path: Path) -> None:
    quick = {"CFLAGS": "-O0"}
    everything = {"core/fast", "net/user", "net/fast"}
    assert compiled(build_wheel(toy, **quick)[0].stdout) == everything

    def after(file: str, text: str, **env: str) -> set[str]:
        (toy / "src/cede" / file).write_text(text)
        return compiled(build_wheel(toy, **env)[0].stdout)

    assert after("net/fast.pyx", "WHO = 'changed'", **quick) == {"net/fast"}
    assert after("net/plain.py", "COMPILED = None", **quick) == set()
    assert after("core/fast.h", "static inline int times(int n) { return 7 * n; }", **quick) == {"core/fast", "net/user"}
    assert after("core/fast.h", "static inline int times(int n) { return 7 * n; }", **quick) == set()  # touched
    assert after("net/plain.py", "", CFLAGS="-O1") == everything
    install(toy, tmp_path / "target", CFLAGS="-O1")
    code = "from cede.net import fast, user; from cede.core.fast import Fast; print(fast.WHO, user.go(Fast()))"
    assert ask(tmp_path / "target", code) == "changed (14, 28)"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("core/fast.py", "class Fast:\n    def go(self, n):\n        return no_such_name_in_c(n)\n", "fast.py"),
        ("core/fast.h", "static inline int times(int n) { return 3 * ; }", "fast.h"),
    ],
)
def test_an_error_of_our_own_fails_the_build_loudly(toy: Path, file: str, text: str, said: str) -> None:
    (toy / "src/cede" / file).write_text(text)
    if file.endswith(".py"):
        pxd = toy / "src/cede/core/fast.pxd"
        pxd.write_text(pxd.read_text() + "    cdef int broken(self, NoSuchType x)\n")
    done, wheel = build_wheel(toy, CFLAGS="-O0")
    assert wheel is None
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_the_users_compiler_flags_come_last(toy: Path) -> None:
    done, wheel = build_wheel(toy, CFLAGS="-O0 -DFROM_THE_USER=1")
    assert wheel is not None, done.stderr
    assert "-DFROM" in done.stdout, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if "fast.c" in line and "-c " in line)
    assert line.rstrip().endswith("-O0 -DFROM_THE_USER=1")


# --- an uncompiled one says so ---------------------------------------------------------------------------------------------------

USES = {
    "cede run": ("cede", "run", "-c", PROGRAM),
    "cede.run": "cede.run(asyncio.sleep(0))",
    "Runner": "with cede.Runner() as runner:\n    runner.run(asyncio.sleep(0))",
    "asyncio.Runner": "with asyncio.Runner(loop_factory=cede.new_event_loop) as runner:\n    runner.run(asyncio.sleep(0))",
    "accelerate": "cede.accelerate()",
    "install": "from cede.runner.install import install\ninstall(cede.new_event_loop)\nasyncio.run(asyncio.sleep(0))",
    "new_event_loop": "cede.new_event_loop().close()",
    "EventLoop": "cede.EventLoop().close()",
    "all of them": "cede.accelerate()\nfor _ in range(3):\n    cede.run(asyncio.sleep(0))\n    cede.new_event_loop().close()\n"
    "import threading\nthreads = [threading.Thread(target=cede.run, args=(asyncio.sleep(0),)) for _ in range(3)]\n"
    "for thread in threads:\n    thread.start()\nfor thread in threads:\n    thread.join()",
    "children by fork": "import os\ncede.run(asyncio.sleep(0))\nif not os.fork():\n    cede.run(asyncio.sleep(0))\n    os._exit(0)\n"
    "os.wait()",
}


@pytest.fixture(scope="module")
def uncompiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An install that somebody wanted compiled."""
    folder = tmp_path_factory.mktemp("uncompiled")
    install(copy_project(folder / "project"), folder / "target", CC="/nonexistent/cc")
    return folder / "target"


def use(target: Path, how: str, **env: str) -> str:
    """What it says on standard error."""
    told = USES[how]
    words = ["-m", *told] if isinstance(told, tuple) else ["-c", f"import asyncio, cede\n{told}"]
    environ = environment(PYTHONPATH=str(target), **env)
    done = subprocess.run([sys.executable, *words], cwd=target, env=environ, capture_output=True, text=True, timeout=60, check=True)
    return done.stderr


@pytest.mark.parametrize("how", USES)
def test_it_says_so_once_however_it_is_used(uncompiled: Path, how: str) -> None:
    said = use(uncompiled, how)
    assert said.count("\n") == 1
    assert said.startswith("cede: running uncompiled, and slower (no C compiler: '/nonexistent/cc' was not found): install a C compiler")


def test_it_can_be_silenced(uncompiled: Path) -> None:
    assert use(uncompiled, "all of them", CEDE_QUIET="1") == ""


def test_an_import_alone_says_nothing(uncompiled: Path) -> None:
    environ = environment(PYTHONPATH=str(uncompiled))
    done = subprocess.run([sys.executable, "-c", "import cede"], env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


def test_it_runs_out_of_an_archive(uncompiled: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", root_dir=uncompiled)
    code = "import asyncio, cede; print(cede.run(asyncio.sleep(0, 5)))"
    environ = environment(PYTHONPATH=packed)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
    assert done.stderr.startswith("cede: running uncompiled, and slower (no C compiler")  # as the record inside says


def test_tools_that_collect_imports_see_the_shared_objects() -> None:
    """PyInstaller and its like read statements; the objects are imported by name."""
    objects = set(re.findall(r'"cede\.(_compiled\w*)"', (ROOT / "setup.py").read_text()))
    assert len(objects) == 3
    said = next(line for line in (ROOT / "src/cede/runner/loading.py").read_text().splitlines() if "from cede import" in line)
    assert objects == set(re.findall(r"_compiled\w*", said))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, "(run from the source tree, not installed): install cede"),
        ({"mode": "compiled", "reason": ""}, "(its compiled modules are not for Python "),
        ({"mode": "pure", "reason": "asked for with CEDE_PURE=1"}, ""),
    ],
)
def test_the_reason_is_told(uncompiled: Path, tmp_path: Path, record: dict[str, str] | None, said: str) -> None:
    shutil.copytree(uncompiled, tmp_path / "target")
    told = tmp_path / "target" / "cede" / "_build.json"
    told.unlink() if record is None else told.write_text(json.dumps(record))
    found = use(tmp_path / "target", "cede.run")
    assert found.count("\n") == bool(said)
    assert said in found
