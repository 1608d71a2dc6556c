"""Pipelines as steps of Azure ML: cheap neighbours share a container, shared nodes get machines.

Each step of a job starts a container and imports everything anew. So nodes with the
tag `step.NAME` become one step NAME; a node without one is a step by itself. Within a
step nodes run as they do anywhere, one after the other, each with its own datasets and
hooks: a result is the same, and what one has saved is safe when the next one fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from types import SimpleNamespace
from typing import Any, get_type_hints

from kedro.pipeline import Node, Pipeline
from kedro_azureml.distributed import distributed_job
from kedro_azureml.distributed.config import Framework

from kedro_cloud import compat
from kedro_cloud.core import ranks

TAG = "step."
"""What the tag of a node begins with that shares a step with others; then comes the step's name."""
NODES = "step_nodes"
"""Parameter: machines by step that ranks share, as in `step_nodes: {tune_ranker: 2}`."""
PROCESSES = "step_processes"
"""Parameter: ranks a machine, by step."""


class Steps(Pipeline):
    """A pipeline that shows itself as steps, and runs as the nodes these are made of.

    Attributes:
        plain: The pipeline of nodes.
        members: Names of the nodes of each step, in the order they run.
    """

    def __init__(self, plain: Pipeline, compute: Collection[str] = ()) -> None:
        """Group the nodes into steps.

        Args:
            plain: The pipeline of nodes.
            compute: Tags that choose a cluster.

        Raises:
            ValueError: A step would have to wait for itself, has a distributed node beside
                others, or wants two clusters.
        """
        groups = _groups(plain)
        _check_circles(groups, plain)
        for name, nodes in groups.items():
            _check_step(name, nodes, compute)
        super().__init__([_step(name, nodes, plain) for name, nodes in groups.items()])
        self.plain = plain
        self.members = {name: [node.name for node in nodes] for name, nodes in groups.items()}
        self._compute = compute

    def __add__(self, other: Any) -> Pipeline:
        """Both as steps; a session joins the pipelines it runs."""
        if not isinstance(other, Pipeline):
            return NotImplemented
        plain = other.plain if isinstance(other, Steps) else other
        return Steps(self.plain + plain, self._compute)

    def __radd__(self, other: Any) -> Pipeline:
        """The same from the right: defined here, so that Python asks this class first."""
        return super().__radd__(other)

    def filter(
        self,
        tags: Iterable[str] | None = None,
        from_nodes: Iterable[str] | None = None,
        to_nodes: Iterable[str] | None = None,
        node_names: Iterable[str] | None = None,
        from_inputs: Iterable[str] | None = None,
        to_outputs: Iterable[str] | None = None,
        node_namespaces: Iterable[str] | None = None,
    ) -> Pipeline:
        """The nodes to run, as Kedro's; a step stands for its nodes, which may be named as well."""
        return self.plain.filter(
            tags=tags,
            from_nodes=self._nodes_of(from_nodes),
            to_nodes=self._nodes_of(to_nodes),
            node_names=self._nodes_of(node_names),
            from_inputs=from_inputs,
            to_outputs=to_outputs,
            node_namespaces=node_namespaces,
        )

    def _nodes_of(self, names: Iterable[str] | None) -> list[str] | None:
        if names is None:
            return None
        return [node for name in names for node in self.members.get(name, [name])]


def _groups(plain: Pipeline) -> dict[str, list[Node]]:
    """The nodes of each step, all in the order in which they run."""
    groups: dict[str, list[Node]] = {}
    for node in plain.nodes:
        groups.setdefault(step_name(node), []).append(node)
    tagged = {step_name(node) for node in plain.nodes if step_name(node) != node.name}
    if taken := sorted(tagged & {node.name for node in plain.nodes}):
        raise ValueError(f"step '{taken[0]}' has the name of a node; give it another")
    return groups


def step_name(node: Node) -> str:
    """The step that a node belongs to.

    Raises:
        ValueError: It is tagged for two.
    """
    steps = sorted(tag.removeprefix(TAG) for tag in node.tags if tag.startswith(TAG))
    if len(steps) > 1:
        raise ValueError(f"node '{node.name}' is tagged for two steps: {', '.join(steps)}")
    return steps[0] if steps else node.name


def _check_circles(groups: Mapping[str, list[Node]], plain: Pipeline) -> None:
    """Raise if a step needs what is made, elsewhere, of its own outputs."""
    waits_for = {
        name: {step_name(parent) for node in nodes for parent in plain.node_dependencies[node]}
        - {name}
        for name, nodes in groups.items()
    }
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise ValueError(
            f"steps would wait for one another: {circle}; tag fewer nodes for one step"
        ) from error


def _check_step(name: str, nodes: list[Node], compute: Collection[str]) -> None:
    shared = [node.name for node in nodes if ranks.TAG in node.tags]
    if shared and len(nodes) > 1:
        raise ValueError(
            f"step '{name}': node '{shared[0]}' runs on several machines, so it must be a step by "
            "itself"
        )
    wanted = sorted(_tags(nodes) & set(compute))
    if len(wanted) > 1:
        raise ValueError(f"step '{name}' wants two clusters: {', '.join(wanted)}")


def _tags(nodes: Iterable[Node]) -> set[str]:
    tags = set().union(*(node.tags for node in nodes))
    return {tag for tag in tags if not tag.startswith(TAG)}


def _step(name: str, nodes: list[Node], plain: Pipeline) -> Node:
    """A step's inputs from outside, and those outputs that other steps read.

    What nobody else reads is where its catalog entry says, so the job need not carry it.
    """
    made = dict.fromkeys(output for node in nodes for output in node.outputs)
    read = dict.fromkeys(name for node in nodes for name in node.inputs if name not in made)
    elsewhere = {name for node in plain.nodes if node not in nodes for name in node.inputs}
    # Kedro knows no node with neither: one that reads nothing shows what it makes.
    passed = [output for output in made if output in elsewhere or not read]
    function = _stand_in(name, list(read), _parameter_types(nodes))
    if ranks.TAG in nodes[0].tags:
        function = distributed_job(
            Framework.MPI,
            num_nodes=f"params:{NODES}.{name}",
            processes_per_node=f"params:{PROCESSES}.{name}",
        )(function)
    tags = _tags(nodes)
    if any("deterministic" not in node.tags for node in nodes):
        tags -= {"deterministic"}
    return Node(function, list(read), passed or None, name=name, tags=tags)


def _stand_in(name: str, inputs: list[str], types: Mapping[str, Any]) -> Callable[..., Any]:
    """A function that only tells Kedro what its inputs are: their number, and parameters' types."""

    def step(*_: Any) -> None:
        raise RuntimeError(f"step '{name}' runs as its nodes: use `kedro run --nodes={name}`")

    arguments = {f"input_{number}": dataset for number, dataset in enumerate(inputs)}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    step.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(argument, kind) for argument in arguments]
    )
    step.__annotations__ = {
        argument: types[dataset] for argument, dataset in arguments.items() if dataset in types
    }
    step.__name__ = step.__qualname__ = name
    return step


def _parameter_types(nodes: Iterable[Node]) -> dict[str, Any]:
    """By parameter the type that a node's function asks for.

    Only parameters' annotations are resolved: those of data would import pandas and more.
    """
    types: dict[str, Any] = {}
    for node in nodes:
        function = inspect.unwrap(node.func)
        for argument, dataset in _arguments(node).items():
            annotation = getattr(function, "__annotations__", {}).get(argument)
            if dataset.startswith("params:") and annotation is not None:
                alone = SimpleNamespace(__annotations__={argument: annotation})
                hints = get_type_hints(alone, globalns=getattr(function, "__globals__", {}))
                types[dataset] = hints[argument]
    return types


def _arguments(node: Node) -> dict[str, str]:
    """Dataset by argument of the node's function."""
    by_argument = compat.inputs_by_argument(node)
    if by_argument is not None:
        return by_argument
    return dict(zip(inspect.signature(node.func).parameters, node.inputs, strict=False))
