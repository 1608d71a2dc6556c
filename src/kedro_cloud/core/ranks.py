"""Provide MPI rank, size and collective operations; no other module imports mpi4py.

With `mpirun -n N kedro run …`, or in an MPI step of Azure ML, N processes ("ranks") run the same
command. Rank 0 runs all nodes, writes and tracks; the others run the nodes tagged `distributed`
with it. Without MPI there is one rank, and the operations return at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

TAG = "distributed"
"""Tag of the nodes that all ranks run together."""
_RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")

Item = TypeVar("Item")


def rank() -> int:
    """Return the rank of this process, from 0, without initialising MPI."""
    return _read_variable(_RANK, 0)


def size() -> int:
    """Return the number of ranks."""
    return _read_variable(_SIZE, 1)


def local_size() -> int:
    """Return the number of ranks on this machine."""
    return _read_variable(("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"), size())


def shard(items: Sequence[Item]) -> Sequence[Item]:
    """Return this rank's shard: every `size()`-th item, starting at the rank."""
    return items[rank() :: size()]


def broadcast(value: Item | None = None) -> Item:
    """Return rank 0's value on every rank. All ranks must call this."""
    if size() == 1:
        return value  # type: ignore[return-value]  # the only rank passes a value
    return _world().bcast(value, root=0)


def gather(value: Item) -> list[Item] | None:
    """Return the values of all ranks on rank 0, None on the others. All ranks must call this."""
    if size() == 1:
        return [value]
    return _world().gather(value, root=0)


def barrier() -> None:
    """Wait until all ranks have called this."""
    if size() > 1:
        _world().Barrier()


def abort() -> None:
    """Abort all ranks: after an error in one, the others would wait forever."""
    if size() > 1:
        _world().Abort(1)


def host() -> str:
    """Return a host name under which the other ranks reach this machine."""
    if size() == 1:
        return "127.0.0.1"
    from mpi4py import MPI

    name = MPI.Get_processor_name()
    return "127.0.0.1" if len(set(_world().allgather(name))) == 1 else name


def _world() -> Any:
    from mpi4py import MPI

    return MPI.COMM_WORLD


def _read_variable(names: Sequence[str], default: int) -> int:
    """Return the first environment variable that the MPI launcher has set."""
    return next((int(os.environ[name]) for name in names if name in os.environ), default)
