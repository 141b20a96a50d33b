"""What all tests share: loops of both kinds, a seed that is told, and a look at what a test leaves behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
SEED = "CEDE_TEST_SEED"


def pytest_configure(config: pytest.Config) -> None:
    # The same seed each time, so that a red run is red again; CEDE_TEST_SEED=random draws another. Worker processes inherit the variable.
    if os.environ.setdefault(SEED, "1") == "random":
        os.environ[SEED] = str(random.SystemRandom().randrange(2**32))
    # A shell starts a job in the background with SIGINT ignored, some runners start everything so, and child processes inherit it.
    # Tests that interrupt a program mean what Python does by itself.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config: pytest.Config) -> str:
    return f"random seed: {SEED}={os.environ[SEED]}"


THAW = 500  # tests between two collections that look at everything
begun = itertools.count()


def settle_heap() -> None:
    """Collect what the last test and its fixtures left, and have the rest (imported modules, pytest's items and reports) looked at no more.

    Else that is most of what the collections look at, one after each test and hundreds inside of some, which takes longer than the tests.
    Now and then everything is looked at, for what was alive then and is garbage since.
    """
    if next(begun) % THAW == 0:
        gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    if nextitem is None:
        gc.unfreeze()  # the last test of this process: what became garbage since everything was looked at is told now, or never


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers that depend on the seed of the run and the name of the test alone."""
    return random.Random(f"{os.environ[SEED]} {request.node.nodeid}")


def make_cede_loop() -> asyncio.AbstractEventLoop:
    import cede

    return cede.new_event_loop()


FACTORIES: dict[str, LoopFactory] = {"cede": make_cede_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture(params=list(FACTORIES))
def loop_factory(request: pytest.FixtureRequest) -> Iterator[LoopFactory]:
    """Makes event loops: cede's, and asyncio's own as the oracle. One that the test leaves open is its failure."""
    made: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()  # one that is dropped warns for itself

    def factory() -> asyncio.AbstractEventLoop:
        loop = FACTORIES[request.param]()
        made.add(loop)
        return loop

    yield factory
    left_open = [loop for loop in made if not loop.is_closed()]
    for loop in left_open:
        loop.close()
    assert not left_open, "the test left an event loop open"


@pytest.fixture
def loop(loop_factory: LoopFactory) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that is not running, closed after the test."""
    made = loop_factory()
    yield made
    made.close()


@pytest.fixture
def run(loop_factory: LoopFactory) -> Callable[..., Any]:
    """run(main()) or run(main): runs a coroutine to its end on a loop of its own and returns its result."""

    def run_main(main: Any, *, debug: bool | None = None) -> Any:
        coroutine: Coroutine[Any, Any, Any] = main() if callable(main) else main
        with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
            return runner.run(coroutine)

    return run_main


@pytest.fixture(params=["asyncio", "cede"])
def ns(request: pytest.FixtureRequest) -> Any:
    """Whose functions and classes are used: cede's, and asyncio's own as the oracle."""
    import cede

    return {"asyncio": asyncio, "cede": cede}[request.param]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets that do not block."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


@pytest.fixture(params=["pidfd", "thread"])
def watching(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which the end of a child process is noticed."""
    if request.param == "thread":
        monkeypatch.setattr("cede.process.child._open_pidfd", None)
    return request.param


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test may leave a thread running, or something that complains when it is collected."""
    settle_heap()
    before = set(threading.enumerate())
    yield
    gc.collect()  # a warning about what was left open then belongs to this test, not to one that happens to run later
    # Daemon threads, and those of executors that are being shut down, need no more than a moment to notice.
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in left:
        thread.join(timeout=5)
    assert not [thread for thread in left if thread.is_alive()], "the test left threads running"
