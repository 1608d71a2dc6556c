"""Combine pipelines so that they run one after the other, and collapse in Kedro-Viz."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from kedro.pipeline import Node, Pipeline

_FIGURE = "_figure"
"""Suffix of the datasets of figures."""
_MAX_OUTPUTS = 9
"""Outputs of a pipeline that are readable side by side in Kedro-Viz."""
_NAME_FILTERS = {"from_nodes", "to_nodes", "node_names"}
"""Arguments of `Pipeline.filter` that contain names of nodes."""


class Scenarios(Pipeline):
    """Pipelines in namespaces of their own, run one after the other in the order given.

    Kedro runs all nodes without dependencies first, so that pipelines of one run would interleave.
    """

    def __init__(self, nodes: Iterable[Node | Pipeline], namespace: str | None = None) -> None:
        """Store the order of the namespaces, and combine the nodes.

        Args:
            nodes: Nodes and pipelines in the order to run; the same node may be in several.
            namespace: Namespace to put the nodes into; names of datasets do not change.
        """
        parts = [part.nodes if isinstance(part, Pipeline) else [part] for part in nodes]
        given = list(dict.fromkeys(node for part in parts for node in part))
        self._order = [namespace] if namespace else list(dict.fromkeys(map(_scenario, given)))
        super().__init__(given, namespace=namespace, prefix_datasets_with_namespace=False)

    @cached_property
    def _ordered_nodes(self) -> list[Node]:
        """Return the nodes by namespace; a namespace comes after those that it depends on."""
        groups: dict[str, list[Node]] = {name: [] for name in self._order}
        depends_on: dict[str, set[str]] = {name: set() for name in self._order}
        for node in super().nodes:
            groups[_scenario(node)].append(node)
            depends_on[_scenario(node)] |= set(map(_scenario, self.node_dependencies[node]))
        ordered: dict[str, list[Node]] = {}
        while remaining := [name for name in groups if name not in ordered]:
            ready = (name for name in remaining if depends_on[name] <= {*ordered, name})
            if (name := next(ready, None)) is None:  # they depend on each other
                return super().nodes
            ordered[name] = groups[name]
        return [node for nodes in ordered.values() for node in nodes]

    @property
    def nodes(self) -> list[Node]:
        """Return the nodes in the order of execution."""
        return list(self._ordered_nodes)

    def __add__(self, other: Any) -> Pipeline:
        """Return the sum, in which the nodes of `other` come last."""
        return Scenarios([self, other]) if isinstance(other, Pipeline) else NotImplemented

    def __radd__(self, other: Any) -> Pipeline:
        """Return the sum; Python calls it before `Pipeline.__add__`, as a session needs it."""
        return Scenarios([other, self]) if isinstance(other, Pipeline) else super().__radd__(other)

    def filter(self, *args: Any, **filters: Any) -> Pipeline:
        """Return the selected nodes in the same order; names need no namespace."""
        for option in filters.keys() & _NAME_FILTERS:
            if names := filters[option]:
                filters[option] = [self._full_name(name) for name in names]
        selected = set(super().filter(*args, **filters).nodes)
        return Scenarios(node for node in self.nodes if node in selected)

    def _full_name(self, name: str) -> str:
        """Return the name with its namespace, if exactly one node has it; else `name`."""
        found = [node.name for node in self.nodes if name in (node.name, node.short_name)]
        return found[0] if len(found) == 1 else name

    def only_nodes_with_namespaces(self, node_namespaces: list[str]) -> Pipeline:
        """Return the nodes of namespaces, as Kedro-Viz needs them for its collapsed boxes.

        Kedro-Viz draws the inputs and outputs of a collapsed box beside it, and all others inside.
        Of several pipelines too many would be drawn to be read, so only what other nodes use is
        left; of one pipeline its inputs, and its outputs without figures, unless they are many.
        """
        selected = super().only_nodes_with_namespaces(node_namespaces)
        drawn = (self - selected).datasets()
        if len(self._order) == 1:
            outputs = {name for name in self.outputs() if not name.endswith(_FIGURE)}
            drawn |= self.inputs() | (outputs if len(outputs) <= _MAX_OUTPUTS else set())
        return _CollapsedBox(selected, drawn)


class _CollapsedBox(Pipeline):
    """Nodes whose inputs and outputs are only those to draw beside a collapsed box."""

    def __init__(self, nodes: Pipeline, drawn: set[str]) -> None:
        super().__init__(nodes)
        self._drawn = drawn

    def inputs(self) -> set[str]:
        """Return the inputs to draw, and parameters, which Kedro-Viz would draw otherwise."""
        return {each for each in super().inputs() if each in self._drawn or ":" in each}

    def outputs(self) -> set[str]:
        """Return the outputs to draw."""
        return super().outputs() & self._drawn


def _scenario(node: Node) -> str:
    """Return the outermost namespace of a node."""
    return (node.namespace or "").partition(".")[0]
