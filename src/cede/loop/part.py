"""What the parts of the loop know of each other; an empty class when the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop

    from cede.loop.borrowed import Borrowed

    class Part(AbstractEventLoop):
        """A loop as its parts see it: asyncio's methods, and what the kernel below adds to them."""

        # The kernel's.
        driver: Any
        slow_callback_duration: float
        slow_cancel_duration: float | None
        _debug: bool
        _stopping: bool
        _state: int
        _thread_id: int | None

        def run_until_stopped(self) -> int: ...
        def ready_count(self) -> int: ...
        def timer_count(self) -> int: ...
        def _check_closed(self) -> None: ...
        def _check_thread(self) -> None: ...
        def _drop_all(self) -> int: ...

        # The parts', of one another.
        _home_pid: int
        _ready_to_close: bool
        _borrowed: Borrowed

        def _mark_closed(self) -> None: ...
        def _close_signals(self) -> None: ...
        def _give_signals_back_in_child(self) -> None: ...
        def _release_children(self) -> None: ...
        def _close_executor(self) -> None: ...
        def _close_names(self) -> None: ...
        def _forget_names(self) -> None: ...
        def _check_sock(self, sock: Any) -> None: ...
        def _add_reader(self, fd: int, callback: Any, *args: Any) -> Any: ...
        def _add_writer(self, fd: int, callback: Any, *args: Any) -> Any: ...
        def _remove_reader(self, fd: int) -> bool: ...
        def _remove_writer(self, fd: int) -> bool: ...
        async def _resolve(self, address: Any, *, family: int = ..., type: int = ..., proto: int = ..., flags: int = ...) -> list[Any]: ...
        def _start_stream(
            self,
            sock: Any,
            protocol: asyncio.BaseProtocol,
            waiter: Any = ...,
            *,
            ssl: Any = ...,
            server_side: bool = ...,
            server_hostname: str | None = ...,
            extra: dict[str, Any] | None = ...,
            server: Any = ...,
            ssl_handshake_timeout: float | None = ...,
            ssl_shutdown_timeout: float | None = ...,
        ) -> asyncio.Transport: ...

else:

    class Part:
        """An idea of the loop in a file of its own; `EventLoop` puts them together."""
