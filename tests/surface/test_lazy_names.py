"""Public names are imported when they are asked for, and nobody who looks at `cede` can tell."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import cede
from cede import _names
from cede.core.scheduler.kernel import COMPILED

EVERYTHING = """
import importlib, pkgutil, cede
for name in cede.__all__:
    getattr(cede, name)
missing = []
for module in pkgutil.walk_packages(cede.__path__, "cede."):
    if not module.name.startswith(("cede.cli", "cede.core.pure", "cede.__main__")):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing.append(error.name)
assert not [name for name in missing if name.startswith("cede")], missing
"""


def tell(program: str, *, before: str = "") -> Any:
    """What a fresh interpreter prints, as JSON."""
    code = before + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- the table -----------------------------------------------------------------------------------------------------------------


def told_to_type_checkers() -> dict[str, str]:
    """name -> module, as the source says."""
    path = Path(cede.__file__)
    found = {}
    for block in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    for alias in statement.names:
                        assert alias.asname == alias.name, alias.name  # else mypy does not take it for public
                        found[alias.name] = str(statement.module)
    return found


def test_type_checkers_are_told_the_same() -> None:
    told = told_to_type_checkers()
    ours = {name: f"cede.{module}" for name, module in _names.HOMES.items()}
    ours |= {name: f"cede.{module.rpartition('.')[0]}" for name, module in _names.MODULES.items()}
    del ours["cluster"]  # imported at once
    ours |= dict.fromkeys(("Queue", "PriorityQueue", "LifoQueue"), "cede.sync.queue_types")  # generic
    assert told == ours
    assert {*_names.HOMES, *_names.MODULES, *_names.ALIASES, "__version__"} | set(cede._stock.__all__) == {*cede.__all__, "aiter", "map"}


@pytest.mark.parametrize("name", sorted(_names.HOMES))
def test_a_name_lives_where_the_table_says(name: str) -> None:
    home = import_module(f"cede.{_names.HOMES[name]}")
    assert getattr(cede, name) is vars(home)[name]
    if isinstance(getattr(cede, name), type) and name not in ("BrokenBarrierError", "QueueEmpty", "QueueFull", "QueueShutDown"):
        assert getattr(cede, name).__module__ in (home.__name__, "asyncio.graph")


# --- what an import loads --------------------------------------------------------------------------------------------------------


def test_an_import_loads_no_part_of_the_loop() -> None:
    rooms = "{name.split('.')[1] for name in sys.modules if name.startswith('cede.') and name.count('.') > 1}"
    loaded = set(tell(f"import json, sys, cede; print(json.dumps(sorted({rooms})))"))
    assert loaded <= {"core", "runner", "cluster"}
    assert not tell("import json, sys, cede; print(json.dumps([name for name in sys.modules if name.startswith('cede.core.scheduler.')]))")


ENTERED_BY_A_CALL = ("net.server.server", "net.datagram.transport", "net.pipe.read_pipe", "process.transport", "net.tls.transport")


def test_a_loop_loads_no_room_that_nobody_has_entered() -> None:
    program = f"""
        import asyncio, json, sys
        import cede
        cede.run(asyncio.sleep(0))
        print(json.dumps([room for room in {ENTERED_BY_A_CALL} if f"cede.{{room}}" in sys.modules]))
    """
    assert tell(program) == []


def test_a_server_with_tls_has_all_it_needs_before_it_accepts() -> None:
    """At the first connection there may be no descriptor left to read a module with."""
    program = """
        import asyncio, json, ssl, sys
        import cede
        async def main():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
            server.close()
            return "cede.net.tls.transport" in sys.modules
        print(json.dumps(cede.run(main())))
    """
    assert tell(program) is True


# --- how names are looked at -----------------------------------------------------------------------------------------------------


def test_dir_and_star_know_all_names() -> None:
    program = """
        import json
        import cede
        listed = dir(cede)
        namespace = {}
        exec("from cede import *", namespace)
        print(json.dumps([sorted(set(cede.__all__) - set(listed)), sorted(set(cede.__all__) - set(namespace))]))
    """
    assert tell(program) == [[], []]


@pytest.mark.parametrize("first", ["", "import cede.cluster.errors", "import cede; cede.ClusterLost", "from cede.cluster import entry"])
def test_cluster_is_the_function_whatever_is_imported_first(first: str) -> None:
    assert tell("import json, cede; print(json.dumps(type(cede.cluster).__name__))", before=f"{first}\n") == "function"


@pytest.mark.parametrize("room", sorted(_names.ROOMS))
def test_a_room_is_ours_whether_it_is_loaded_or_not(room: str) -> None:
    assert tell(f"import json, cede; print(json.dumps(cede.{room}.__name__))") == f"cede.{room}"


def test_a_name_that_is_set_stays_set() -> None:
    """As tests replace it: with a module that holds each name from the start nothing else could happen."""
    program = """
        import json
        from unittest import mock
        import cede
        with mock.patch("cede.sleep", 1):
            inside = cede.sleep
        print(json.dumps([inside, callable(cede.sleep)]))
    """
    assert tell(program) == [1, True]


def test_threads_that_ask_at_once_get_the_same() -> None:
    program = """
        import json, threading
        import cede
        names, found = sorted(cede.__all__), []
        barrier = threading.Barrier(4)
        def ask(turn):
            barrier.wait()
            found.append({name: id(getattr(cede, name)) for name in (names if turn % 2 else names[::-1])})
        threads = [threading.Thread(target=ask, args=(turn,)) for turn in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(json.dumps(len(found) == 4 and all(each == found[0] for each in found)))
    """
    assert tell(program) is True


# --- compiled classes are sealed as they are loaded ------------------------------------------------------------------------------

compiled = pytest.mark.skipif(not COMPILED, reason="says something only about compiled classes")


@compiled
def test_the_list_of_open_bases_is_what_there_is() -> None:
    program = """
        import json
        from cede.runner import sealing
        bases = [sealing.full_name(kind) for kind in sealing.compiled_classes() if not sealing.is_public(kind)
                 and any(heir.__flags__ & sealing.HEAP_TYPE for heir in kind.__subclasses__())]
        print(json.dumps([sorted(bases), missing]))
    """
    found, missing = tell(program, before=EVERYTHING)
    from cede.runner.sealing import BASES

    assert set(found) == BASES if "greenlet" not in missing else set(found) <= BASES


@compiled
@pytest.mark.parametrize("first", ["import cede.tasks.wait_for", "import cede; cede.wait_for", "from cede.tasks import wait_for"])
def test_a_class_is_sealed_when_its_module_is_loaded(first: str) -> None:
    program = """
        import json
        from cede.tasks.wait_for import WaitFor
        print(json.dumps("__new__" in vars(WaitFor)))
    """
    assert tell(program, before=f"{first}\n") is False


@compiled
def test_everything_compiled_is_sealed_or_public_or_a_base() -> None:
    program = """
        import json
        from cede.runner import sealing
        print(json.dumps([sealing.full_name(kind) for kind in sealing.compiled_classes()
                          if "__new__" in vars(kind) and not sealing.is_public(kind) and sealing.full_name(kind) not in sealing.BASES]))
    """
    assert tell(program, before=EVERYTHING) == []
