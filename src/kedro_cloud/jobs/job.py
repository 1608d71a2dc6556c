"""An Azure ML pipeline job: as much of it as one must know to run it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_SOURCE = re.compile(r"\$\{\{parent\.jobs\.(?P<step>[^.}]+)\.outputs\.(?P<output>[^.}]+)\}\}")
_PLACEHOLDER = re.compile(r"\$\{\{(?P<kind>inputs|outputs)\.(?P<name>\w+)\}\}")


@dataclass(frozen=True)
class Source:
    """An output folder of an earlier step, which a step reads."""

    step: str
    output: str


@dataclass(frozen=True)
class Step:
    """One command of a job.

    Attributes:
        name: The step's name within its job.
        command: A line for bash, in which `${{inputs.x}}` and `${{outputs.y}}` stand for the
            texts and folders that the step is given when it starts.
        inputs: By input: what an earlier step made, or a text that is passed on as it is.
        outputs: Names of the folders that the step fills.
        environment: The registered environment it asks for.
        environment_variables: Variables that are set for this step.
        compute: The cluster it asks for.
        mpi: Whether it runs as a gang of MPI ranks.
        instances: Machines of the gang.
        processes_per_instance: Ranks on each machine.
        deterministic: Whether Azure ML may use an earlier result again.
    """

    name: str
    command: str
    inputs: Mapping[str, str | Source] = field(default_factory=lambda: MappingProxyType({}))
    outputs: tuple[str, ...] = ()
    environment: str = ""
    environment_variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    compute: str = ""
    mpi: bool = False
    instances: int = 1
    processes_per_instance: int = 1
    deterministic: bool = False

    @property
    def sources(self) -> dict[str, Source]:
        """The inputs that come from other steps."""
        return {name: given for name, given in self.inputs.items() if isinstance(given, Source)}

    @property
    def ranks(self) -> int:
        """Number of processes that run the command."""
        return self.instances * self.processes_per_instance

    def command_line(self, folders: Mapping[str, str], outputs: Mapping[str, str]) -> str:
        """The command with its placeholders filled, for bash.

        Args:
            folders: By input that comes from another step: where it is mounted.
            outputs: By output: the folder to fill.

        Raises:
            ValueError: The command speaks of an input or output that the step does not have.
        """
        texts = {name: given for name, given in self.inputs.items() if isinstance(given, str)}
        quoted = {name: shlex.quote(path) for name, path in folders.items()}
        known = {
            "inputs": {**texts, **quoted},
            "outputs": {name: shlex.quote(path) for name, path in outputs.items()},
        }

        def value(match: re.Match[str]) -> str:
            found = known[match["kind"]].get(match["name"])
            if found is None:
                raise ValueError(
                    f"step '{self.name}': its command speaks of {match['kind']}.{match['name']}, "
                    f"but it has only {', '.join(known[match['kind']]) or 'none'}"
                )
            return found

        return _PLACEHOLDER.sub(value, self.command)


@dataclass(frozen=True)
class Job:
    """Steps that are connected by their folders.

    Raises:
        ValueError: A step reads what no step makes, two have the same name, or they wait for one
            another in a circle.
    """

    name: str
    experiment: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        outputs = {step.name: step.outputs for step in self.steps}
        if len(outputs) < len(self.steps):
            raise ValueError(f"job '{self.name}': two steps have the same name")
        for step in self.steps:
            for name, source in step.sources.items():
                if source.output not in outputs.get(source.step, ()):
                    raise ValueError(
                        f"step '{step.name}': its input '{name}' is output '{source.output}' of "
                        f"'{source.step}', which job '{self.name}' does not have"
                    )
        self._check_circles()

    def __getitem__(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def needs(self) -> dict[str, frozenset[str]]:
        """By step: the steps whose folders it reads."""
        return {
            step.name: frozenset(source.step for source in step.sources.values())
            for step in self.steps
        }

    def dependants(self, name: str) -> frozenset[str]:
        """All steps that cannot do without this one, directly or not."""
        found: set[str] = set()
        needs = self.needs()
        border = {name}
        while border:
            border = {step for step, needed in needs.items() if needed & border} - found
            found |= border
        return frozenset(found)

    def critical_path(self, seconds: Mapping[str, float]) -> tuple[str, ...]:
        """The chain of steps that decides how long the job takes, in order.

        Args:
            seconds: By step: how long it took. Steps that are not named do not count.
        """
        needs = self.needs()
        longest: dict[str, tuple[float, tuple[str, ...]]] = {}
        for name in self._order():
            if name in seconds:
                before = [longest[need] for need in sorted(needs[name]) if need in longest]
                total, chain = max(before, key=lambda each: each[0], default=(0.0, ()))
                longest[name] = (total + seconds[name], (*chain, name))
        return max(longest.values(), key=lambda each: each[0], default=(0.0, ()))[1]

    def _order(self) -> list[str]:
        """Names of steps, each after those it needs; without those that lie on a circle."""
        waiting, done = self.needs(), list[str]()
        while ready := [name for name, needed in waiting.items() if needed <= set(done)]:
            done += ready
            waiting = {name: needed for name, needed in waiting.items() if name not in ready}
        return done

    def _check_circles(self) -> None:
        circle = {step.name for step in self.steps} - set(self._order())
        if circle:
            raise ValueError(
                f"job '{self.name}': these steps wait for one another: {', '.join(sorted(circle))}"
            )


def read_job(document: Mapping[str, Any]) -> Job:
    """The job that a document of `kedro azureml compile` describes, read from its YAML.

    Such a document names no experiment: that is said when it is submitted. Then it is "".

    Raises:
        ValueError: The document is no pipeline job of commands, or a step asks for what cannot be
            had without a workspace: registered data, or a gang other than of MPI.
    """
    if document.get("type") != "pipeline" or not document.get("jobs"):
        raise ValueError("this is no pipeline job of Azure ML: it has no jobs")
    return Job(
        name=str(document.get("display_name") or document.get("name") or "job"),
        experiment=str(document.get("experiment_name") or ""),
        steps=tuple(_read_step(name, step) for name, step in document["jobs"].items()),
    )


def _read_step(name: str, document: Mapping[str, Any]) -> Step:
    component = document.get("component")
    if document.get("type") != "command" or not isinstance(component, Mapping):
        raise ValueError(f"step '{name}' is no command that carries its own component")
    distribution = document.get("distribution") or component.get("distribution") or {}
    kind = str(distribution.get("type", "mpi")).lower()
    if kind != "mpi":
        raise ValueError(f"step '{name}' wants a gang of {kind}; only MPI can be run here")
    resources = document.get("resources") or component.get("resources") or {}
    variables = {
        **(component.get("environment_variables") or {}),
        **(document.get("environment_variables") or {}),
    }
    return Step(
        name=name,
        command=str(component["command"]),
        inputs=MappingProxyType(
            {key: _read_input(name, key, value) for key, value in _inputs(document).items()}
        ),
        outputs=tuple(document.get("outputs") or component.get("outputs") or {}),
        environment=_plain(document.get("environment") or component.get("environment") or ""),
        environment_variables=MappingProxyType({k: str(v) for k, v in variables.items()}),
        compute=_plain(document.get("compute") or ""),
        mpi=bool(distribution),
        instances=int(resources.get("instance_count") or 1),
        processes_per_instance=int(distribution.get("process_count_per_instance") or 1),
        deterministic=bool(component.get("is_deterministic", False)),
    )


def _inputs(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return document.get("inputs") or {}


def _read_input(step: str, name: str, value: Any) -> str | Source:
    path = value.get("path") if isinstance(value, Mapping) else value
    match = _SOURCE.fullmatch(str(path))
    if match:
        return Source(match["step"], match["output"])
    if isinstance(value, Mapping):
        raise ValueError(
            f"step '{step}': its input '{name}' is {path}, which only a workspace has; "
            "let the catalog read it from blob storage (abfs://)"
        )
    return str(value)


def _plain(reference: Any) -> str:
    return str(reference).removeprefix("azureml:")
