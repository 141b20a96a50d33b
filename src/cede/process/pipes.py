"""The ends of a child's pipes that are ours: protocols that pass on to the subprocess transport what their pipes tell."""

from __future__ import annotations

from asyncio import protocols
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cede.process.transport import SubprocessTransport


class ChildInput(protocols.BaseProtocol):
    """What we write to: the child's standard input."""

    def __init__(self, owner: SubprocessTransport, fd: int) -> None:
        self._owner: SubprocessTransport | None = owner
        self._fd = fd
        self.pipe: Any = None

    @property
    def disconnected(self) -> bool:
        """Whether the pipe is gone for good."""
        return self._owner is None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} fd={self._fd} pipe={self.pipe!r}>"

    def connection_made(self, transport: Any) -> None:
        """`transport` is the pipe's own."""
        self.pipe = transport

    def connection_lost(self, exc: BaseException | None) -> None:
        """The pipe is closed, by either side."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.pipe_lost(self._fd, exc)

    def pause_writing(self) -> None:
        """Too much is queued for the pipe."""
        if self._owner is not None:
            self._owner.tell_flow("pause_writing")

    def resume_writing(self) -> None:
        """The pipe's queue has been drained."""
        if self._owner is not None:
            self._owner.tell_flow("resume_writing")


class ChildOutput(ChildInput, protocols.Protocol):
    """What we read from: the child's standard output, or its standard error."""

    def data_received(self, data: bytes) -> None:
        """The child wrote `data`."""
        if self._owner is not None:
            self._owner.pipe_data(self._fd, data)
