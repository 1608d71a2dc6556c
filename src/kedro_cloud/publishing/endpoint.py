"""Publish a pipeline on a batch endpoint: as a component with typed inputs, and its deployment."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from io import StringIO
from typing import TYPE_CHECKING, Any

import yaml

from kedro_cloud.core.cloud_settings import Endpoint
from kedro_cloud.publishing.component import CompiledPipeline, digest
from kedro_cloud.publishing.inputs import PREFIX, VARIABLE, with_files
from kedro_cloud.workspace.changes import GONE, NEW, OTHER, SAME, Change, get_or_none, hide_warnings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

TAG = "kedro_pipeline"
"""Tag of endpoints, deployments and schedules: the pipeline that they run."""
_DIGITS = 12
"""Hexadecimal digits of the content's SHA-256 in a version."""
_MAX_DEPLOYMENTS = 5
"""Deployments of an endpoint that are kept, the newest first; Azure ML allows 20."""


@dataclass(frozen=True)
class Publication:
    """The publication of a pipeline on the endpoint `name`, with its settings in cloud.yml."""

    client: MLClient
    name: str
    compiled: CompiledPipeline
    endpoint: Endpoint

    @property
    def component(self) -> str:
        """Name of the component."""
        return re.sub(r"[^a-z0-9_]", "_", self.compiled.pipeline.lower())

    @cached_property
    def version(self) -> str:
        """Version of the component; changes with steps, code, environment and inputs."""
        return digest([self._build_document(), self.compiled.content])[:_DIGITS]

    @property
    def deployment(self) -> str:
        """Name of the deployment that runs this version."""
        return f"v{self.version}"

    def plan_changes(self) -> list[Change]:
        """Return a change for each resource, in the order in which they are applied.

        Raises:
            ValueError: The endpoint exists and runs another pipeline.
        """
        existing = get_or_none(self.client.batch_endpoints.get, self.name)
        if existing is None:
            detail, deployments = "authenticated by Microsoft Entra", {}
            endpoint = Change(NEW, "endpoint", self.name, detail, self._create_endpoint)
        else:
            self._check_pipeline((existing.tags or {}).get(TAG))
            endpoint = Change(SAME, "endpoint", self.name)
            listed = self.client.batch_deployments.list(self.name)
            deployments = {str(each.name): each for each in listed}
        return [
            endpoint,
            self._plan_component(),
            self._plan_deployment(deployments.get(self.deployment)),
            self._plan_default(getattr(existing, "defaults", None)),
            *self._plan_removals(deployments),
        ]

    def _check_pipeline(self, runs: str | None) -> None:
        pipeline = self.compiled.pipeline
        if runs != pipeline:
            what = f"runs pipeline '{runs}'" if runs else "was not created by kedro cloud"
            raise ValueError(
                f"endpoint '{self.name}' exists and {what}; rename the endpoint of '{pipeline}' in "
                f"cloud.yml, or remove it: az ml batch-endpoint delete --name {self.name}"
            )

    def _plan_component(self) -> Change:
        name = f"{self.component}:{self.version}"
        if get_or_none(self.client.components.get, self.component, version=self.version):
            return Change(SAME, "component", name)
        inputs = ", ".join(self.endpoint.inputs) or "none"
        detail = f"steps {', '.join(self.compiled.document['jobs'])}; inputs {inputs}"
        return Change(NEW, "component", name, detail, self._create_component)

    def _plan_deployment(self, existing: Any) -> Change:
        if existing is not None and existing.provisioning_state != "Failed":
            return Change(SAME, "deployment", self.deployment)
        detail = "its creation failed before" if existing else f"runs {self.compiled.pipeline}"
        return Change(NEW, "deployment", self.deployment, detail, self._create_deployment)

    def _plan_default(self, defaults: Any) -> Change:
        before = str(getattr(defaults, "deployment_name", None) or "")
        if before == self.deployment:
            return Change(SAME, "default", before)
        detail = f"of endpoint {self.name}, {before or 'none'} → {self.deployment}"
        return Change(OTHER, "default", self.deployment, detail, self._set_default)

    def _plan_removals(self, deployments: dict[str, Any]) -> Iterator[Change]:
        """Yield the removals of old deployments, whose number per endpoint is limited."""
        replaced = [
            name
            for name, deployment in deployments.items()
            if TAG in (deployment.tags or {}) and name != self.deployment
        ]
        replaced.sort(key=lambda name: deployments[name].creation_context.created_at, reverse=True)
        for name in replaced[_MAX_DEPLOYMENTS - 1 :]:
            yield Change(GONE, "deployment", name, "an old version", partial(self._remove, name))

    def _build_document(self) -> dict[str, Any]:
        """Return the component document without name and version.

        All steps receive all inputs, used or not: Azure ML reuses the earlier output of a step with
        the same inputs, and must not do so if the endpoint was invoked with other values.
        """
        steps = copy.deepcopy(dict(self.compiled.document["jobs"]))
        inputs: dict[str, dict[str, Any]] = {}
        declared = {}
        for name, each in self.endpoint.inputs.items():
            inputs[name] = {"type": each.type, "description": each.description or name}
            if each.default is not None:
                inputs[name]["default"] = each.default
            declared[name] = {
                "parameter": each.parameter,
                "type": each.type,
                "pattern": each.pattern,
            }
            for step in steps.values():
                component = step["component"]
                component.setdefault("inputs", {})[PREFIX + name] = {"type": each.type}
                step.setdefault("inputs", {})[PREFIX + name] = f"${{{{parent.inputs.{name}}}}}"
        if declared:
            for step in steps.values():
                step["environment_variables"][VARIABLE] = json.dumps(declared)
                if self.endpoint.passed_by == "command":
                    component = step["component"]
                    delimiter = f"END_{self.compiled.content}"
                    component["command"] = with_files(component["command"], declared, delimiter)
        name = self.compiled.pipeline
        return {"type": "pipeline", "display_name": name, "inputs": inputs, "jobs": steps}

    def _create_endpoint(self) -> None:
        from azure.ai.ml.entities import BatchEndpoint

        pipeline = self.compiled.pipeline
        description = f"Starts the Kedro pipeline {pipeline}"
        endpoint = BatchEndpoint(name=self.name, description=description, tags={TAG: pipeline})
        self.client.batch_endpoints.begin_create_or_update(endpoint).result()

    def _create_component(self) -> None:
        from azure.ai.ml import load_component

        document = {**self._build_document(), "name": self.component, "version": self.version}
        with hide_warnings():
            component: Any = load_component(
                StringIO(yaml.safe_dump(document)),
                relative_origin=str(self.compiled.project / "component.yml"),
            )
            self.client.components.create_or_update(component)

    def _create_deployment(self) -> None:
        from azure.ai.ml.entities import PipelineComponentBatchDeployment

        component = self.client.components.get(self.component, version=self.version)
        settings = {
            "continue_on_step_failure": "False",
            "default_compute": self.compiled.clusters[0],
        }
        with hide_warnings():
            deployment = PipelineComponentBatchDeployment(
                name=self.deployment,
                endpoint_name=self.name,
                component=component.id,
                settings=settings,
                tags={TAG: self.compiled.pipeline},
            )
            self.client.batch_deployments.begin_create_or_update(deployment).result()

    def _set_default(self) -> None:
        endpoint = self.client.batch_endpoints.get(self.name)
        endpoint.defaults = {"deployment_name": self.deployment}
        self.client.batch_endpoints.begin_create_or_update(endpoint).result()

    def _remove(self, name: str) -> None:
        self.client.batch_deployments.begin_delete(name, self.name).result()
