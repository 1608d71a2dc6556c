"""Log the start of each node, and name the node that an error comes from."""

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
    """Logs each node in one line; Kedro's own three lines name every dataset of it."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, str] = {}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Number the nodes in the order in which they run."""
        nodes, rank = pipeline.nodes, ranks.rank()
        on = f", rank {rank} of {ranks.size()}" if ranks.size() > 1 else ""
        self._numbers = {
            node.name: f" ({number} of {len(nodes)}{on})" for number, node in enumerate(nodes, 1)
        }
        self.clear_starts()

    def on_node_start(self, node: Node) -> None:
        """Log the node's name and its place in the run."""
        logger.info("Running node: %s%s", node.name, self._numbers.get(node.name, ""))


class ErrorContextHooks:
    """Adds to an exception which node it came from, for the one-line report."""

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Name the node and the datasets it received; Kedro itself names those it loads."""
        datasets = [name for name in node.inputs if not name.startswith("params:")]
        error.add_note(f"node '{node.short_name}' ({', '.join(datasets)})")
