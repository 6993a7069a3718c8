"""Independent pieces of work in sequence, in several processes, or on a Ray cluster, with the same results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nashlab.errors import BadInput, first_line

__all__ = ["KEPT", "Cluster", "in_parallel"]

Advance = Callable[[str], object]
PATIENCE = 10.0
"""Seconds in which a cluster must answer."""
KEPT = "kept"
"""What progress calls work that was finished before."""


@dataclass(frozen=True)
class Cluster:
    """Where work runs: in this process (one worker), in ``workers`` processes, or on Ray.

    ray   None, "local" (starts a cluster of ``workers`` processors here), "auto" or the address of a running cluster,
          whose machines must share the folder of the results.
    gpus  per piece of work on a Ray cluster; may be a fraction.
    """

    workers: int = 1
    ray: str | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise BadInput(f"workers = {self.workers}, must be at least 1")
        if not 0 <= self.gpus < math.inf:
            raise BadInput(f"gpus = {self.gpus}, must be finite and at least 0")


def in_parallel(
    work: Callable[..., None],
    pieces: Sequence[tuple[Any, ...]],
    cluster: Cluster | None = None,
    advance: Advance = lambda name: None,
) -> None:
    """Call ``work(*piece)`` for every piece, in any order; the first failure is raised, finished work is kept.

    Raises :class:`BadInput` if Ray is requested but not installed.
    """
    cluster = cluster or Cluster()
    if not pieces:
        return
    if cluster.ray is not None:
        _by_ray(work, pieces, cluster, advance)
    elif cluster.workers == 1 or len(pieces) < 2:
        for piece in pieces:
            work(*piece)
            advance("run")
    else:
        _by_processes(work, pieces, cluster.workers, advance)


def _by_processes(work: Callable[..., None], pieces: Sequence[tuple[Any, ...]], workers: int, advance: Advance) -> None:
    from concurrent.futures import as_completed

    from nashlab.processes import process_pool

    with process_pool(min(workers, len(pieces))) as pool:
        for done in as_completed([pool.submit(work, *piece) for piece in pieces]):
            done.result()
            advance("run")


def _knock(address: str) -> None:
    """OSError if nobody listens at host:port: Ray itself would try for minutes."""
    import socket

    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), PATIENCE).close()


def _by_ray(work: Callable[..., None], pieces: Sequence[tuple[Any, ...]], cluster: Cluster, advance: Advance) -> None:
    import logging

    try:
        import ray
    except ImportError:
        raise BadInput("ray is not installed, must be for a sweep: pip install 'nashlab[sweep]'") from None
    local = cluster.ray == "local"
    address: dict[str, Any] = {"num_cpus": cluster.workers} if local else {"address": cluster.ray}
    try:
        _knock(str(cluster.ray))
        ray.init(**address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, ValueError) as error:
        raise BadInput(
            f"address = {cluster.ray!r} is not a Ray cluster that can be reached ({first_line(error)})"
        ) from error
    try:
        if cluster.gpus > ray.cluster_resources().get("GPU", 0):
            raise BadInput(f"gpus = {cluster.gpus}, must be at most what the cluster has, or work never starts")
        remote = ray.remote(num_cpus=1, num_gpus=cluster.gpus, max_retries=2)(work)
        waiting = [remote.remote(*piece) for piece in pieces]
        while waiting:
            done, waiting = ray.wait(waiting)
            try:
                ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            advance("run")
    finally:
        ray.shutdown()
