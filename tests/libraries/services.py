"""Redis and PostgreSQL for the tests: ``python services.py up | down | run COMMAND...``.

up: install what is missing from Debian's packages, start both on free ports of 127.0.0.1 with their files in a temporary folder,
    and print the addresses. They stay until `down`. Where a service cannot be had the reason is printed, and the status is 1.
down: stop them and remove their files.
run: COMMAND with the addresses in its environment; starts what does not run yet, and stops afterwards what it started. A
    service that cannot be had is left out, the reason is printed, and COMMAND runs all the same.

Invariant: neither service runs as root, and neither touches an instance of the system's own.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATE = Path(__file__).resolve().parents[2] / "build" / "services.json"
PACKAGES = {"redis": "redis-server", "postgres": "postgresql"}
VARIABLES = {"redis": "CEDE_TEST_REDIS", "postgres": "CEDE_TEST_POSTGRES"}
PATIENCE = 60.0  # seconds until a service must answer
INSTALL_PATIENCE = 300.0


class Unavailable(Exception):
    """Why a service cannot be had."""


# --- what is installed -------------------------------------------------------------------------------------------------------


def find(program: str) -> str | None:
    """The path of a service's program. Debian keeps PostgreSQL's out of PATH, a folder a version."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: float(path.split("/")[4]), reverse=True)
    return shutil.which(program) or next((found for folder in folders if (found := shutil.which(program, path=folder))), None)


def need(program: str, service: str) -> str:
    path = find(program)
    if path is None:
        install(PACKAGES[service])
        path = find(program)
    if path is None:
        raise Unavailable(f"{PACKAGES[service]} is installed, but {program} is in none of the places where Debian puts it")
    return path


def install(package: str) -> None:
    if shutil.which("apt-get") is None:
        raise Unavailable(f"it is not installed, and there is no apt-get to install {package} with")
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and shutil.which("sudo") is None:
        raise Unavailable(f"it is not installed, and installing it needs root: apt-get install {package}")
    print(f"installing {package}", flush=True)
    for command in (["update", "-qq"], ["install", "-qq", "--no-install-recommends", package]):
        options = ["-y", "-o", "Acquire::Retries=1", "-o", "DPkg::Lock::Timeout=120"]
        whole = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *command]
        try:
            done = subprocess.run(whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_PATIENCE)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"apt-get {command[0]} took longer than {INSTALL_PATIENCE:g} seconds") from None
        if done.returncode and command[0] == "install":  # what an update missed may not matter
            raise Unavailable(f"`{' '.join(whole)}` failed: {(done.stderr or done.stdout).strip()[-500:]}")


# --- who they run as, and where ------------------------------------------------------------------------------------------------


def owner() -> dict[str, Any]:
    """Options of Popen: an unprivileged user in root's place."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise Unavailable("it must not run as root, and there is neither a user postgres nor nobody")


def make_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(mode=0o700)
    user = owner()
    if user:
        os.chown(folder, user["user"], user["group"])
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spawn(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with open(folder.parent / f"{folder.name}.log", "wb") as log:
        # A session of its own: Ctrl-C at the terminal is for the tests.
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **owner()
        )


def wait_until(answers: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            log = (folder.parent / f"{folder.name}.log").read_text(errors="replace")
            raise Unavailable(f"it did not start (status {process.poll()}): {log[-1000:]}")
        time.sleep(0.05)


# --- the services --------------------------------------------------------------------------------------------------------------


def start_redis(parent: Path) -> tuple[str, int]:
    program = need("redis-server", "redis")
    folder, port = make_folder(parent, "redis"), free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = spawn([*command, "--unixsocket", str(folder / "socket"), "--unixsocketperm", "777"], folder)

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as sock:
                sock.sendall(b"PING\r\n")
                return sock.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    wait_until(answers, process, folder)
    return f"redis://127.0.0.1:{port}/0", process.pid


def start_postgres(parent: Path) -> tuple[str, int]:
    initdb, postgres = need("initdb", "postgres"), need("postgres", "postgres")
    folder, port = make_folder(parent, "postgres"), free_port()
    options = ["--auth=trust", "--username=cede", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run([initdb, "-D", str(folder / "data"), *options], cwd=folder, capture_output=True, text=True, **owner())
    if made.returncode:
        raise Unavailable(f"initdb failed: {made.stderr[-1000:]}")
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 60,
        **serve_tls(folder),
    }
    process = spawn([postgres, "-D", str(folder / "data"), *(f"--{name}={value}" for name, value in settings.items())], folder)
    ready = need("pg_isready", "postgres")

    def answers() -> bool:
        command = [ready, "-q", "-h", "127.0.0.1", "-p", str(port), "-d", "postgres", "-U", "cede"]
        return subprocess.run(command).returncode == 0

    wait_until(answers, process, folder)
    return f"postgresql://cede@127.0.0.1:{port}/postgres", process.pid


def serve_tls(folder: Path) -> dict[str, object]:
    """Settings that let PostgreSQL take TLS connections, where there is an openssl command to make a certificate."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return {}
    command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key -out certificate"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, **owner())
    os.chmod(folder / "key", 0o600)
    return {"ssl": "on", "ssl_key_file": folder / "key", "ssl_cert_file": folder / "certificate"}


STARTERS = {"redis": start_redis, "postgres": start_postgres}


# --- all of them -----------------------------------------------------------------------------------------------------------------


def running() -> dict[str, Any]:
    """What `up` wrote down, as far as it is still true: {"folder", "services": {name: {"address", "pid"}}}."""
    with contextlib.suppress(FileNotFoundError):
        state = json.loads(STATE.read_text())
        state["services"] = {name: told for name, told in state["services"].items() if is_ours(told["pid"], state["folder"])}
        return state
    return {"folder": None, "services": {}}


def is_ours(pid: int, folder: str) -> bool:
    """Whether the process is the one that was started there, and not another that got its number."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/cwd").startswith(folder) or folder in Path(f"/proc/{pid}/cmdline").read_text()
    return False


def up() -> tuple[dict[str, Any], bool]:
    """Start what does not run. (The state as in `running`, whether all are there.)"""
    state = running()
    if state["folder"] is None:
        state["folder"] = tempfile.mkdtemp(prefix="cede-services-")  # a short path: the sockets' addresses must fit
        os.chmod(state["folder"], 0o755)
    complete = True
    STATE.parent.mkdir(exist_ok=True)
    for name, start in STARTERS.items():
        if name in state["services"]:
            continue
        shutil.rmtree(Path(state["folder"], name), ignore_errors=True)
        try:
            address, pid = start(Path(state["folder"]))
            state["services"][name] = {"address": address, "pid": pid}
        except Unavailable as error:
            complete = False
            print(f"{name}: cannot be had, its tests will be skipped: {error}", flush=True)
        STATE.write_text(json.dumps(state))
    return state, complete


def down() -> None:
    """Stop what runs, and wait until it has stopped."""
    state = running()
    for told in state["services"].values():
        # PostgreSQL's fast shutdown, and for Redis an order as good as any.
        os.kill(told["pid"], signal.SIGINT)
    for name, told in state["services"].items():
        deadline = time.monotonic() + PATIENCE
        while is_ours(told["pid"], state["folder"]):
            with contextlib.suppress(ChildProcessError):  # ours to reap only where `up` ran in this process
                os.waitpid(told["pid"], os.WNOHANG)
            if time.monotonic() > deadline:
                print(f"{name}: does not stop, process {told['pid']} is killed", file=sys.stderr)
                os.kill(told["pid"], signal.SIGKILL)
                deadline += PATIENCE
            time.sleep(0.02)
    if state["folder"] is not None:
        shutil.rmtree(state["folder"], ignore_errors=True)
    STATE.unlink(missing_ok=True)


def run(command: list[str]) -> int:
    """`command` with the services: its exit status."""
    were_there = set(running()["services"])
    try:
        state, _ = up()
        addresses = {VARIABLES[name]: told["address"] for name, told in state["services"].items()}
        return subprocess.run(command, env={**os.environ, **addresses}).returncode
    finally:
        if not were_there:
            down()


def main(words: list[str]) -> int:
    match words:
        case ["up"]:
            state, complete = up()
            for name, told in state["services"].items():
                print(f"export {VARIABLES[name]}={told['address']}")
            return 0 if complete else 1
        case ["down"]:
            down()
            return 0
        case ["run", _, *_]:
            # A `kill` must not leave the services behind: SIGTERM ends this as Ctrl-C does.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
            return run(words[1:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
