"""Group the nodes of a pipeline into Azure ML steps, and give distributed nodes several machines.

Each step of a job starts a container and imports all modules again. Therefore nodes with the tag
`step.NAME` form one step NAME; a node without a tag is a step of its own, named without its
namespace, as names of steps contain no dots. The nodes of a step run one after the other as in any
run, with their own datasets and hooks, so results are the same, and saved outputs are kept when a
later node fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from types import SimpleNamespace
from typing import Any, get_type_hints

from kedro.pipeline import Node, Pipeline

from kedro_cloud import compat
from kedro_cloud.core import ranks

TAG = "step."
"""Prefix of the tag that assigns a node to a step; the step's name follows."""
NODES = "step_nodes"
"""Parameter: machines by distributed step, as in `step_nodes: {search: 2}`."""
PROCESSES = "step_processes"
"""Parameter: ranks per machine, by step."""


def check_rank_counts(parameters: Mapping[str, Any]) -> None:
    """Check the numbers of machines and ranks of distributed steps, where they are set.

    Raises:
        ValueError: They are not a mapping by step, or one is not an integer of at least 1.
    """
    for name in (NODES, PROCESSES):
        counts = parameters.get(name, {})
        if not isinstance(counts, Mapping):
            raise ValueError(
                f"parameter '{name}': should be a mapping of numbers by step, as in `STEP: 2` "
                f"(given: {counts!r}); fix or remove it"
            )
        for step, count in counts.items():
            if type(count) is not int or count < 1:  # True is an int, too
                raise ValueError(
                    f"parameter '{name}.{step}': should be an integer of at least 1 "
                    f"(given: {count!r}); fix or remove it"
                )


class Steps(Pipeline):
    """A pipeline whose nodes are steps, but which runs the original nodes.

    Attributes:
        plain: The pipeline of original nodes.
        members: Names of the nodes of each step, in order of execution.
    """

    def __init__(self, plain: Pipeline, compute: Collection[str] = ()) -> None:
        """Group the nodes into steps.

        Args:
            plain: The pipeline of original nodes.
            compute: Tags that select a cluster.

        Raises:
            ValueError: The steps have a cycle, a step has a distributed node among others, or a
                step needs two clusters.
        """
        groups = _group_nodes(plain)
        _check_cycles(groups, plain)
        for name, nodes in groups.items():
            _check_step(name, nodes, compute)
        super().__init__([_make_step(name, nodes, plain) for name, nodes in groups.items()])
        self.plain = plain
        self.members = {name: [node.name for node in nodes] for name, nodes in groups.items()}
        self._compute = compute

    def __add__(self, other: Any) -> Pipeline:
        """Return the sum as steps; a session adds the pipelines that it runs."""
        plain = other.plain if isinstance(other, Steps) else other
        return Steps(self.plain + plain, self._compute)

    def __radd__(self, other: Any) -> Pipeline:
        """Return the sum as steps; defined here, so Python calls it before Pipeline.__add__."""
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
        """Return the nodes to run, as Kedro does; names may be of steps or of nodes."""
        return self.plain.filter(
            tags=tags,
            from_nodes=self._expand(from_nodes),
            to_nodes=self._expand(to_nodes),
            node_names=self._expand(node_names),
            from_inputs=from_inputs,
            to_outputs=to_outputs,
            node_namespaces=node_namespaces,
        )

    def _expand(self, names: Iterable[str] | None) -> list[str] | None:
        """Replace the names of steps by those of their nodes."""
        if names is None:
            return None
        return [node for name in names for node in self.members.get(name, [name])]


def _group_nodes(plain: Pipeline) -> dict[str, list[Node]]:
    """Return the nodes of each step, in order of execution; check that names are unambiguous."""
    groups: dict[str, list[Node]] = {}
    for node in plain.nodes:
        groups.setdefault(step_name(node), []).append(node)
    untagged = [step_name(node) for node in plain.nodes if not _step_tags(node)]
    names = {node.name for node in plain.nodes} | set(untagged)
    tagged = {step for node in plain.nodes for step in _step_tags(node)}
    if taken := sorted(tagged & names):
        raise ValueError(f"step '{taken[0]}' has the name of a node; rename the step")
    if len(untagged) > len(set(untagged)):
        first = next(name for name in untagged if untagged.count(name) > 1)
        nodes = ", ".join(node.name for node in groups[first])
        raise ValueError(f"nodes {nodes}: would all be step '{first}'; rename one, or tag them")
    return groups


def step_name(node: Node) -> str:
    """Return the name of a node's step.

    Raises:
        ValueError: The node has the tags of two steps.
    """
    steps = _step_tags(node)
    if len(steps) > 1:
        raise ValueError(
            f"node '{node.name}' is tagged for two steps: {', '.join(steps)}; remove one tag"
        )
    return steps[0] if steps else node.name.removeprefix(f"{node.namespace}.")


def _step_tags(node: Node) -> list[str]:
    """Return the names of the steps that a node is tagged for."""
    return sorted(tag.removeprefix(TAG) for tag in node.tags if tag.startswith(TAG))


def _check_cycles(groups: Mapping[str, list[Node]], plain: Pipeline) -> None:
    """Raise ValueError if steps depend on each other."""
    dependencies = {
        name: {step_name(parent) for node in nodes for parent in plain.node_dependencies[node]}
        - {name}
        for name, nodes in groups.items()
    }
    try:
        TopologicalSorter(dependencies).prepare()
    except CycleError as error:
        cycle = " → ".join(error.args[1])
        raise ValueError(
            f"steps depend on each other: {cycle}; tag fewer nodes for one step"
        ) from error


def _check_step(name: str, nodes: list[Node], compute: Collection[str]) -> None:
    """Raise ValueError if a distributed node is not alone, or nodes need different clusters."""
    distributed = [node.name for node in nodes if ranks.TAG in node.tags]
    if distributed and len(nodes) > 1:
        raise ValueError(
            f"step '{name}': node '{distributed[0]}' is distributed, so it must be the step's only "
            "node; remove the step's tag from it"
        )
    clusters = sorted(_other_tags(nodes) & set(compute))
    if len(clusters) > 1:
        raise ValueError(
            f"step '{name}' needs two clusters: {', '.join(clusters)}; tag its nodes for one"
        )


def _other_tags(nodes: Iterable[Node]) -> set[str]:
    """Return the tags of nodes, without those that assign them to a step."""
    tags = set().union(*(node.tags for node in nodes))
    return {tag for tag in tags if not tag.startswith(TAG)}


def _make_step(name: str, nodes: list[Node], plain: Pipeline) -> Node:
    """Return a node with the step's external inputs, and the outputs that other steps read.

    The catalog stores other outputs, so the job does not pass them on.
    """
    outputs = dict.fromkeys(output for node in nodes for output in node.outputs)
    inputs = dict.fromkeys(name for node in nodes for name in node.inputs if name not in outputs)
    read_by_others = {name for node in plain.nodes if node not in nodes for name in node.inputs}
    # Kedro requires an input or an output: a step without inputs has all its outputs.
    passed = [output for output in outputs if output in read_by_others or not inputs]
    function = _make_placeholder(name, list(inputs), _parameter_types(nodes))
    if ranks.TAG in nodes[0].tags:
        from kedro_azureml.distributed import distributed_job
        from kedro_azureml.distributed.config import Framework

        function = distributed_job(
            Framework.MPI,
            num_nodes=f"params:{NODES}.{name}",
            processes_per_node=f"params:{PROCESSES}.{name}",
        )(function)
    tags = _other_tags(nodes)
    if any("deterministic" not in node.tags for node in nodes):
        tags -= {"deterministic"}
    return Node(function, list(inputs), passed or None, name=name, tags=tags)


def _make_placeholder(name: str, inputs: list[str], types: Mapping[str, Any]) -> Callable[..., Any]:
    """Return a function with the signature that Kedro reads: arguments, and parameters' types."""

    def step(*_: Any) -> None:
        raise RuntimeError(f"step '{name}' cannot be called: use `kedro run --nodes={name}`")

    arguments = {f"input_{index}": dataset for index, dataset in enumerate(inputs)}
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
    """Return the annotated type of each parameter.

    Other annotations are not resolved, as that would import pandas and others.
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
    """Return the datasets by argument of the node's function."""
    by_argument = compat.inputs_by_argument(node)
    if by_argument is not None:
        return by_argument
    return dict(zip(inspect.signature(node.func).parameters, node.inputs, strict=False))
