"""Descriptors of the program's own: `add_reader`, `add_writer` and their opposites."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from cede.core.task.handle import Handle
from cede.loop.mixin import LoopMixin

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context


def number_of(fileobj: Any) -> int:
    """The descriptor of `fileobj`: an int, or anything with ``fileno()``. Raises ValueError for anything else."""
    fd = fileobj
    if not isinstance(fd, int):
        try:
            fd = int(fd.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
    if fd < 0:
        raise ValueError(f"Invalid file descriptor: {fd}")
    return fd


class WatchingMixin(LoopMixin):
    """Callbacks for descriptors that no transport owns."""

    # Number -> weak reference to the object that was watched by it: once closed, the object cannot tell any more, and is known by itself.
    _watched_objects: dict[int, Any]

    def _number_nobody_owns(self, fileobj: Any) -> int:
        fd = number_of(fileobj)
        owner = self.driver.stream_owner(fd)
        if owner is not None:
            raise RuntimeError(f"File descriptor {fileobj!r} is used by transport {owner!r}")
        return fd

    def _remember(self, fileobj: Any, number: int) -> None:
        if isinstance(fileobj, int):
            self._watched_objects.pop(number, None)
            return
        try:
            self._watched_objects[number] = weakref.ref(fileobj)
        except TypeError:
            self._watched_objects.pop(number, None)  # it cannot be referred to weakly: closed, it is nobody

    def _number_it_had(self, fileobj: Any) -> int:
        try:
            return self._number_nobody_owns(fileobj)
        except ValueError:
            for number, reference in self._watched_objects.items():
                if reference() is fileobj and self.driver.stream_owner(number) is None:
                    return number
            raise

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` whenever `fd` can be read from; replaces the reader before.

        Raises ValueError for what is no descriptor, RuntimeError where a transport owns it and on a closed loop.
        """
        self._check_closed()
        number = self._number_nobody_owns(fd)
        self._add_reader(number, callback, *args)
        self._remember(fd, number)

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Call ``callback(*args)`` whenever `fd` can be written to; replaces the writer before.

        Raises ValueError for what is no descriptor, RuntimeError where a transport owns it and on a closed loop.
        """
        self._check_closed()
        number = self._number_nobody_owns(fd)
        self._add_writer(number, callback, *args)
        self._remember(fd, number)

    def remove_reader(self, fd: Any) -> bool:
        """Returns whether `fd` had a reader. An object that was closed meanwhile is known all the same.

        Raises as `add_reader`, except on a closed loop, which has none.
        """
        return not self.is_closed() and self._remove_reader(self._number_it_had(fd))

    def remove_writer(self, fd: Any) -> bool:
        """Returns whether `fd` had a writer. An object that was closed meanwhile is known all the same.

        Raises as `add_writer`, except on a closed loop, which has none.
        """
        return not self.is_closed() and self._remove_writer(self._number_it_had(fd))

    # Without the question who owns it: the driver refuses what a transport of ours owns.

    def _add_reader(
        self, fd: int, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        self._check_closed()
        self._check_thread()
        handle = Handle(callback, args, self, context)
        self.driver.add_reader(fd, handle)
        return handle

    def _add_writer(
        self, fd: int, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        self._check_closed()
        self._check_thread()
        handle = Handle(callback, args, self, context)
        self.driver.add_writer(fd, handle)
        return handle

    def _remove_reader(self, fd: int) -> bool:
        return not self.is_closed() and bool(self.driver.remove_reader(fd))

    def _remove_writer(self, fd: int) -> bool:
        return not self.is_closed() and bool(self.driver.remove_writer(fd))
