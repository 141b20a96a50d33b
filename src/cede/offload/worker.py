"""What runs in a worker, a process or an interpreter: calls come in as pickles, outcomes go out.

Needs the standard library alone, and is loaded by its path and not as a part of cede: a worker starts as fast as Python does, and an
interpreter in which cede cannot be imported runs it too.

A message is a header, which says its kind and its length in bytes, and a pickle (text, where the kind is MISFIT).
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

HEADER = struct.Struct("<cQ")
SETUP = b"S"  # to the worker, first: what the process has to look like
CALL = b"C"  # to the worker: (function, args, kwargs)
VALUE = b"V"  # what the function returned
ERROR = b"E"  # what it raised, as `pack_error` has it
MISFIT = b"M"  # what it returned cannot travel: why
UNFIT = b"U"  # the worker could not be set up: the error
UNREAD = b"R"  # the call could not be unpickled: the error
LEFT = b"X"  # the function was to end its process, where there is none to end: its exit status, pickled, and how

LARGEST_READ = 1 << 20

DEEPEST_GROUP = 20  # inside one another; what lies deeper travels as text where it cannot be pickled with the rest


def message(kind: bytes, payload: bytes) -> bytes:
    """One message, as it travels."""
    return HEADER.pack(kind, len(payload)) + payload


def plain_pickle(value: Any) -> bytes:
    """As the other side can read it without further ado."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def pack_error(error: BaseException, dumps: Callable[[Any], bytes] = plain_pickle, depth: int = 0) -> bytes:
    """`error` with its traceback, for `unpack_error` on the other side. One that cannot be pickled, by `dumps`, travels as text; of a group
    those members do that cannot, and the others as themselves.
    """
    text = "".join(traceback.format_exception(error))
    told = packed = None
    try:
        packed = dumps(error)
        pickle.loads(packed)  # many an exception can be pickled, and not be made again from that
    except Exception as failure:
        packed = None
        told = f"{''.join(traceback.format_exception_only(error)).strip()} (the error itself cannot be pickled: {failure!r})"
        members = pack_members(error, dumps, depth + 1)
        if members is not None:
            return pickle.dumps((packed, told, text, members), pickle.HIGHEST_PROTOCOL)
    return pickle.dumps((packed, told, text), pickle.HIGHEST_PROTOCOL)


def pack_members(error: BaseException, dumps: Callable[[Any], bytes], depth: int) -> Any:
    """The message, the notes and the members of a group, each member packed by itself; None for what is no group, or lies too deep."""
    if not isinstance(error, BaseExceptionGroup) or depth > DEEPEST_GROUP:
        return None
    try:
        notes = [str(note) for note in getattr(error, "__notes__", ())]
        return str(error.message), notes, [pack_error(member, dumps, depth) for member in error.exceptions]
    except Exception:
        return None  # a class of the program's own that does not behave like a group: it travels as text


def perform(packed: bytes) -> tuple[bytes, bytes]:
    """Do the call that `packed` holds; the kind and the payload of the answer. Lets pass what is to end a process."""
    try:
        function, args, kwargs = pickle.loads(packed)
    except Exception as error:
        return UNREAD, pack_error(error)
    try:
        result = function(*args, **kwargs)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        trace = error.__traceback__
        return ERROR, pack_error(error.with_traceback(trace and trace.tb_next))  # the first frame is ours
    try:
        return VALUE, pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    except Exception as failure:
        return MISFIT, f"a {type(result).__qualname__}, which cannot be pickled: {failure!r}".encode()


def prepare(data: dict[str, Any]) -> None:
    """Make the program's modules importable, its main module among them, under the name that multiprocessing gives it."""
    if data.keys() <= {"sys_path", "sys_argv"}:  # without what it takes to import the rest
        sys.path, sys.argv = data["sys_path"], data["sys_argv"]
        return
    from multiprocessing import process, spawn

    # Told by this mark, a program whose main module starts work when it is imported does not start workers without end.
    process.current_process()._inheriting = True  # type: ignore[attr-defined]
    try:
        spawn.prepare(data)
    finally:
        del process.current_process()._inheriting  # type: ignore[attr-defined]


# -- an interpreter


def set_up(packed: bytes) -> bytes | None:
    """`prepare`; the packed error where that fails."""
    try:
        prepare(pickle.loads(packed))
    except BaseException as error:
        return pack_error(error)
    return None


def answer(packed: bytes) -> tuple[bytes, bytes]:
    """`perform`, where there is no process that could end."""
    try:
        return perform(packed)
    except (SystemExit, KeyboardInterrupt) as error:
        return LEFT, plain_pickle((exit_status(error), repr(error)))
    except BaseException as error:
        return ERROR, pack_error(error)


def exit_status(error: BaseException) -> int:
    """The status of a process that ends by this error; below 0 the number of the signal that it stands for."""
    if isinstance(error, KeyboardInterrupt):
        return -signal.SIGINT
    code = getattr(error, "code", 1)
    return 0 if code is None else code if isinstance(code, int) else 1


# -- a process


def receive(sock: socket.socket) -> tuple[bytes, bytes] | None:
    """The next message; None when the parent has no more."""
    header = read_exactly(sock, HEADER.size)
    if header is None:
        return None
    kind, length = HEADER.unpack(header)
    payload = read_exactly(sock, length)
    return None if payload is None else (kind, bytes(payload))


def read_exactly(sock: socket.socket, length: int) -> bytearray | None:
    """So many bytes; None where the stream ends before."""
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view[:LARGEST_READ])
        if not count:
            return None
        view = view[count:]
    return data


def die_with_parent(lifeline: int) -> None:
    """Have this process, and all that it has started, killed when the other end of the pipe `lifeline` is closed: by the system, whatever
    they do at that moment. They are its process group, whose leader it is; what has left that lives on.
    """
    import fcntl
    import select
    import threading

    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([lifeline], [], [], 0)[0]:  # it was closed before that
            os.killpg(0, signal.SIGKILL)
        return

    def wait() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="cede-lifeline", daemon=True).start()


def serve(sock: socket.socket) -> None:
    """Answer calls until the parent has no more."""
    unfit: bytes | None = None
    while (found := receive(sock)) is not None:
        kind, payload = found
        if kind == SETUP:
            unfit = set_up(payload)
            continue
        if unfit is not None:
            sock.sendall(message(UNFIT, unfit))
            return
        answer = message(*perform(payload))
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()  # what the call has printed is seen now, and not lost when the worker is killed later
            except Exception:
                pass  # closed or replaced by the program, or nobody reads it
        try:
            sock.sendall(answer)
        except (BrokenPipeError, ConnectionResetError):
            return  # the parent has given the call up
        del answer, payload, found


def main() -> None:
    """The life of a worker process: its socket and its lifeline are told by number."""
    fd, lifeline = int(sys.argv[1]), int(sys.argv[2])
    for each in (fd, lifeline):
        os.set_inheritable(each, False)
    die_with_parent(lifeline)
    del sys.path[0]  # this folder is no place to import from; the parent's path comes with the set-up
    with socket.socket(fileno=fd) as sock:
        serve(sock)


if __name__ == "__main__":
    main()
