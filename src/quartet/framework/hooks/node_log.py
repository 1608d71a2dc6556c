"""Log the start of each node, and add the node's name to its errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import ranks
from kedro_cloud.core.hooks import NodeStart

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


logger = logging.getLogger(__name__)


class LogHooks(NodeStart):
    """Log each node in one line; Kedro logs three, with every dataset of the node."""

    def __init__(self) -> None:
        super().__init__()
        self._positions: dict[str, str] = {}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Number the nodes in the order of execution."""
        nodes = pipeline.nodes
        rank = f", rank {ranks.rank()} of {ranks.size()}" if ranks.size() > 1 else ""
        self._positions = {
            node.name: f" ({index} of {len(nodes)}{rank})" for index, node in enumerate(nodes, 1)
        }
        self.clear_starts()

    def on_node_start(self, node: Node) -> None:
        """Log the node's name and its position in the run."""
        logger.info("Running node: %s%s", node.name, self._positions.get(node.name, ""))


class ErrorContextHooks:
    """Add the failed node to an exception, for the one-line error message."""

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Add a note with the node and its input datasets."""
        datasets = [name for name in node.inputs if not name.startswith("params:")]
        error.add_note(f"node '{node.short_name}' ({', '.join(datasets)})")
