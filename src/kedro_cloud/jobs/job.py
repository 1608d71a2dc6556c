"""An Azure ML pipeline job, read from YAML: its steps, and how outputs become inputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

_SOURCE = re.compile(r"\$\{\{parent\.jobs\.(?P<step>[^.}]+)\.outputs\.(?P<output>[^.}]+)\}\}")
_PLACEHOLDER = re.compile(r"\$\{\{((?:inputs|outputs)\.\w+)\}\}")


@dataclass(frozen=True)
class Source:
    """An output folder of an earlier step, used as an input."""

    step: str
    output: str


@dataclass(frozen=True)
class Step:
    """A command of a job.

    Attributes:
        name: Name of the step, unique in its job.
        command: Command for bash, with the placeholders `${{inputs.x}}` and `${{outputs.y}}`.
        inputs: By name, the output of an earlier step (a folder) or a literal string.
        outputs: Names of the output folders.
        environment_variables: Environment variables of this step.
        compute: Name of the cluster.
        mpi: Whether it runs as several MPI ranks.
        instances: Number of nodes.
        processes_per_instance: Ranks per node.
    """

    name: str
    command: str
    inputs: Mapping[str, str | Source] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    compute: str = ""
    mpi: bool = False
    instances: int = 1
    processes_per_instance: int = 1

    @property
    def sources(self) -> dict[str, Source]:
        """Return the inputs that are outputs of other steps."""
        return {name: given for name, given in self.inputs.items() if isinstance(given, Source)}

    @property
    def ranks(self) -> int:
        """Return the number of processes that run the command."""
        return self.instances * self.processes_per_instance

    def format_command(self, folders: Mapping[str, str], outputs: Mapping[str, str]) -> str:
        """Return the command with its placeholders replaced, for bash.

        Args:
            folders: Path of the folder of each input that is an output of another step.
            outputs: Path of the folder of each output.

        Raises:
            ValueError: The command has a placeholder for an unknown input or output.
        """
        texts = {name: given for name, given in self.inputs.items() if isinstance(given, str)}
        known = {
            **{f"inputs.{name}": text for name, text in texts.items()},
            **{f"inputs.{name}": shlex.quote(path) for name, path in folders.items()},
            **{f"outputs.{name}": shlex.quote(path) for name, path in outputs.items()},
        }

        def replace(match: re.Match[str]) -> str:
            if match[1] not in known:
                raise ValueError(
                    f"step '{self.name}': its command uses {match[1]}; "
                    f"expected one of {', '.join(known) or 'none'}"
                )
            return known[match[1]]

        return _PLACEHOLDER.sub(replace, self.command)


@dataclass(frozen=True)
class Job:
    """A directed acyclic graph of steps, connected by folders.

    Raises:
        ValueError: A step reads an output that does not exist, two steps have the same name, or
            the graph has a cycle.
    """

    name: str
    experiment: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        outputs = {step.name: step.outputs for step in self.steps}
        if len(outputs) < len(self.steps):
            raise ValueError(f"job '{self.name}': two steps have the same name; rename one")
        for step in self.steps:
            for name, source in step.sources.items():
                if source.output not in outputs.get(source.step, ()):
                    raise ValueError(
                        f"step '{step.name}': input '{name}' is output '{source.output}' of "
                        f"'{source.step}', which does not exist in job '{self.name}'"
                    )
        try:
            TopologicalSorter(self.needs()).prepare()
        except CycleError as error:
            cycle = ", ".join(sorted(set(error.args[1])))
            raise ValueError(f"job '{self.name}': steps depend on each other: {cycle}") from error

    def __getitem__(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def needs(self) -> dict[str, frozenset[str]]:
        """Return the names of the steps whose outputs a step reads, by step."""
        return {
            step.name: frozenset(source.step for source in step.sources.values())
            for step in self.steps
        }

    def dependants(self, name: str) -> frozenset[str]:
        """Return all steps that depend on a step, directly or indirectly."""
        found: set[str] = set()
        needs = self.needs()
        frontier = {name}
        while frontier:
            frontier = {step for step, needed in needs.items() if needed & frontier} - found
            found |= frontier
        return frozenset(found)

    def critical_path(self, seconds: Mapping[str, float]) -> tuple[str, ...]:
        """Return the names of the steps on the critical path, the chain that takes longest.

        Args:
            seconds: Duration by step. Steps without a duration are ignored.
        """
        needs = self.needs()
        longest: dict[str, tuple[float, tuple[str, ...]]] = {}
        for name in TopologicalSorter(needs).static_order():
            if name in seconds:
                before = [longest[need] for need in sorted(needs[name]) if need in longest]
                total, chain = max(before, key=lambda each: each[0], default=(0.0, ()))
                longest[name] = (total + seconds[name], (*chain, name))
        return max(longest.values(), key=lambda each: each[0], default=(0.0, ()))[1]


def read_job(document: Mapping[str, Any], name: str, experiment: str) -> Job:
    """Return the job that `kedro azureml compile` has written.

    Args:
        document: Parsed YAML.
        name: Name of the job.
        experiment: Name of its experiment.

    Raises:
        ValueError: The document is not a pipeline job of commands, or a step reads registered
            data of a workspace, or has a distribution other than MPI.
    """
    if document.get("type") != "pipeline" or not document.get("jobs"):
        raise ValueError(
            f"job '{name}': not a pipeline job of Azure ML, or without steps; expected the YAML of "
            "kedro azureml compile"
        )
    steps = (_read_step(step, content) for step, content in document["jobs"].items())
    return Job(name, experiment, tuple(steps))


def _read_step(name: str, document: Mapping[str, Any]) -> Step:
    component = document.get("component")
    if document.get("type") != "command" or not isinstance(component, Mapping):
        raise ValueError(f"step '{name}' is not a command with an inline component")
    distribution = document.get("distribution") or component.get("distribution") or {}
    kind = str(distribution.get("type", "mpi")).lower()
    if kind != "mpi":
        raise ValueError(f"step '{name}': distribution {kind} is not supported; use MPI")
    inputs = document.get("inputs") or {}
    resources = document.get("resources") or component.get("resources") or {}
    variables = {
        **(component.get("environment_variables") or {}),
        **(document.get("environment_variables") or {}),
    }
    return Step(
        name=name,
        command=str(component["command"]),
        inputs={key: _read_input(name, key, value) for key, value in inputs.items()},
        outputs=tuple(document.get("outputs") or component.get("outputs") or {}),
        environment_variables={key: str(value) for key, value in variables.items()},
        compute=str(document.get("compute") or "").removeprefix("azureml:"),
        mpi=bool(distribution),
        instances=int(resources.get("instance_count") or 1),
        processes_per_instance=int(distribution.get("process_count_per_instance") or 1),
    )


def _read_input(step: str, name: str, value: Any) -> str | Source:
    path = value.get("path") if isinstance(value, Mapping) else value
    match = _SOURCE.fullmatch(str(path))
    if match:
        return Source(match["step"], match["output"])
    if isinstance(value, Mapping):
        raise ValueError(
            f"step '{step}': input '{name}' is {path}, which exists in a workspace only; "
            "read it from blob storage (abfs://) in the catalog"
        )
    return str(value)
