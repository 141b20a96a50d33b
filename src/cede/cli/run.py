"""`cede run`: a program becomes the __main__ of this process, as if `python` had been given it, with asyncio on cede.

runpy is not used: its public functions run the code in a module that vanishes when the code ends, which breaks pickling, multiprocessing,
atexit handlers and threads that outlive it, and it puts its own frames into each traceback.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import linecache
import os
import pkgutil
import sys
import textwrap
import warnings
from importlib.machinery import BuiltinImporter, ModuleSpec, PathFinder, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType
from typing import NoReturn

from cede.cli import children, servers, tracebacks


def run(
    kind: str,
    target: str,
    args: list[str],
    *,
    debug: bool = False,
    driver: str | None = None,
    fair: str | None = None,
    stock: bool = False,
    alone: bool = False,
) -> int:
    """Runs a program as __main__ and returns 0, unless the program ends with an exception, which then passes through.

    kind -- "script", "-m" or "-c"
    target -- the path ("-" for stdin), the module or the code
    args -- sys.argv[1:] of the program
    debug, driver, fair -- for the event loops that asyncio makes in this process
    stock -- leave asyncio's names as they are, and put its loops on cede alone
    alone -- leave Python children of the program as they are
    """
    prepare_asyncio(debug, driver, fair, stock, alone)
    try:
        code, main = find(kind, target, args)
        # Until here `__main__` was the `cede` command; the frames that are still running keep what they need of it.
        sys.modules["__main__"] = main
        exec(code, main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        tracebacks.report_once(error, __name__, whole=debug)
        raise
    return 0


def prepare_asyncio(debug: bool, driver: str | None, fair: str | None, stock: bool, alone: bool) -> None:
    """Puts asyncio on cede, in this process and its children. The options go through the environment, where a loop that the program makes
    with cede's own functions finds them too, and so do Python children."""
    import cede

    if debug:
        if sys.flags.ignore_environment:
            fail("--debug works through PYTHONASYNCIODEBUG, which this Python was told to ignore (-E or -I): use -X dev instead")
        os.environ["PYTHONASYNCIODEBUG"] = "1"
    if driver is not None:
        os.environ["CEDE_DRIVER"] = driver
    if fair is not None:
        os.environ["CEDE_FAIR"] = fair
    if driver is not None or fair is not None:
        try:
            cede.new_event_loop().close()  # what cannot be had is told now, not in the middle of the program
        except (OSError, RuntimeError, ValueError) as error:
            fail(str(error))
    cede.accelerate(names=not stock)
    servers.adapt()
    if alone:
        children.withhold()
    else:
        children.hand_down(names=not stock)


def fail(message: str, status: int = 2) -> NoReturn:
    print(f"cede run: {message}", file=sys.stderr)
    raise SystemExit(status)


def find(kind: str, target: str, args: list[str]) -> tuple[CodeType, ModuleType]:
    """The program's code and the module it is to run in; sets sys.argv and sys.path as python would by then."""
    if kind == "-c":
        sys.argv = ["-c", *args]
        set_first_path("")
        if sys.version_info >= (3, 14):
            target = textwrap.dedent(target)
        return compile_text(target, "<string>"), new_main(None)
    if kind == "-m":
        sys.argv = ["-m", *args]
        set_first_path(os.getcwd())
        return find_module(target)
    sys.argv = [target, *args]
    if target == "-":
        set_first_path("")
        main = new_main(None)
        set_file(main, "<stdin>", None)
        return compile_text(sys.stdin.buffer.read(), "<stdin>"), main
    return find_script(target)


def find_script(path: str) -> tuple[CodeType, ModuleType]:
    absolute = os.path.abspath(path)
    if pkgutil.get_importer(absolute) is not None:
        # A directory or an archive: its __main__ module is the program, and it is searched first even with python -P.
        if sys.flags.safe_path:
            sys.path.insert(0, absolute)
        set_first_path(absolute)
        return find_module("__main__", within=absolute)
    try:
        with io.open_code(absolute) as file:
            source = file.read()
    except OSError as error:
        fail(f"can't open file {absolute!r}: [Errno {error.errno}] {error.strerror}")
    set_first_path(os.path.dirname(os.path.realpath(absolute)))
    loader: SourcelessFileLoader | SourceFileLoader
    code: CodeType | None
    if path.endswith(".pyc"):
        loader = SourcelessFileLoader("__main__", absolute)
        code = loader.get_code("__main__")
        assert code is not None  # the loader raises ImportError for a file that holds none
    else:
        loader = SourceFileLoader("__main__", absolute)
        code = compile(source, absolute, "exec", dont_inherit=True)
    main = new_main(loader)
    set_file(main, absolute, None)
    return code, main


def find_module(name: str, within: str = "") -> tuple[CodeType, ModuleType]:
    """A module as `python -m name` finds it; within: only in that folder or archive.

    Where there is none the process ends with status 1, as with python.
    """
    spec = find_spec(name, within)
    if spec is not None and spec.submodule_search_locations is not None and not within:
        if name.endswith("__main__"):
            fail(f"cannot use package as __main__ module: {name}", 1)
        inner = find_spec(name + ".__main__")
        if inner is None:
            fail(f"No module named {name}.__main__; {name!r} is a package and cannot be directly executed", 1)
        spec = inner
    if spec is None:
        fail(f"can't find '__main__' module in {within!r}" if within else f"No module named {name}", 1)
    get_code = getattr(spec.loader, "get_code", None)
    code: CodeType | None = None if get_code is None else get_code(spec.name)
    if code is None:
        fail(f"No code object available for {spec.name}", 1)
    main = new_main(spec.loader)
    main.__spec__ = spec
    main.__package__ = spec.parent
    if spec.has_location and spec.origin is not None:
        set_file(main, spec.origin, spec.cached)
        if not within:
            sys.argv[0] = spec.origin
    return code, main


def find_spec(name: str, within: str = "") -> ModuleSpec | None:
    if within:
        return PathFinder.find_spec(name, [within])
    if name.startswith("."):
        fail(f"{name}: a relative module name cannot be run", 1)
    package = name.rpartition(".")[0]
    if package:
        try:
            __import__(package)
        except ModuleNotFoundError as error:
            if error.name is None or (error.name != package and not package.startswith(error.name + ".")):
                raise  # the package is there; what it imports is not
            fail(f"No module named {error.name} (looking for {name})", 1)
        if name in sys.modules:
            warnings.warn(
                f"{name!r} was imported by its package {package!r} already, and now runs a second time as __main__: it will exist twice",
                RuntimeWarning,
                stacklevel=2,
            )
    try:
        return importlib.util.find_spec(name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        fail(f"error while looking for module {name!r} ({type(error).__name__}: {error})", 1)


def new_main(loader: object) -> ModuleType:
    main = ModuleType("__main__")
    main.__loader__ = BuiltinImporter if loader is None else loader  # type: ignore[assignment]
    main.__dict__["__builtins__"] = builtins
    if sys.version_info < (3, 14):
        main.__dict__["__annotations__"] = {}  # noqa: RUF063 - made here, not looked at
    return main


def set_file(main: ModuleType, path: str, cached: str | None) -> None:
    main.__file__ = path
    if sys.version_info < (3, 15):
        main.__dict__["__cached__"] = cached


def set_first_path(path: str) -> None:
    """Puts the program's folder where the folder of the `cede` command is now; with python -P neither is there."""
    if not sys.flags.safe_path:
        sys.path[0] = path


def compile_text(source: str | bytes, name: str) -> CodeType:
    if sys.version_info >= (3, 13) and isinstance(source, str):
        # Since then tracebacks show the lines of -c too. An entry without a time is never checked against a file.
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    return compile(source, name, "exec", dont_inherit=True)
