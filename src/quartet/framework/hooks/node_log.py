"""Log the start and the time of each node, and add the failed node to error messages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import ranks
from kedro_cloud.core.console import format_duration
from kedro_cloud.core.hooks import NodeStartHooks

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


logger = logging.getLogger(__name__)


class NodeLogHooks(NodeStartHooks):
    """Log when a node starts and how long it took; Kedro's lines list all its datasets.

    A node has ended when its last output is saved. No hook tells which save is the last one, as a
    generator saves an output in parts, so the line is logged when the next node starts.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Create the hooks; `clock` returns seconds and is replaced in tests."""
        super().__init__()
        self._clock = clock
        self._positions: dict[str, str] = {}
        self._starts: dict[str, float] = {}
        self._ends: dict[str, float] = {}
        self._unsaved: dict[str, set[str]] = {}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Store the position of each node in the order of execution."""
        nodes = pipeline.nodes
        rank_text = f", rank {ranks.rank()} of {ranks.size()}" if ranks.size() > 1 else ""
        self._positions = {
            node.name: f" ({position} of {len(nodes)}{rank_text})"
            for position, node in enumerate(nodes, 1)
        }
        for times in (self._starts, self._ends, self._unsaved):
            times.clear()
        self.clear_starts()

    @hook_impl(trylast=True)
    def after_node_run(self, node: Node) -> None:
        """Record the end of a node without outputs."""
        self._ends[node.name] = self._clock()

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Record the end of a node with outputs."""
        self._unsaved[node.name].discard(dataset_name)
        self._ends[node.name] = self._clock()

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Log the time of the last node."""
        self._log_times()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Log the times of nodes that ended before the error."""
        self._log_times()

    def _log_times(self) -> None:
        """Log the time of each node that has ended since the last call."""
        for name in [name for name in self._ends if not self._unsaved[name]]:
            duration = format_duration(self._ends.pop(name) - self._starts[name])
            logger.info("Completed node: %s in %s", name, duration)

    def on_node_start(self, node: Node) -> None:
        """Log the node's name and its position in the run."""
        self._log_times()
        self._starts[node.name] = self._clock()
        self._unsaved[node.name] = set(node.outputs)
        logger.info("Running node: %s%s", node.name, self._positions.get(node.name, ""))


class ErrorContextHooks:
    """Add the failed node to its exception; `kedro_cloud.core.errors` puts it into the message."""

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Add a note with the name of the node and its input datasets, without parameters."""
        datasets = [name for name in node.inputs if not name.startswith("params:")]
        error.add_note(f"node '{node.short_name}' ({', '.join(datasets)})")
