"""Names: the answers are socket.getaddrinfo's own, and no look-up stands behind a user's job."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from cede.net.resolver import resolver as resolver_module

HOSTS = ["127.0.0.1", "::1", "0.0.0.0", "::", "255.255.255.255", "127.1", "1", "fe80::1", "::ffff:1.2.3.4", b"127.0.0.1", None]
PORTS = [0, 80, 65535, "80", b"80", None]
FAMILIES = [socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6]
KINDS = [(0, 0), (socket.SOCK_STREAM, 0), (socket.SOCK_DGRAM, 0), (socket.SOCK_STREAM, socket.IPPROTO_TCP), (0, socket.IPPROTO_UDP)]
FLAGS = [0, socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_CANONNAME, socket.AI_ADDRCONFIG]


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except OSError as error:
        return type(error), error.errno


def ask(run: Callable[..., Any], *args: Any) -> Any:
    host, port, family, kind, proto, flags = args

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, family=family, type=kind, proto=proto, flags=flags)

    return run(main)


@pytest.mark.parametrize("host", HOSTS, ids=repr)
def test_literals_are_answered_as_the_resolver_would(host: Any) -> None:
    """In place, or not at all: where the quick answer declines, the thread gives the slow one."""
    declined = 0
    combinations = list(itertools.product(PORTS, FAMILIES, KINDS, FLAGS))
    for port, family, (kind, proto), flags in combinations:
        quick = resolver_module.answer_in_place(host, port, family, kind, proto, flags)
        if quick is None:
            declined += 1
            continue
        assert quick == socket.getaddrinfo(host, port, family, kind, proto, flags)
    assert declined < len(combinations)


@pytest.mark.parametrize("host", [host for host in HOSTS if host is not None], ids=repr)
def test_one_literal_address_for_a_connection(host: Any) -> None:
    for port, family, kind in itertools.product(PORTS, FAMILIES, [socket.SOCK_STREAM, socket.SOCK_DGRAM]):
        info = resolver_module.literal_info(host, port, family, kind, 0)
        if info is not None:
            assert [info] == socket.getaddrinfo(host, port, family, kind)


@pytest.mark.parametrize("host", ["localhost", "example.invalid", "1.example", "fe80::1%lo", "", "a" * 64, "127.0.0.1.", "::1::"])
def test_what_is_no_plain_literal(host: str) -> None:
    assert resolver_module.literal_info(host, 80, 0, socket.SOCK_STREAM, 0) is None


def test_service_names_are_looked_up(run: Callable[..., Any]) -> None:
    args = ("127.0.0.1", "http", 0, socket.SOCK_STREAM, 0, 0)
    assert ask(run, *args) == socket.getaddrinfo(*args)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", None])
def test_answers_are_the_resolvers(run: Callable[..., Any], host: Any) -> None:
    args = (host, 80, 0, socket.SOCK_STREAM, 0, 0)
    assert ask(run, *args) == socket.getaddrinfo(*args)


def test_unknown_names_raise(run: Callable[..., Any]) -> None:
    with pytest.raises(socket.gaierror):
        ask(run, "no-such-host.invalid", 80, 0, 0, 0, 0)


def test_a_replaced_getaddrinfo_is_asked(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def mine(host: Any, port: Any, *rest: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", mine)
    for host in ("somewhere.invalid", "127.0.0.1"):
        assert ask(run, host, 80, 0, 0, 0, 0)[0][4] == ("192.0.2.1", 80)
    assert asked == ["somewhere.invalid", "127.0.0.1"]


def test_a_loops_replaced_getaddrinfo_is_asked_by_connections(run: Callable[..., Any]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

            async def mine(host: Any, port: Any, **options: Any) -> Any:
                assert host == "made.up"
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

            loop.getaddrinfo = mine  # type: ignore[method-assign]
            transport, _ = await loop.create_connection(asyncio.Protocol, "made.up", port)
            assert transport.get_extra_info("peername") == ("127.0.0.1", port)
            transport.close()
            await asyncio.sleep(0)

    run(main)


def test_a_name_never_keeps_the_loop_waiting(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts file may have it, and the program may have put a resolver of its own there: either may block."""
    asked: list[Any] = []
    real = socket.getaddrinfo

    def resolver(*question: Any) -> Any:
        asked.append(threading.current_thread())
        return real(*question)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for names_own in (False, True):
            monkeypatch.setattr(socket, "getaddrinfo", resolver)
            monkeypatch.setattr(resolver_module, "_real_getaddrinfo", resolver if names_own else real)
            assert await loop.getaddrinfo("localhost", 80) == real("localhost", 80)

    run(main)
    assert len(asked) == 2
    assert threading.main_thread() not in asked


def test_a_full_executor_does_not_delay_names(run: Callable[..., Any], request: pytest.FixtureRequest) -> None:
    """cpython 112169: a full executor delays names."""
    if request.node.callspec.params["loop_factory"] == "asyncio":
        pytest.skip("asyncio looks names up on the default executor")
    gate = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
        job = loop.run_in_executor(None, gate.wait)
        assert await loop.getaddrinfo("localhost", 80)
        assert await loop.getnameinfo(("127.0.0.1", 80))
        assert not job.done()
        gate.set()
        await job

    run(main)


def test_impossible_hosts_are_refused_at_once(run: Callable[..., Any], request: pytest.FixtureRequest) -> None:
    """uvloop 615: over-long host names, and NULs in them."""
    if request.node.callspec.params["loop_factory"] == "asyncio":
        pytest.skip("asyncio hands them to the codec and the resolver")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in ("a" * 5000, "xn--" + "a" * 5000, b"xn--" + b"a" * 5000, "a." * 200, "é" * 300):
            for call in (
                lambda host=host: loop.getaddrinfo(host, 80),
                lambda host=host: loop.create_connection(asyncio.Protocol, host, 80),
            ):
                with pytest.raises(socket.gaierror, match="too long"):
                    await call()
        for host in ("local\0host", b"local\0host"):
            for call in (
                lambda host=host: loop.getaddrinfo(host, 80),
                lambda host=host: loop.create_connection(asyncio.Protocol, host, 80),
            ):
                with pytest.raises(ValueError, match="NUL"):
                    await call()
        assert loop._name_pool is None, "no thread should have been asked"  # type: ignore[attr-defined]

    run(main)


def test_wrong_types_raise(run: Callable[..., Any]) -> None:
    for host, port in ((5, 80), ("localhost", object()), (["localhost"], 80)):
        with pytest.raises((TypeError, OSError)):
            ask(run, host, port, 0, 0, 0, 0)


def test_getnameinfo(run: Callable[..., Any]) -> None:
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        return [await loop.getnameinfo(("127.0.0.1", 80), flags) for flags in (numeric, 0)]

    assert run(main) == [socket.getnameinfo(("127.0.0.1", 80), flags) for flags in (numeric, 0)]


def test_slow_look_ups_are_logged_in_debug_mode(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def slow(*args: Any) -> list[Any]:
        time.sleep(0.002)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.001
        assert await loop.getaddrinfo("slow.invalid", 80, type=socket.SOCK_STREAM) == []

    with caplog.at_level(logging.INFO, "asyncio"):
        run(main, debug=True)
    assert any("slow.invalid:80, type=" in text and "took" in text for text in caplog.messages)


# -- the pool by itself


def test_the_pool_starts_threads_as_they_are_needed() -> None:
    pool = resolver_module.ResolverPool(limit=3)
    gate = threading.Event()
    ready = threading.Semaphore(0)

    def hold() -> str:
        ready.release()
        gate.wait()
        return threading.current_thread().name

    jobs = [pool.submit(hold) for _ in range(5)]
    for _ in range(3):
        ready.acquire()
    assert len(pool._threads) == 3
    gate.set()
    assert len({job.result() for job in jobs}) <= 3
    assert pool.submit(int).result() == 0
    assert len(pool._threads) == 3
    pool.close()
    assert not pool._threads


def test_one_thread_is_enough_for_one_after_the_other() -> None:
    pool = resolver_module.ResolverPool()
    for _ in range(50):
        # The thread rests a moment after its answer is out; whether it already does must not change what is answered.
        assert pool.submit(pow, 2, 3).result() == 8
    assert len(pool._threads) <= 50
    pool.close()


def test_the_pool_hands_errors_on_and_goes_on() -> None:
    pool = resolver_module.ResolverPool(limit=1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result()
    assert pool.submit(int).result() == 0
    pool.close()


def test_a_cancelled_job_is_left_out() -> None:
    pool = resolver_module.ResolverPool(limit=1)
    gate = threading.Event()
    first = pool.submit(gate.wait)
    ran: list[int] = []
    second = pool.submit(ran.append, 1)
    assert second.cancel()
    third = pool.submit(int)
    gate.set()
    assert first.result() is True
    assert third.result() == 0
    assert ran == []
    pool.close()


def test_a_closed_pool_cancels_what_waits_and_takes_no_more() -> None:
    pool = resolver_module.ResolverPool(limit=1)
    gate = threading.Event()
    began = threading.Event()

    def hold() -> None:
        began.set()
        gate.wait()

    first, second = pool.submit(hold), pool.submit(int)
    began.wait()
    pool.close()
    pool.close()
    assert second.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(int)
    gate.set()
    assert first.result() is None


def test_interleaving_takes_turns_among_families() -> None:
    def info(family: int, number: int) -> Any:
        return (family, 1, 6, "", (str(number), 80))

    four, six = socket.AF_INET, socket.AF_INET6
    infos = [info(six, 1), info(six, 2), info(six, 3), info(four, 4), info(four, 5)]
    assert [int(each[4][0]) for each in resolver_module.interleave(infos, 1)] == [1, 4, 2, 5, 3]
    assert [int(each[4][0]) for each in resolver_module.interleave(infos, 2)] == [1, 2, 4, 3, 5]
    assert resolver_module.interleave([], 1) == []
    assert resolver_module.interleave(infos[:1], 5) == infos[:1]


def test_the_queue_of_the_pool_is_bounded() -> None:
    """CVE-2026-34513: a cache of names without bounds."""
    pool = resolver_module.ResolverPool(limit=1, queue=2)
    gate = threading.Event()
    began = threading.Event()

    def hold() -> None:
        began.set()
        gate.wait()

    first = pool.submit(hold)
    began.wait()
    waiting = [pool.submit(int) for _ in range(2)]
    with pytest.raises(socket.gaierror, match="too many names") as caught:
        pool.submit(int)
    assert caught.value.errno == socket.EAI_AGAIN
    gate.set()
    assert first.result() is None
    assert [job.result() for job in waiting] == [0, 0]
    assert pool.submit(int).result() == 0
    pool.close()


def test_names_are_remembered_on_demand_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2026-34513, h2o-llmstudio 1021: a cache of names without bounds."""
    import cede

    asked: list[Any] = []

    def counting(host: Any, port: Any, *rest: Any) -> list[Any]:
        asked.append(host)
        if host == "unknown.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", counting)
    monkeypatch.setattr(resolver_module, "_real_getaddrinfo", counting)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for _ in range(2):
            await loop.getaddrinfo("one.invalid", 80)
        assert asked == ["one.invalid"] * 2
        now = 0.0
        loop.time = lambda: now
        loop.remember_names(5, size=2)
        asked.clear()
        for _ in range(2):
            answer = await loop.getaddrinfo("one.invalid", 80)
            assert answer[0][4] == ("192.0.2.1", 80)
            answer.clear()  # it is the caller's own
        assert asked == ["one.invalid"]
        asked.clear()
        await loop.getaddrinfo("one.invalid", 81)  # another question
        now = 5.0
        await loop.getaddrinfo("one.invalid", 80)
        assert asked == ["one.invalid"] * 2
        for host in ("two.invalid", "three.invalid", "one.invalid"):
            await loop.getaddrinfo(host, 80)
        assert asked[2:] == ["two.invalid", "three.invalid", "one.invalid"]
        assert len(loop._remembered) == 2
        for _ in range(2):
            with pytest.raises(socket.gaierror):
                await loop.getaddrinfo("unknown.invalid", 80)
        assert asked[5:] == ["unknown.invalid"] * 2
        loop.remember_names(None)
        await loop.getaddrinfo("one.invalid", 80)
        assert asked[7:] == ["one.invalid"]

    cede.run(main())


def test_bounds_of_memory_that_are_none() -> None:
    import cede

    loop = cede.new_event_loop()
    bad = [((0,), ValueError), (("5",), TypeError), ((float("nan"),), ValueError), ((5, 0), ValueError), ((5, 1.5), TypeError)]
    for arguments, error in bad:
        with pytest.raises(error, match="must be"):
            loop.remember_names(*arguments)  # type: ignore[arg-type]
    loop.close()
