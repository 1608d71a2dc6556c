"""Build Azure ML pipeline components from compiled pipelines, versioned by their content."""

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
from kedro_cloud.publishing.inputs import PREFIX, VARIABLE, parse_input
from kedro_cloud.workspace.changes import quietly

if TYPE_CHECKING:
    from azure.ai.ml.entities import PipelineComponent, PipelineJob

_DIGITS = 12
"""Hexadecimal digits of the content's SHA-256 in a version."""


@dataclass(frozen=True)
class CompiledPipeline:
    """A pipeline, compiled for Azure ML.

    Attributes:
        project: Folder of the Kedro project.
        pipeline: Registered name of the pipeline.
        experiment: Experiment of its jobs.
        document: Job document as the plugin compiled it, but with `.` as the code path.
    """

    project: Path
    pipeline: str
    experiment: str
    document: Mapping[str, Any]

    @classmethod
    def from_pipeline(
        cls, metadata: Any, env: str, pipeline: str, params: Mapping[str, Any]
    ) -> CompiledPipeline:
        """Compile a pipeline as `kedro azureml run` would.

        Raises:
            ValueError: The pipeline cannot be compiled; see `translation.translate`.
        """
        document, experiment = compile_document(metadata, env, pipeline, params)
        document = copy.deepcopy(document)
        for step in document["jobs"].values():
            step["component"]["code"] = "."
        return cls(Path(metadata.project_path), pipeline, experiment, document)

    def with_variables(self, variables: Mapping[str, str]) -> CompiledPipeline:
        """Return a copy with additional environment variables in all steps."""
        document = copy.deepcopy(dict(self.document))
        for step in document["jobs"].values():
            step["environment_variables"] = {**step["environment_variables"], **variables}
        return replace(self, document=document)

    @property
    def clusters(self) -> list[str]:
        """Compute clusters of the steps, sorted by name."""
        steps = self.document["jobs"].values()
        return sorted({str(step["compute"]).removeprefix("azureml:") for step in steps})

    @cached_property
    def content(self) -> str:
        """Hash of all that a job runs: its steps, which name the image, and the code."""
        return _digest([self.document, _code_digest(self.project)])

    def job(self, tags: Mapping[str, str]) -> PipelineJob:
        """Return the pipeline as a job of the SDK."""
        from azure.ai.ml import load_job

        document = {**self.document, "experiment_name": self.experiment, "tags": dict(tags)}
        with quietly():
            job: PipelineJob = load_job(  # type: ignore[assignment]
                StringIO(yaml.safe_dump(document)), relative_origin=str(self.project / "job.yml")
            )
        return job


@dataclass(frozen=True)
class PublishedPipeline:
    """A compiled pipeline with the inputs of an endpoint.

    Attributes:
        compiled: The pipeline.
        endpoint: Settings of the endpoint in cloud.yml.
    """

    compiled: CompiledPipeline
    endpoint: Endpoint

    @property
    def name(self) -> str:
        """Name of the component."""
        return re.sub(r"[^a-z0-9_]", "_", self.compiled.pipeline.lower())

    @cached_property
    def version(self) -> str:
        """Version of the component; changes with the steps, the code, the image and the inputs."""
        return _digest([self.document(), self.compiled.content])[:_DIGITS]

    @property
    def deployment(self) -> str:
        """Name of the deployment that runs this version."""
        return f"v{self.version}"

    def document(self) -> dict[str, Any]:
        """Return the component document without name and version.

        All steps receive all inputs, used or not: Azure ML reuses the earlier output of a step with
        the same inputs, and must not do so if the endpoint was invoked with other values.
        """
        steps = copy.deepcopy(dict(self.compiled.document["jobs"]))
        declared = {
            name: {"parameter": each.parameter, "type": each.type, "pattern": each.pattern}
            for name, each in self.endpoint.inputs.items()
        }
        for step in steps.values():
            component = step["component"]
            for name, each in self.endpoint.inputs.items():
                component.setdefault("inputs", {})[PREFIX + name] = {"type": each.type}
                step.setdefault("inputs", {})[PREFIX + name] = f"${{{{parent.inputs.{name}}}}}"
            if declared:
                step["environment_variables"][VARIABLE] = json.dumps(declared)
        return {
            "type": "pipeline",
            "display_name": self.compiled.pipeline,
            "inputs": {
                name: _input_document(name, each) for name, each in self.endpoint.inputs.items()
            },
            "jobs": steps,
        }

    def component(self) -> PipelineComponent:
        """Return the pipeline as a component of the SDK."""
        from azure.ai.ml import load_component

        document = {**self.document(), "name": self.name, "version": self.version}
        with quietly():
            component: PipelineComponent = load_component(  # type: ignore[assignment]
                StringIO(yaml.safe_dump(document)),
                relative_origin=str(self.compiled.project / "component.yml"),
            )
        return component


def check_inputs(endpoint: Endpoint, params: Mapping[str, Any]) -> None:
    """Raise if an input of an endpoint cannot set its parameter, or `--params` sets it already.

    Args:
        endpoint: Settings of the endpoint in cloud.yml.
        params: Parameters that `--params` sets for all invocations.

    Raises:
        ValueError: An input is not valid; the message names it.
    """
    fixed = {name for name, _ in leaves(params)}
    for name, declared in endpoint.inputs.items():
        if declared.parameter.split(".")[0] in (NODES, PROCESSES):
            raise ValueError(
                f"input '{name}': {declared.parameter} sets the number of machines, which is fixed "
                "when the pipeline is published; set it with --params"
            )
        if any(f"{other}.".startswith(f"{declared.parameter}.") for other in fixed):
            raise ValueError(
                f"input '{name}': --params sets {declared.parameter}, too; remove it there, or "
                "remove the input from cloud.yml"
            )
        if declared.default is not None:
            parse_input(name, str(declared.default), declared.type, declared.pattern)


def _input_document(name: str, declared: Any) -> dict[str, Any]:
    document = {"type": declared.type, "description": declared.description or name}
    return document if declared.default is None else {**document, "default": declared.default}


def _code_digest(project: Path) -> str:
    """Return the hash of the names and contents of all files that are uploaded."""
    files = sorted(snapshot.uploaded_files(project), key=lambda file: file[1])
    return _digest([(name, hashlib.sha256(path.read_bytes()).hexdigest()) for path, name in files])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
