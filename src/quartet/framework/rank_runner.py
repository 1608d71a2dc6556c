"""How several MPI ranks run one pipeline; a plain run uses Kedro's own runner."""

from __future__ import annotations

from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from kedro_cloud.core import ranks


class RankRunner(SequentialRunner):
    """Runs every node on the first rank, and on the others the shared ones in the same order.

    Which nodes a run has, and in which order, the first rank decides for all: the others hold
    shared nodes without those between them, whose dependencies would leave the order open.
    """

    def run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """As Kedro's; outputs that the first rank misses are made by all."""
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
