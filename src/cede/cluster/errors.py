"""How work on a cluster fails, beyond its own errors."""

from __future__ import annotations

from typing import Any

from cede.offload.errors import WorkerDied


class ClusterWorkerDied(WorkerDied):
    """The worker that had begun the work is gone. Whether the work had an effect is not known.

    ``worker`` is its address, ``pid`` its process there, None where it is not known. ``exitcode``: the status with which the function
    itself wanted to end its process, by ``sys.exit()``, and None for every other death; a worker lives on then, since others work on it.
    """

    def __init__(self, message: str, worker: str, pid: int | None = None, exitcode: int | None = None) -> None:
        super().__init__(message, pid, exitcode)
        self.worker = worker

    def __reduce__(self) -> Any:
        return (ClusterWorkerDied, (self.args[0], self.worker, self.pid, self.exitcode))


class ClusterLost(ConnectionError):
    """The scheduler is gone, or has dropped the work. Whether the work had an effect is not known."""
