"""A test module that needs pytest: AnyIO's, with the loop in asyncio's place."""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path
from typing import Any

import pytest

from . import inject, journal, loops
from .worker import Unit


class PytestUnit(Unit):
    """Runs the module in the current folder's ``tests`` and listens to what pytest tells."""

    def run(self) -> None:
        inject.install(self.subject)
        if self.subject == loops.OURS:
            spare_the_wait_for_exec()
        give_time_to_start()
        # As under `python -m pytest`: AnyIO's worker processes import the main module again.
        sys.modules["__main__"].__file__ = str(Path(pytest.__file__).with_name("__main__.py"))
        self.outcomes: dict[str, tuple[str, str]] = {}
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", f"tests/{self.module.replace('.', '/')}.py"]
        code = pytest.main(options, plugins=[self])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            raise SystemExit(f"pytest ended with {code!r}")
        self.tell_unmatched()

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        # The loop is in asyncio's place: what is asked of Trio, and of uvloop where that is installed, says nothing about it.
        ours = [item for item in items if not {"trio", "asyncio+uvloop"} & backends(item)]
        for item in ours:
            self.book.find(self.named(item.nodeid))
        items[:] = [item for item in ours if self.wanted(self.named(item.nodeid))]

    def named(self, nodeid: str) -> str:
        return f"{self.module}.{'.'.join(nodeid.split('::')[1:])}"

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.outcomes[nodeid] = (journal.PASSED, "")
        self.log.begin(self.named(nodeid))
        faulthandler.dump_traceback_later(self.seconds, exit=True)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.outcomes[report.nodeid] = (journal.FAILED, report.longreprtext)
        elif report.skipped and self.outcomes[report.nodeid][0] == journal.PASSED:
            self.outcomes[report.nodeid] = (journal.SKIPPED, str(report.longrepr))

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.end(self.named(nodeid), *self.outcomes.pop(nodeid))


def backends(item: Any) -> set[str]:
    """What the parameters of that test are called, as far as they can be names of a backend."""
    call = getattr(item, "callspec", None)
    return set() if call is None else {str(name) for name in call._idlist}


def give_time_to_start() -> None:
    """Some tests start another pytest and give it three seconds, plugins and all: a busy machine needs more, and a hang still is one."""
    from _pytest.pytester import Pytester

    begin = Pytester.run

    def run(self: Any, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        return begin(self, *args, timeout=timeout and 10 * timeout, **kwargs)

    Pytester.run = run  # type: ignore[method-assign]


def spare_the_wait_for_exec() -> None:
    """AnyIO's suite runs under blockbuster, which raises from calls that block, and lets subprocess.Popen wait for its child's exec where
    asyncio's loop starts it, by the name of that file. Have it know the place where ours does.
    """
    try:
        from blockbuster.blockbuster import BlockBuster
    except ModuleNotFoundError:
        return
    begin = BlockBuster.__init__

    def begin_and_spare(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.functions["os.read"].can_block_in("cede/loop/subprocesses.py", {"subprocess_exec", "subprocess_shell"})

    BlockBuster.__init__ = begin_and_spare
