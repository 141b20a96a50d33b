"""What the primitives raise. asyncio's own classes where asyncio has them, so ``except asyncio.QueueEmpty`` catches ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

QueueEmpty = asyncio.QueueEmpty
QueueFull = asyncio.QueueFull
BrokenBarrierError = asyncio.BrokenBarrierError

if TYPE_CHECKING or not hasattr(asyncio, "QueueShutDown"):

    class QueueShutDown(Exception):
        """Raised by ``put`` and ``get`` of a queue that was shut down."""

else:
    QueueShutDown = asyncio.QueueShutDown


class WouldBlock(Exception):
    """Raised by the ``_nowait`` methods of a channel where the other methods would have to wait."""


class EndOfChannel(Exception):
    """Raised by ``receive``: everything was received, and all senders are closed. Nothing more will come."""


class ClosedResourceError(Exception):
    """Raised by the methods of a channel's end that was closed on this side."""


class BrokenResourceError(Exception):
    """Raised by ``send``: all receivers are closed, so nobody would ever get the item."""
