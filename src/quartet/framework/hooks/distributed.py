"""Keep MPI ranks together: they meet before shared nodes, and only the first one writes."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import ranks

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


logger = logging.getLogger(__name__)


class DistributedHooks:
    """Keeps MPI ranks together: they meet before shared nodes, and only the first one writes."""

    def __init__(self) -> None:
        self._met: set[str] = set()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Let the other ranks keep their copies of the outputs to themselves."""
        self._met.clear()
        if ranks.rank() > 0:
            for name in pipeline.all_outputs():
                dataset: Any = catalog.get(name)
                dataset.save = _discard

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Wait at a shared node's first input: the first rank has then written all of them."""
        if ranks.TAG in node.tags and node.name not in self._met:
            self._met.add(node.name)
            ranks.barrier()

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """End all ranks with this one; they would wait for it for ever."""
        if ranks.size() > 1:
            from kedro_cloud.core.errors import describe

            report = f"Error: rank {ranks.rank()}: {describe(error)}"
            print(report, file=sys.stderr, flush=True)
            ranks.abort()


def _discard(data: Any) -> None:
    """Save nothing."""
