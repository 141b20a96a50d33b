"""How work on a cluster fails, beyond its own errors."""

from __future__ import annotations

from typing import Any

from cede.offload.errors import WorkerDied


class ClusterWorkerDied(WorkerDied):
    """The worker that had begun the work is gone. Whether the work had an effect is not known.

    ``worker`` is its address, ``pid`` its process there, None where it is not known.
    """

    def __init__(self, message: str, worker: str, pid: int | None = None) -> None:
        super().__init__(message, pid)
        self.worker = worker

    def __reduce__(self) -> Any:
        return (ClusterWorkerDied, (self.args[0], self.worker, self.pid))


class ClusterLost(ConnectionError):
    """The scheduler is gone, or has dropped the work. Whether the work had an effect is not known."""
