"""Asynchronous generators: the loop knows which are being iterated, and closes those that nobody finishes."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

from cede.core.weak_ordered_set import WeakOrderedSet
from cede.loop.mixin import LoopMixin

if TYPE_CHECKING:
        from collections.abc import AsyncGenerator


class AsyncgensMixin(LoopMixin):
    """What the interpreter's two hooks call, which are installed for as long as the loop runs."""

    _asyncgens: WeakOrderedSet
    _asyncgens_dropped: dict[asyncio.Task[None], Any]  # those that nobody holds any more, by the task that closes them
    _asyncgens_shutdown_called = False

    def _asyncgen_begun(self, agen: AsyncGenerator[Any, Any]) -> None:
        if self._asyncgens_shutdown_called:
            warnings.warn(
                f"asynchronous generator {agen!r} was iterated after loop.shutdown_asyncgens(): nobody will close it",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
        self._asyncgens.add(agen)

    def _asyncgen_abandoned(self, agen: AsyncGenerator[Any, Any]) -> None:
        # The collector calls this, on whatever thread it happens to run.
        self._asyncgens.discard(agen)
        if not self.is_closed():
            self.call_soon_threadsafe(self._close_dropped, agen, agen.aclose())

    def _close_dropped(self, agen: Any, closing: Any) -> None:
        task = self.create_task(closing)
        self._asyncgens_dropped[task] = agen
        task.add_done_callback(self._dropped_is_closed)

    def _dropped_is_closed(self, task: asyncio.Task[None]) -> None:
        self._asyncgens_dropped.pop(task, None)

    async def shutdown_asyncgens(self) -> None:
        """Close all asynchronous generators that are still open; what one raises meanwhile goes to the exception
        handler.
        """
        closing = self._close_asyncgens()
        if closing:
            await asyncio.gather(*closing, return_exceptions=True)
            for task, agen in closing.items():
                self._tell_of_asyncgen(agen, task)

    def _close_asyncgens(self) -> dict[asyncio.Future[None], Any]:
        """Begin to close those that are open; the tasks that do it, each with its generator."""
        self._asyncgens_shutdown_called = True
        closing = list(self._asyncgens)
        self._asyncgens.clear()
        return {asyncio.ensure_future(agen.aclose()): agen for agen in closing}

    def _tell_of_asyncgen(self, agen: Any, task: asyncio.Future[None]) -> None:
        """What the closing has raised."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.call_exception_handler(
                {
                    "message": f"an error occurred during closing of asynchronous generator {agen!r}",
                    "exception": error,
                    "asyncgen": agen,
                }
            )
