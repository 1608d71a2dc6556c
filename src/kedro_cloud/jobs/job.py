"""An Azure ML pipeline job, read from YAML: its steps, and how outputs become inputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
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
        """
        texts = {name: given for name, given in self.inputs.items() if isinstance(given, str)}
        values = {
            **{f"inputs.{name}": text for name, text in texts.items()},
            **{f"inputs.{name}": shlex.quote(path) for name, path in folders.items()},
            **{f"outputs.{name}": shlex.quote(path) for name, path in outputs.items()},
        }
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.command)


@dataclass(frozen=True)
class Job:
    """A directed acyclic graph of steps with unique names, connected by folders."""

    name: str
    experiment: str
    steps: tuple[Step, ...]

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
        needs, found = self.needs(), {name}
        for step in TopologicalSorter(needs).static_order():
            if needs[step] & found:
                found.add(step)
        return frozenset(found - {name})

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
        ValueError: The job has no steps, or a step reads registered data of a workspace, or has a
            distribution other than MPI.
    """
    if not document.get("jobs"):
        raise ValueError(f"pipeline '{name}' has no nodes; a job needs at least one")
    steps = (_read_step(step, content) for step, content in document["jobs"].items())
    return Job(name, experiment, tuple(steps))


def _read_step(name: str, document: Mapping[str, Any]) -> Step:
    component = document["component"]
    distribution = document.get("distribution", {})
    kind = str(distribution.get("type", "mpi")).lower()
    if kind != "mpi":
        raise ValueError(f"step '{name}': distribution {kind} is not supported; use MPI")
    inputs, variables = document.get("inputs", {}), document["environment_variables"]
    return Step(
        name=name,
        command=str(component["command"]),
        inputs={key: _read_input(name, key, value) for key, value in inputs.items()},
        outputs=tuple(component.get("outputs", {})),
        environment_variables={key: str(value) for key, value in variables.items()},
        compute=str(document["compute"]).removeprefix("azureml:"),
        mpi=bool(distribution),
        instances=int(document.get("resources", {}).get("instance_count", 1)),
        processes_per_instance=int(distribution.get("process_count_per_instance", 1)),
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
