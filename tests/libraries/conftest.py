"""What the tests of libraries share: loops that report, real services, and a ban on descriptors left behind."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cede

# Under `cede run` the libraries have found cede's objects under asyncio's names since they were imported. Then only what runs in this
# process on cede's loop is asked again: programs that a test starts are what they were, and asyncio's loop is an oracle with its own.
NAMES_ARE_OURS = asyncio.Queue is cede.Queue

PATIENCE = 30.0  # seconds after which what has not happened is taken not to happen


def sockets_and_pipes() -> dict[str, str]:
    """What this process has open, descriptor by descriptor."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # that of the listing itself
            continue
        if target.startswith(("socket:", "pipe:", "anon_inode:")):
            found[number] = target
    return found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if NAMES_ARE_OURS:
        asked = [item for item in items if loop_of(item) == "cede"]
        config.hook.pytest_deselected(items=[item for item in items if loop_of(item) != "cede"])
        items[:] = asked


def pytest_report_header(config: pytest.Config) -> str:
    return f"asyncio's names: {'cede' if NAMES_ARE_OURS else 'asyncio'}'s"


def loop_of(item: pytest.Item) -> str | None:
    """Which loop the test is run on in this process; None where it does not ask for one."""
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get("loop_factory")


@pytest.fixture
def run(loop_factory: Any, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """run(main): runs main() to its end on a loop of its own and returns its result.

    Whatever the loop's exception handler is told fails the test, and so does a descriptor that is still open afterwards.
    """

    def run_main(main: Callable[[], Any], *, debug: bool | None = None, left_open: int = 0) -> Any:
        reports: list[Any] = []

        async def watched() -> Any:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, cede.EventLoop) is ("cede" in request.node.callspec.id)
            loop.set_exception_handler(lambda _, context: reports.append(context))
            async with asyncio.timeout(PATIENCE):
                return await main()

        gc.collect()
        before = sockets_and_pipes()
        with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
            result = runner.run(watched())
        gc.collect()
        assert not reports, reports
        left = {number: target for number, target in sockets_and_pipes().items() if before.get(number) != target}
        assert len(left) <= left_open, left
        return result

    return run_main


def address_of(variable: str, name: str) -> str:
    address = os.environ.get(variable)
    if not address:
        pytest.skip(f"needs {name}: `make test-services` starts one (or name a running one in {variable})")
    return address


@contextlib.contextmanager
def alone_with(address: str) -> Iterator[str]:
    """Keeps the service at the address for one test at a time, whichever process the others run in.

    Tests use the same names for what a server holds (a channel "news", a table "things"), and some end each connection of others: beside
    one another they would take each other's messages for their own.
    """
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"cede-tests-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield address
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # a process forked meanwhile may keep the file open


@pytest.fixture
def redis_url() -> Iterator[str]:
    """Where a Redis answers that this test may fill and flush; no other test uses it meanwhile."""
    with alone_with(address_of("CEDE_TEST_REDIS", "Redis")) as address:
        yield address


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """Where a PostgreSQL answers in whose database this test may do as it pleases; no other test uses it meanwhile."""
    with alone_with(address_of("CEDE_TEST_POSTGRES", "PostgreSQL")) as address:
        yield address
