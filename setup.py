"""Builds cede: which modules become C, and what happens where there is no C compiler.

A module is compiled when a `.pxd` of the same name lies beside its `.py`; a `.pyx` always is. Nothing is listed by hand. What is
compiled is linked into a few shared objects (`OBJECTS`), which `cede.runner.loading` takes the modules from.
`CEDE_PURE=1` asks for the plain Python install. Without a C compiler the plain install is made as well. Which of these happened is
written into the installed package as `_build.json`, and `cede info` tells it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
os.chdir(ROOT)  # every path below, and those inside the generated C, are relative to the project
SRC = Path("src")
GENERATED_C = Path("build/cython")
INCLUDE_DIRS = sorted({str(path.parent) for path in SRC.rglob("*.h")})
MAIN_OBJECT = "cede._compiled"
OBJECTS = {"cede._compiled_tls": "cede.net.tls.", "cede._compiled_extras": "cede.stackful."}  # the rest is in the main one
LINUX_ONLY = "cede.drivers.epoll."  # how their names begin
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # annotations are for the type checker; C types live in the .pxd
    "binding": False,
    "boundscheck": True,  # what user code may have emptied meanwhile is an IndexError
    "wraparound": False,
    "initializedcheck": False,
    "nonecheck": True,  # what is not there is an AttributeError; in `core`, each module that does without the two says so in its first line
    "cdivision": True,
    "embedsignature": False,
    "auto_pickle": False,  # what holds C fields cannot be rebuilt from a state that anybody may hand in
    "unraisable_tracebacks": False,  # Cython would print such an error twice, and end the process where it is a SystemExit
}


def find_sources() -> dict[str, Path]:
    """Module name -> file, for everything that is to be compiled on this platform."""
    found = list(SRC.rglob("*.pyx"))
    # An `__init__.pxd` only marks a package that can be cimported from.
    found += [py for py in SRC.rglob("*.py") if py.stem != "__init__" and py.with_suffix(".pxd").exists()]
    named = {".".join(path.relative_to(SRC).with_suffix("").parts): path for path in found}
    if not sys.platform.startswith("linux"):
        named = {name: path for name, path in named.items() if not name.startswith(LINUX_ONLY)}
    return dict(sorted(named.items()))


def missing_for_c() -> str:
    """What keeps us from compiling C for this Python here, in one line; "" when nothing does.

    A real file is compiled, because a compiler that is on the path can still lack the Python headers or a C library.
    """
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(command[0]) is None:
        return f"no C compiler: {command[0]!r} was not found"
    include = {sysconfig.get_path("include"), sysconfig.get_path("platinclude")}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "probe.c")
        source.write_text("#include <stdio.h>\n#include <Python.h>\nint probe(void) { return 0; }\n")
        command += [*(f"-I{path}" for path in include), "-c", str(source), "-o", str(Path(scratch, "probe.o"))]
        try:
            probe = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            return f"no C compiler: {command[0]!r} cannot be started ({error.strerror})"
        if probe.returncode == 0:
            return ""
        if "Python.h" in probe.stderr:
            return "no Python headers: Python.h was not found (install the python3-dev package of this Python)"
        first = next((line for line in probe.stderr.splitlines() if "error" in line), f"exit status {probe.returncode}")
        return f"no working C compiler: {first.strip()}"


def choose_mode() -> tuple[str, str]:
    """(mode, reason): "compiled", "pure" (wanted, or nothing to compile) or "pure-no-compiler"."""
    if os.environ.get("CEDE_PURE", "") not in ("", "0"):
        return "pure", "asked for with CEDE_PURE=1"
    if sys.implementation.name != "cpython":
        return "pure", f"the extensions are for CPython, this is {platform.python_implementation()}"
    if not find_sources():
        return "pure", "nothing to compile"
    reason = missing_for_c()
    return ("pure-no-compiler", reason) if reason else ("compiled", "")


def one_build_at_a_time() -> object:
    """Holds the build folder for as long as the returned object lives, so that two installs cannot mix their files."""
    try:
        import fcntl
    except ModuleNotFoundError:
        return None
    Path("build").mkdir(exist_ok=True)
    lock = open("build/.lock", "w")  # noqa: SIM115 - the process ends with it
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


# Cython translates in worker processes, which import this file again where Python starts them afresh (the default from 3.14 on): they must
# neither wait for the lock that their parent holds, nor build anything.
BUILDING = __name__ == "__main__"
MODE, REASON = choose_mode() if BUILDING else ("worker", "")
LOCK = one_build_at_a_time() if BUILDING else None


class BuildPython(build_py):
    """Copies the Python files, drops what an earlier build left behind, and writes down how this one was made."""

    def run(self) -> None:
        if not self.editable_mode:
            self.drop_stale()
        super().run()
        if not self.editable_mode:
            record = Path(self.build_lib, "cede", "_build.json")
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps({"mode": MODE, "reason": REASON}) + "\n")
        if MODE == "pure-no-compiler":
            self.warn(f"cede is installed uncompiled, and slower: {REASON}")

    def drop_stale(self) -> None:
        # build_lib survives from build to build, which makes rebuilds quick; a module deleted since, or an extension whose .pxd
        # is gone, would otherwise be installed for ever, and shadow the Python file of its name.
        wanted = {Path(path).resolve() for path in self.get_outputs(include_bytecode=False)}
        extensions = self.get_finalized_command("build_ext")
        wanted |= {Path(extensions.get_ext_fullpath(ext.name)).resolve() for ext in self.distribution.ext_modules or []}
        for path in Path(self.build_lib, "cede").rglob("*"):
            if path.is_file() and path.resolve() not in wanted:
                path.unlink()


class BuildExtensions(build_ext):
    """Turns the modules into C, compiles each file that is new, several at a time, and links what belongs together."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count() or 1

    def run(self) -> None:
        # Only here, when something is really built: pip asks for metadata several times before that.
        if self.extensions:
            generated = generate(find_sources())
            for ext in self.extensions:
                inside = {name: path for name, path in generated.items() if object_of(name) == ext.name}
                elsewhere = {name: object_of(name) for name in generated if object_of(name) != ext.name} if ext.name == MAIN_OBJECT else {}
                ext.sources = [*inside.values(), write_table(ext.name, list(inside), elsewhere)]
                ext.py_limited_api = False
        super().run()

    def build_extension(self, ext: Extension) -> None:
        # setuptools would compile every file again when one has changed, one after the other: it only links what is compiled here.
        names = {path: name for name, path in GENERATED.items()}
        with ThreadPoolExecutor(self.parallel) as pool:
            ext.extra_objects = list(pool.map(lambda source: self.compile_file(source, names.get(source), ext), sorted(ext.sources)))
        ext.sources, ext.depends = [], list(ext.extra_objects)
        super().build_extension(ext)

    def compile_file(self, source: str, module: str | None, ext: Extension) -> str:
        """The object file of one C file, from the last build where nothing that went into it has changed."""
        [built] = self.compiler.object_filenames([source], output_dir=self.build_temp)
        record = Path(built).with_suffix(".json")
        headers = Path(built).with_suffix(".d")
        # Two modules in one object may have the same last name.
        macros = [("CYTHON_NO_PYINIT_EXPORT", "1"), (f"PyInit_{module.rpartition('.')[2]}", init_name(module))] if module else []
        compiler = getattr(self.compiler, "compiler_so", ())
        command = [*compiler, *map(str, macros), *ext.include_dirs, *ext.extra_compile_args, sys.version, source]
        try:
            if Path(built).exists() and json.loads(record.read_text()) == [command, *inputs(source, headers)]:
                return built
        except (OSError, ValueError):
            pass  # never built, or not to its end
        record.unlink(missing_ok=True)
        headers.unlink(missing_ok=True)
        self.compiler.compile(
            [source],
            output_dir=self.build_temp,
            macros=macros,
            include_dirs=ext.include_dirs,
            debug=self.debug,
            extra_preargs=["-MMD", "-MF", str(headers)] if self.compiler.compiler_type == "unix" else [],
            extra_postargs=ext.extra_compile_args,
        )
        record.write_text(json.dumps([command, *inputs(source, headers)]))
        return built


def inputs(source: str, headers: Path) -> list[dict[str, str]]:
    """The files that an object file is made of, and what was in them: as the compiler has listed them, or else every header there is."""
    if headers.exists():
        listed = shlex.split(headers.read_text().replace("\\\n", " "))[1:]
    else:
        listed = [source, *map(str, sorted(SRC.rglob("*.h")))]
    return [{path: digest(path) for path in listed}]


@cache
def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


GENERATED: dict[str, str] = {}  # module -> its C file, in this build


def generate(sources: dict[str, Path]) -> dict[str, str]:
    """The modules as C."""
    from Cython.Build import cythonize

    # Cython looks at the sources alone: what was generated with other directives would stay.
    stamp = GENERATED_C / "directives.json"
    directives = json.dumps(DIRECTIVES)
    generated = cythonize(
        [Extension(name, [str(path)], include_dirs=INCLUDE_DIRS) for name, path in sources.items()],
        build_dir=str(GENERATED_C),
        include_path=[str(SRC)],
        compiler_directives=DIRECTIVES,
        force=not stamp.exists() or stamp.read_text() != directives,
        nthreads=min(os.cpu_count() or 1, len(sources)),
    )
    stamp.write_text(directives)
    for extension in generated:
        [GENERATED[extension.name]] = extension.sources
        bear_missing_tracebacks(Path(GENERATED[extension.name]))
    return GENERATED


def object_of(module: str) -> str:
    """The shared object that a module is linked into."""
    return next((name for name, prefix in OBJECTS.items() if module.startswith(prefix)), MAIN_OBJECT)


def init_name(module: str) -> str:
    return "cede_init_" + module.replace("_", "_1").replace(".", "_0")


def write_table(name: str, modules: list[str], elsewhere: dict[str, str]) -> str:
    """The C file by which a shared object knows what is in it, and the main one what is in the others. See core/native/modules.h."""
    lines = ["#include <Python.h>"]
    lines += [f"PyObject *{init_name(module)}(void);" for module in modules]
    lines += ["#define CEDE_MODULES " + " ".join(f'{{"{module}", {init_name(module)}}},' for module in modules)]
    lines += ["#define CEDE_ELSEWHERE " + " ".join(f'{{"{module}", "{place}"}},' for module, place in elsewhere.items())]
    lines += [f"#define CEDE_OBJECT {name.rpartition('.')[2]}", '#include "modules.h"', ""]
    path = GENERATED_C / f"{name}.c"
    if not path.exists() or path.read_text() != "\n".join(lines):
        path.write_text("\n".join(lines))
    return str(path)


def bear_missing_tracebacks(generated: Path) -> None:
    """Mends the handlers in a C file of Cython's: where no traceback could be made, for want of memory, they end without a crash.

    A handler takes three references, the class, the exception and the traceback, and the last of them is NULL then. Cython (3.3.1) drops
    it as an object where the handler returns, and makes it one of three arguments where it is the end of a `with`.
    docs/upstream/cython-missing-traceback.md is the report, with a program that shows it.
    """
    text = generated.read_text(encoding="utf-8")
    functions = re.split(r"(?m)^(?=\}$)", text)
    for at, function in enumerate(functions):
        for name in set(re.findall(r"__Pyx_GetException\(&\w+, &\w+, &(\w+)\)", function)):
            mended = functions[at].replace(f"__Pyx_DECREF({name}); {name} = 0;", f"__Pyx_XDECREF({name}); {name} = 0;")
            functions[at] = re.sub(rf"(__pyx_temp\[3\] = {{\w+, \w+, ){name}}}", rf"\1{name} ? {name} : Py_None}}", mended)
    if (whole := "".join(functions)) != text:
        generated.write_text(whole, encoding="utf-8")


def include_first() -> list[str]:
    """What each generated file includes before anything else: tracebacks then name the files that are installed."""
    header = SRC / "cede/core/native/prelude.h"
    return ["-include", str(header)] if header.exists() else []


def extensions() -> list[Extension]:
    # The user's CFLAGS are repeated at the end, so that they win over ours.
    flags = [*include_first(), "-O2", "-g0", "-fvisibility=hidden", *shlex.split(os.environ.get("CFLAGS", ""))]
    return [
        Extension(name, [], include_dirs=INCLUDE_DIRS, extra_compile_args=flags)
        for name in (MAIN_OBJECT, *OBJECTS)
        if any(object_of(module) == name for module in find_sources())
    ]


if BUILDING:
    setup(
        ext_modules=extensions() if MODE == "compiled" else [],
        cmdclass={"build_py": BuildPython, "build_ext": BuildExtensions},
    )
