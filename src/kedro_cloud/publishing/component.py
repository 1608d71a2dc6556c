"""A compiled pipeline as a component of Azure ML, named by its content."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from kedro_cloud.core.cloud_settings import Endpoint
from kedro_cloud.jobs import snapshot
from kedro_cloud.jobs.steps import NODES, PROCESSES
from kedro_cloud.jobs.translation import compile_document, leaves
from kedro_cloud.publishing.inputs import PREFIX, VARIABLE, checked
from kedro_cloud.workspace.changes import quietly

if TYPE_CHECKING:
    from azure.ai.ml.entities import PipelineComponent, PipelineJob

_DIGITS = 12
"""Of the content's SHA-256 that make a name."""


@dataclass(frozen=True)
class Compiled:
    """A pipeline as Azure ML would run it.

    Attributes:
        project: Where its code is.
        pipeline: Its registered name.
        experiment: That its jobs belong to.
        document: Of the job, as the plugin wrote it, but with the code at `.`.
    """

    project: Path
    pipeline: str
    experiment: str
    document: Mapping[str, Any]

    @classmethod
    def from_pipeline(
        cls, metadata: Any, env: str, pipeline: str, params: Mapping[str, Any]
    ) -> Compiled:
        """Compile a pipeline as `kedro azureml run` would.

        Raises:
            ValueError: It cannot be; see `translation.translate`.
        """
        document, experiment = compile_document(metadata, env, pipeline, params)
        document = copy.deepcopy(document)
        for step in document["jobs"].values():
            step["component"]["code"] = "."
        return cls(Path(metadata.project_path), pipeline, experiment, document)

    def telling(self, variables: Mapping[str, str]) -> Compiled:
        """The same with environment variables for all steps."""
        document = copy.deepcopy(dict(self.document))
        for step in document["jobs"].values():
            step["environment_variables"] = {**step["environment_variables"], **variables}
        return replace(self, document=document)

    @property
    def clusters(self) -> list[str]:
        """That its steps go to."""
        steps = self.document["jobs"].values()
        return sorted({str(step["compute"]).removeprefix("azureml:") for step in steps})

    @cached_property
    def content(self) -> str:
        """Hash of the steps and of all code: with the image's name, all that a job runs."""
        return _digest([self.document, _code_digest(self.project)])

    def job(self, tags: Mapping[str, str]) -> PipelineJob:
        """For the SDK."""
        from azure.ai.ml import load_job

        said = {**self.document, "experiment_name": self.experiment, "tags": dict(tags)}
        with quietly():
            made: Any = load_job(
                StringIO(yaml.safe_dump(said)), relative_origin=str(self.project / "job.yml")
            )
        job: PipelineJob = made
        return job


@dataclass(frozen=True)
class Published:
    """A compiled pipeline with the inputs of an endpoint.

    Attributes:
        compiled: The pipeline.
        endpoint: What cloud.yml says of it.
    """

    compiled: Compiled
    endpoint: Endpoint

    @property
    def name(self) -> str:
        """Of the component."""
        return re.sub(r"[^a-z0-9_]", "_", self.compiled.pipeline.lower())

    @cached_property
    def version(self) -> str:
        """Of the component: it changes with the steps, the code, the image and the inputs."""
        return _digest([self.document(), self.compiled.content])[:_DIGITS]

    @property
    def deployment(self) -> str:
        """Name of the deployment that runs this version."""
        return f"v{self.version}"

    def document(self) -> dict[str, Any]:
        """The component, less name and version, as YAML has it.

        Each step gets each input, used or not: Azure ML takes an earlier result of a step for its
        own if all inputs are the same, and must not if another input was given.
        """
        steps = copy.deepcopy(dict(self.compiled.document["jobs"]))
        declared = {
            name: {"parameter": said.parameter, "type": said.type, "pattern": said.pattern}
            for name, said in self.endpoint.inputs.items()
        }
        for step in steps.values():
            inner = step["component"]
            for name, said in self.endpoint.inputs.items():
                inner.setdefault("inputs", {})[PREFIX + name] = {"type": said.type}
                step.setdefault("inputs", {})[PREFIX + name] = f"${{{{parent.inputs.{name}}}}}"
            if declared:
                step["environment_variables"][VARIABLE] = json.dumps(declared)
        return {
            "type": "pipeline",
            "display_name": self.compiled.pipeline,
            "inputs": {name: _input(name, said) for name, said in self.endpoint.inputs.items()},
            "jobs": steps,
        }

    def component(self) -> PipelineComponent:
        """For the SDK."""
        from azure.ai.ml import load_component

        said = {**self.document(), "name": self.name, "version": self.version}
        with quietly():
            made: Any = load_component(
                StringIO(yaml.safe_dump(said)),
                relative_origin=str(self.compiled.project / "component.yml"),
            )
        component: PipelineComponent = made
        return component


def check_inputs(endpoint: Endpoint, params: Mapping[str, Any]) -> None:
    """Raise if an endpoint's input could not be handed on, or is said already.

    Args:
        endpoint: Of cloud.yml.
        params: What `--params` fixes for all callers.

    Raises:
        ValueError: Names the input.
    """
    fixed = {name for name, _ in leaves(params)}
    for name, said in endpoint.inputs.items():
        if said.parameter.split(".")[0] in (NODES, PROCESSES):
            raise ValueError(
                f"input '{name}': {said.parameter} says how many machines a step has, which is "
                "fixed when it is published; say it by --params"
            )
        if any(f"{other}.".startswith(f"{said.parameter}.") for other in fixed):
            raise ValueError(
                f"input '{name}': --params says {said.parameter} as well; leave it out there, or "
                "take the input out of cloud.yml"
            )
        if said.default is not None:
            checked(name, str(said.default), said.type, said.pattern)


def _input(name: str, said: Any) -> dict[str, Any]:
    found = {"type": said.type, "description": said.description or name}
    return found if said.default is None else {**found, "default": said.default}


def _code_digest(project: Path) -> str:
    """Of names and contents of all files that are uploaded."""
    files = sorted(snapshot.uploaded_files(project), key=lambda found: found[1])
    return _digest([(name, hashlib.sha256(path.read_bytes()).hexdigest()) for path, name in files])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
