"""Synchronise MPI ranks before shared nodes, and let only rank 0 write."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import ranks

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


class DistributedHooks:
    """Synchronise MPI ranks before shared nodes, and let only rank 0 write."""

    def __init__(self) -> None:
        self._synchronised: set[str] = set()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Discard the outputs of all ranks but 0."""
        self._synchronised.clear()
        if ranks.rank() > 0:
            for name in pipeline.all_outputs():
                dataset: Any = catalog.get(name)
                dataset.save = _discard

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Wait at the first input of a shared node, until rank 0 has written all inputs."""
        if ranks.TAG in node.tags and node.name not in self._synchronised:
            self._synchronised.add(node.name)
            ranks.barrier()

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Abort all ranks: the others would wait for this one forever."""
        if ranks.size() > 1:
            from kedro_cloud.core.errors import describe

            report = f"Error: rank {ranks.rank()}: {describe(error)}"
            print(report, file=sys.stderr, flush=True)
            ranks.abort()


def _discard(data: Any) -> None:
    """Save nothing."""
