"""Hooks that others build on: the start of a node, and runs without tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kedro.framework.hooks import hook_impl

if TYPE_CHECKING:
    from kedro.pipeline.node import Node


class NodeStart:
    """Base of hooks that act when a node starts.

    A node starts with the loading of its first input, or with its run if it has no inputs.
    Subclasses override `on_node_start`, and call `clear_starts` before each pipeline run.
    """

    def __init__(self) -> None:
        self._started_nodes: set[str] = set()

    def on_node_start(self, node: Node) -> None:
        """Act on the start of a node; called once per node and run."""
        raise NotImplementedError

    def clear_starts(self) -> None:
        """Begin a new run, in which every node starts again."""
        self._started_nodes.clear()

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self, node: Node) -> None:
        """Recognise the start of a node with inputs."""
        self._start(node)

    @hook_impl(tryfirst=True)
    def before_node_run(self, node: Node) -> None:
        """Recognise the start of a node without inputs."""
        self._start(node)

    def _start(self, node: Node) -> None:
        if node.name not in self._started_nodes:
            self._started_nodes.add(node.name)
            self.on_node_start(node)


class NoTracking:
    """Takes kedro-mlflow's place: Kedro does not even import hooks of a name that is taken."""

    __name__ = "mlflow_hook"  # as the plugin's entry point is called
