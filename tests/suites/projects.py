"""Whose suites, and what each needs. Versions are fixed: a result is about this commit, not about what was published last night."""

from __future__ import annotations

from dataclasses import dataclass, field

# What more than one of them needs; none of it brings a loop of its own into asyncio's place.
COMMON = ("pytest==9.2.0", "pytest-asyncio==1.5.0", "pytest-timeout==2.4.0", "pytest-mock==3.17.0", "pytest-xdist==3.8.0", "anyio==4.16.0")


@dataclass(frozen=True)
class Project:
    """One library at one version.

    needs: what its suite needs beside the library. arguments: for pytest. service: "postgres" where the suite needs one. elsewhere: tests
    that pass on asyncio and do not under `cede run`, by a part of their name, with the reason. A test of asyncio's own private names may
    stand there; one that tells of behaviour may not.
    """

    name: str
    version: str
    needs: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ("tests",)
    service: str = ""
    elsewhere: dict[str, str] = field(default_factory=dict)


PROJECTS = (
    Project("aiofiles", "25.1.0"),
    Project("aioftp", "0.28.3", ("siosocks", "trustme", "pytest-httpbin")),
    Project(
        "aiohttp",
        "3.14.5",
        (
            "aiohttp[speedups]",
            "blockbuster",
            "freezegun",
            "isal",
            "proxy.py",
            "pytest-aiohttp",
            "pytest-codspeed",
            "python-on-whales",
            "re-assert",
            "setuptools-git",
            "trustme",
            "zlib-ng",
        ),
        ("tests", "-n2", "-mnot dev_mode and not autobahn"),
    ),
    Project("aiojobs", "1.4.0", ("pytest-aiohttp",), ("tests", "--asyncio-mode=auto")),
    Project("aioquic", "1.7.2"),
    Project(
        "aiosmtplib",
        "5.1.3",
        ("aiosmtpd", "hypothesis", "trustme"),
        elsewhere={"test_tls::test_starttls": "asks for 'SSL' in the name of the transport's class, which is private"},
    ),
    Project("aiostream", "0.8.1"),
    Project("asgiref", "3.13.0"),
    Project("async-lru", "2.4.0"),
    Project(
        "async-timeout",
        "5.0.1",
        elsewhere={"test_timeout_is_none_no_schedule": "reads asyncio's private list of timers, loop._scheduled"},
    ),
    Project(
        "asyncpg",
        "0.32.0",
        arguments=(
            "tests",
            # of its sources and of its distribution; sub-interpreters are refused by asyncpg itself
            *("--ignore=tests/test__sourcecode.py", "--ignore=tests/test__environment.py", "--ignore=tests/test_subinterpreters.py"),
        ),
        service="postgres",
    ),
    Project("asyncssh", "2.24.1", ("bcrypt", "pyOpenSSL"), ("tests", "-n2")),
    Project("httpcore", "1.0.9", ("httpcore[http2,socks]", "pytest-httpbin", "trio", "anyio[trio]")),
    Project("httpx", "0.28.1", ("httpx[brotli,cli,http2,socks,zstd]", "chardet", "trio", "trustme", "uvicorn")),
    Project("janus", "2.0.0"),
    Project("tenacity", "9.2.1", ("tornado", "typeguard")),
    Project(
        "uvicorn",
        "0.54.0",
        ("uvicorn[standard]", "a2wsgi", "httpx2", "trustme", "typing-extensions", "wsproto", "cryptography"),
        elsewhere={
            "test_loop_auto": "asks for uvloop's class by name; under `cede run` uvicorn's loop is cede's, as it should be",
            "test_asyncio_run__default_loop_factory": "asks for asyncio's class by name; under `cede run` the default is cede's",
        },
    ),
)
