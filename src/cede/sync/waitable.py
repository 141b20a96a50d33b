# cython: auto_pickle=False
"""Waitable: a primitive with one line of those who wait. The line is made when somebody first has to."""

from __future__ import annotations

from typing import Any

from cede.sync.loop_bound import LoopBound
from cede.sync.parking_lot import ParkingLot

try:
    import cython
except ModuleNotFoundError:
    from cede.core.pure import cython_shim as cython


class Waitable(LoopBound):
    """The base of locks, semaphores, events and conditions. It can be copied and pickled where `kept` says what is to be kept."""

    if not cython.compiled:
        waiting: Any = None

    def line(self) -> Any:
        if self.waiting is None:
            self.waiting = ParkingLot()
        return self.waiting

    @property
    def _waiters(self) -> Any:
        return self.line()

    def kept(self) -> Any:
        """The fields of a copy, by name; None where there can be none."""
        return None

    def __reduce__(self) -> Any:
        fields = self.kept()
        if fields is None:
            return LoopBound.__reduce__(self)
        if self.waiting is not None and self.waiting.count:
            raise TypeError(f"cannot copy {self!r}: tasks wait for it")
        return rebuilt, (type(self), fields, self.__dict__ or None)


def rebuilt(kind: type[Waitable], fields: dict[str, Any], attributes: dict[str, Any] | None) -> Waitable:
    """For copies and pickles."""
    primitive = kind.__new__(kind)
    for name, value in fields.items():
        setattr(primitive, name, value)
    if attributes:
        primitive.__dict__.update(attributes)
    return primitive
