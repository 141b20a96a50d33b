"""How work that is done elsewhere fails: by its own error, or by the death of whoever did it."""

from __future__ import annotations

import pickle
from typing import Any

from cede.offload.worker import pack_error as pack_error


class WorkerDied(RuntimeError):
    """The process that did the work ended before it was done. Whether the work had an effect is not known.

    ``pid`` is the process; ``exitcode`` its status, below 0 the number of the signal that killed it, None where it is not known.
    """

    def __init__(self, message: str, pid: int | None = None, exitcode: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode

    def __reduce__(self) -> Any:
        return (WorkerDied, (self.args[0], self.pid, self.exitcode))


class RemoteTraceback(Exception):
    """The cause of an error that was raised elsewhere: where, as text, since frames cannot travel."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class Unpicklable(Exception):
    """A function, an argument, a result or an error cannot travel. The text says which and why."""


def unpack_error(packed: bytes) -> BaseException:
    """The error that `pack_error` was given, its ``__cause__`` telling where it was raised; Unpicklable where it cannot be made again
    here. A group of which this is true of some members is a plain group, with an Unpicklable in the place of each.
    """
    inner, told, text, *parts = pickle.loads(packed)
    error: BaseException
    try:
        if inner is not None:
            error = pickle.loads(inner)
        elif parts:
            message, notes, members = parts[0]
            error = BaseExceptionGroup(message, [unpack_error(member) for member in members])
            for note in notes:
                error.add_note(note)
        else:
            error = Unpicklable(told)
        if not isinstance(error, BaseException):
            error = Unpicklable(f"an error came back as {error!r}")
    except Exception as failure:
        error = Unpicklable(f"{text.strip().splitlines()[-1]} (the error itself cannot be unpickled here: {failure!r})")
    error.__cause__ = RemoteTraceback(text)
    return error
