"""What a program calls. The Dask packages are imported when it does, and not before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from cede.cluster.current import current

if TYPE_CHECKING:
    from cede.cluster.session import Cluster


def cluster(
    address: Any = None,
    *,
    workers: int | None = None,
    threads: int | None = None,
    timeout: float = 30,
    retries: int = 0,
    **options: Any,
) -> Cluster:
    """``async with cluster("tcp://scheduler:8786") as c``: work on the workers of a Dask scheduler. Without an address a local one is
    started: processes that end with the block.

    address: of a scheduler, or a client or a cluster of Dask's own, to whose scheduler a connection is made; those stay open. workers,
    threads: how many processes of how many threads, for a local cluster. `options` go to ``distributed.LocalCluster``, or with an address
    to ``distributed.Client``: ``security=`` for example. timeout: seconds in which the scheduler must answer, and must be there again
    where the connection to it is lost. retries: how often work is done again whose worker died.

    Raises ModuleNotFoundError where `distributed` is not installed; entering it raises ConnectionError where no scheduler answers.
    """
    try:
        from cede.cluster.session import Cluster
    except ModuleNotFoundError as error:
        if error.name not in ("distributed", "dask", "cloudpickle"):
            raise
        raise ModuleNotFoundError(
            f"cede.cluster needs the distributed package, and {error.name} is missing: pip install 'cede[cluster]'", name=error.name
        ) from error
    return Cluster(address, workers=workers, threads=threads, timeout=timeout, retries=retries, options=options)


async def to_cluster(function: Any, /, *args: Any, retries: int | None = None, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)`` on a worker of the cluster in whose block we are; its result, or its error.

    limit: how many calls of this function are waited for at a time, or a limiter such as a semaphore, as for the verbs beside it. retries:
    how often it is done again where its worker dies. Raises RuntimeError outside of a ``async with cede.cluster()`` block; see
    ``Cluster.run`` for the rest.
    """
    here = current.get(None)
    if here is None:
        raise RuntimeError("to_cluster() needs a cluster: call it inside of `async with cede.cluster()`")
    if "limit" not in kwargs:
        return await here.run(function, *args, retries=retries, **kwargs)
    from cede.offload.limits import enter, take_limit
    from cede.offload.loop_state import loop_state_of

    limit = take_limit(function, kwargs)
    if limit is None:
        return await here.run(function, *args, retries=retries, **kwargs)
    leave = await enter(loop_state_of(asyncio.get_running_loop()), "to_cluster", function, limit)
    try:
        return await here.run(function, *args, retries=retries, **kwargs)
    finally:
        leave()
