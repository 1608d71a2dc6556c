"""Provide base hooks: the start of a node, and runs without tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

if TYPE_CHECKING:
    from kedro.pipeline.node import Node


class NodeStartHooks:
    """Base of hooks that act when a node starts.

    A node starts when its first input is loaded, or when it runs if it has no inputs.
    Subclasses override `on_node_start`, and call `clear_starts` before each pipeline run.
    """

    def __init__(self) -> None:
        self._started_nodes: set[str] = set()

    def on_node_start(self, node: Node) -> None:
        """Handle the start of a node; called once per node and run."""
        raise NotImplementedError

    def clear_starts(self) -> None:
        """Clear the set of started nodes, for a new run."""
        self._started_nodes.clear()

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self, node: Node) -> None:
        """Detect the start of a node with inputs."""
        self._start(node)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node) -> None:
        """Detect the start of a node without inputs."""
        self._start(node)

    def _start(self, node: Node) -> None:
        if node.name not in self._started_nodes:
            self._started_nodes.add(node.name)
            self.on_node_start(node)


class NoTracking:
    """Replace kedro-mlflow's hooks: Kedro does not import a plugin whose name is registered."""

    __name__ = "mlflow_hook"  # name of kedro-mlflow's entry point
