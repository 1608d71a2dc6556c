"""Run a pipeline on several MPI ranks; a run with one process uses Kedro's own runner."""

from __future__ import annotations

from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from kedro_cloud.core import ranks


class RankRunner(SequentialRunner):
    """Run every node on rank 0, and the shared nodes on all other ranks in the same order.

    Rank 0 determines nodes and order for all. The other ranks skip the nodes between shared ones,
    so dependencies alone would not determine their order.
    """

    def run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """Run as Kedro does; rank 0 decides for all ranks which outputs are missing."""
        first = ranks.rank() == 0
        return super().run(pipeline, catalog, hook_manager, run_id, only_missing_outputs and first)

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        shared = [node.name for node in pipeline.nodes if ranks.TAG in node.tags]
        order = ranks.broadcast(shared)
        if ranks.rank() == 0:
            super()._run(pipeline, catalog, hook_manager, run_id)
            return
        for name in order:
            super()._run(pipeline.only_nodes(name), catalog, hook_manager, run_id)
