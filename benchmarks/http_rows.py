"""The web rows: a server under the load of `wrk`, each on a CPU of its own where there are two."""

from __future__ import annotations

import http.client
import importlib.util
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.children import Child, MeasureError, last_line, read_object
from benchmarks.clocks import pace, waited
from benchmarks.http_server import HELLO
from benchmarks.loops import OWN
from benchmarks.usertime import UserTime

if TYPE_CHECKING:
    from benchmarks.net_rows import NetSettings

CONNECTIONS = {"uvicorn": 64, "aiohttp": 64, "gather": 50}
WINDOWS_A_RUN = 2
"""wrk takes whole seconds: one window for it is so many of the echo rows', rounded."""

TIME = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


def lacking(*modules: str) -> str:
    """What has to be installed before these rows can be measured; empty when nothing has."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        return f"needs {' and '.join(missing)} (pip install {' '.join(missing)})"
    if shutil.which("wrk") is None:
        return "needs wrk (on Debian and Ubuntu: apt install wrk)"
    return ""


def server_command(framework: str, contestant: str) -> list[str]:
    """How the server of a contestant is started."""
    under = ["-m", "cede", "run"] if contestant == OWN else []
    return [sys.executable, *under, "-m", "benchmarks.http_server", framework, contestant]


def measure(framework: str, contestant: str, settings: NetSettings) -> dict[str, float]:
    """One server under load: figures per request. Raises `MeasureError`."""
    seconds = max(round(WINDOWS_A_RUN * settings.window_ms / 1000), 1)
    before = pace()
    with Child(server_command(framework, contestant), settings.server_cpu) as server:
        port = read_object(server.line(20))["port"]
        try:
            check_answer(port)
            load(port, CONNECTIONS[framework], 1, settings.client_cpu)  # the warm-up
            user_time = UserTime(server.process.pid)
            try:
                user_time.begin()
                first, lack = server.ask(), waited(server.process.pid)
                text = load(port, CONNECTIONS[framework], seconds, settings.client_cpu)
                second, lacked = server.ask(), waited(server.process.pid) - lack
                user_time.end()
                sampled = user_time.seconds()
            finally:
                user_time.close()
        except MeasureError as error:
            raise MeasureError("; server: ".join(part for part in (str(error), server.last_words()) if part)) from None
    return per_request(first, second, read_wrk(text), sampled) | {"waited": lacked / seconds, "pace": max(before, pace())}


def check_answer(port: int) -> None:
    """wrk looks at the status alone, so one answer is read in full. Raises `MeasureError`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise MeasureError(f"no answer: {type(error).__name__}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200 or body != HELLO:
        raise MeasureError(f"a wrong answer: status {answer.status}, {body[:40]!r}")


def load(port: int, connections: int, seconds: int, cpu: int | None) -> str:
    """Run wrk for so long; what it printed. Raises `MeasureError`."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/"]
    if cpu is not None and (taskset := shutil.which("taskset")):
        command = [taskset, "-c", str(cpu), *command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, check=False)
    except subprocess.TimeoutExpired:
        raise MeasureError("wrk did not come to its end") from None
    if done.returncode != 0:
        raise MeasureError(f"wrk: {last_line(done.stderr) or last_line(done.stdout)}")
    return done.stdout


def read_wrk(text: str) -> dict[str, float]:
    """Requests, seconds and latencies out of what wrk printed. Raises `MeasureError` for errors that it counted."""
    for trouble in (r"Socket errors:.*", r"Non-2xx or 3xx responses:.*"):
        found = re.search(trouble, text)
        if found:
            raise MeasureError(f"wrk: {found[0].strip()}")
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text)
    if total is None or not int(total[1]):
        raise MeasureError("not one request was answered")
    figures = {"requests": float(total[1]), "seconds": float(total[2]) * TIME[total[3]] / 1e6}
    for percent in (50, 99):
        at = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)", text, re.MULTILINE)
        if at is not None:
            figures[f"p{percent}_us"] = float(at[1]) * TIME[at[2]]
    return figures


def per_request(first: dict[str, float], second: dict[str, float], client: dict[str, float], sampled: float | None) -> dict[str, float]:
    """The server did nothing before and after, so what it used in between is for these requests."""
    requests = client["requests"]
    total = second["user"] + second["system"] - first["user"] - first["system"]
    ticks = second["user"] - first["user"]
    user = ticks if sampled is None else min(sampled, total)
    figures = {
        "rps": requests / client["seconds"],
        "capacity": requests / max(total, 1e-9),
        "user_us": user / requests * 1e6,
        "system_us": (total - user) / requests * 1e6,
        "server_busy": total / (second["at"] - first["at"]),
        "user_by_ticks_us": ticks / requests * 1e6,
        "sampled": float(sampled is not None),
    }
    return figures | {key: client[key] for key in ("p50_us", "p99_us") if key in client}
