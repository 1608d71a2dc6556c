"""Log the start of each node, and add the failed node to error messages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import ranks
from kedro_cloud.core.hooks import NodeStartHooks

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


logger = logging.getLogger(__name__)


class NodeLogHooks(NodeStartHooks):
    """Log one line per node, in place of Kedro's three lines, which list all its datasets."""

    def __init__(self) -> None:
        super().__init__()
        self._positions: dict[str, str] = {}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Store the position of each node in the order of execution."""
        nodes = pipeline.nodes
        rank_text = f", rank {ranks.rank()} of {ranks.size()}" if ranks.size() > 1 else ""
        self._positions = {
            node.name: f" ({position} of {len(nodes)}{rank_text})"
            for position, node in enumerate(nodes, 1)
        }
        self.clear_starts()

    def on_node_start(self, node: Node) -> None:
        """Log the node's name and its position in the run."""
        logger.info("Running node: %s%s", node.name, self._positions.get(node.name, ""))


class ErrorContextHooks:
    """Add the failed node to its exception; `kedro_cloud.core.errors` puts it into the message."""

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Add a note with the name of the node and its input datasets, without parameters."""
        datasets = [name for name in node.inputs if not name.startswith("params:")]
        error.add_note(f"node '{node.short_name}' ({', '.join(datasets)})")
