"""Compile pipelines for Azure ML, identified by their content; check the inputs of endpoints."""

from __future__ import annotations

import copy
import hashlib
import json
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
from kedro_cloud.jobs.translation import compile_document, iterate_leaves
from kedro_cloud.publishing.inputs import parse_input
from kedro_cloud.workspace.changes import hide_warnings

if TYPE_CHECKING:
    from azure.ai.ml.entities import PipelineJob


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
        """Hash of all that a job runs: its steps, which name the environment, and the code."""
        return digest([self.document, _code_digest(self.project)])

    def job(self, tags: Mapping[str, str]) -> PipelineJob:
        """Return the pipeline as a job of the SDK."""
        from azure.ai.ml import load_job

        document = {**self.document, "experiment_name": self.experiment, "tags": dict(tags)}
        with hide_warnings():
            job: PipelineJob = load_job(  # type: ignore[assignment]
                StringIO(yaml.safe_dump(document)), relative_origin=str(self.project / "job.yml")
            )
        return job


def check_inputs(endpoint: Endpoint, params: Mapping[str, Any]) -> None:
    """Raise if an input of an endpoint cannot set its parameter, or `--params` sets it already.

    Raises:
        ValueError: An input is not valid; the message names it.
    """
    fixed = {name for name, _ in iterate_leaves(params)}
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


def _code_digest(project: Path) -> str:
    """Return the hash of the names and contents of all files that are uploaded."""
    files = sorted(snapshot.uploaded_files(project), key=lambda file: file[1])
    return digest([(name, hashlib.sha256(path.read_bytes()).hexdigest()) for path, name in files])


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
