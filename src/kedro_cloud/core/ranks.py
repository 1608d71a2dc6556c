"""Which of several processes this is: the only place that knows MPI.

Started by `mpirun -n N kedro run …`, or as an MPI step of Azure ML, N processes
("ranks") run the same command. Rank 0 does all the work that is not shared, and
alone writes and tracks; the others join it in the nodes tagged `distributed`.
Started plainly, there is one rank and everything here is trivial.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

TAG = "distributed"
"""Nodes with this tag are run by all ranks together."""
_RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")

Item = TypeVar("Item")


def rank() -> int:
    """Number of this process, from 0; told by the launcher, without starting MPI."""
    return _told(_RANK, 0)


def size() -> int:
    """Number of processes."""
    return _told(_SIZE, 1)


def local_size() -> int:
    """Number of processes on this machine."""
    return _told(("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"), size())


def shard(items: Sequence[Item]) -> Sequence[Item]:
    """This rank's share: every `size()`-th item, so that all are taken and none twice."""
    return items[rank() :: size()]


def broadcast(value: Item | None = None) -> Item:
    """Rank 0's value, on every rank. All ranks must call this."""
    if size() == 1:
        return value  # type: ignore[return-value]  # the only rank is the one that has it
    return _world().bcast(value, root=0)


def gather(value: Item) -> list[Item] | None:
    """The values of all ranks on rank 0, None on the others. All ranks must call this."""
    if size() == 1:
        return [value]
    return _world().gather(value, root=0)


def barrier() -> None:
    """Wait until all ranks are here."""
    if size() > 1:
        _world().Barrier()


def abort() -> None:
    """End all ranks at once: one that failed would leave the others waiting for ever."""
    if size() > 1:
        _world().Abort(1)


def host() -> str:
    """A name by which the other ranks reach this machine."""
    if size() == 1:
        return "127.0.0.1"
    from mpi4py import MPI

    name = MPI.Get_processor_name()
    return "127.0.0.1" if len(set(_world().allgather(name))) == 1 else name


def _world() -> Any:
    from mpi4py import MPI

    return MPI.COMM_WORLD


def _told(names: Sequence[str], otherwise: int) -> int:
    return next((int(os.environ[name]) for name in names if name in os.environ), otherwise)
