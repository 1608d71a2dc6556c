"""Deploy a published pipeline to its batch endpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro_cloud.publishing.component import PublishedPipeline
from kedro_cloud.workspace.changes import GONE, NEW, OTHER, SAME, Change, found, quietly

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import BatchEndpoint

TAG = "kedro_pipeline"
"""Tag of endpoints, deployments and schedules: the pipeline that they run."""
_MAX_DEPLOYMENTS = 5
"""Deployments of an endpoint that are kept, the newest first; Azure ML allows 20."""


@dataclass(frozen=True)
class Publication:
    """The publication of a pipeline in a workspace.

    Attributes:
        client: Client of the workspace.
        name: Name of the endpoint.
        published: Pipeline that the endpoint runs.
    """

    client: MLClient
    name: str
    published: PublishedPipeline

    def plan_changes(self) -> list[Change]:
        """Return a change for each resource, in the order in which they are applied.

        Raises:
            ValueError: The endpoint exists and runs another pipeline.
        """
        endpoint = found(self.client.batch_endpoints.get, self.name)
        self._check_pipeline(endpoint)
        deployments = {} if endpoint is None else self._deployments()
        return [
            self._endpoint(endpoint),
            self._component(),
            self._deployment(deployments),
            self._default(endpoint),
            *self._removals(deployments),
        ]

    def _check_pipeline(self, endpoint: BatchEndpoint | None) -> None:
        runs = (endpoint.tags or {}).get(TAG) if endpoint else None
        pipeline = self.published.compiled.pipeline
        if endpoint is not None and runs != pipeline:
            what = f"runs pipeline '{runs}'" if runs else "was not created by kedro cloud"
            raise ValueError(
                f"endpoint '{self.name}' exists and {what}; rename the endpoint of '{pipeline}' in "
                f"cloud.yml, or remove it: az ml batch-endpoint delete --name {self.name}"
            )

    def _endpoint(self, endpoint: BatchEndpoint | None) -> Change:
        if endpoint is not None:
            return Change(SAME, "endpoint", self.name)
        detail = "authenticated by Microsoft Entra"
        return Change(NEW, "endpoint", self.name, detail, self._create_endpoint)

    def _component(self) -> Change:
        published = self.published
        name = f"{published.name}:{published.version}"
        if found(self.client.components.get, published.name, version=published.version):
            return Change(SAME, "component", name)
        return Change(NEW, "component", name, _summary(published), self._create_component)

    def _deployment(self, deployments: dict[str, Any]) -> Change:
        existing = deployments.get(self.published.deployment)
        if existing is not None and existing.provisioning_state != "Failed":
            return Change(SAME, "deployment", self.published.deployment)
        pipeline = self.published.compiled.pipeline
        detail = "its creation failed before" if existing else f"runs {pipeline}"
        return Change(NEW, "deployment", self.published.deployment, detail, self._create_deployment)

    def _default(self, endpoint: BatchEndpoint | None) -> Change:
        before = _default_deployment(endpoint)
        if before == self.published.deployment:
            return Change(SAME, "default", before)
        detail = f"of endpoint {self.name}, {before or 'none'} → {self.published.deployment}"
        return Change(OTHER, "default", self.published.deployment, detail, self._set_default)

    def _removals(self, deployments: dict[str, Any]) -> list[Change]:
        """Return the removals of old deployments, whose number per endpoint is limited."""
        replaced = [
            name
            for name, deployment in deployments.items()
            if TAG in (deployment.tags or {}) and name != self.published.deployment
        ]
        replaced.sort(key=lambda name: deployments[name].creation_context.created_at, reverse=True)
        return [
            Change(GONE, "deployment", name, "an old version", self._remover(name))
            for name in replaced[_MAX_DEPLOYMENTS - 1 :]
        ]

    def _remover(self, name: str) -> Callable[[], Any]:
        return lambda: self.client.batch_deployments.begin_delete(name, self.name).result()

    def _deployments(self) -> dict[str, Any]:
        return {each.name: each for each in self.client.batch_deployments.list(self.name)}

    def _create_endpoint(self) -> None:
        from azure.ai.ml.entities import BatchEndpoint

        pipeline = self.published.compiled.pipeline
        self.client.batch_endpoints.begin_create_or_update(
            BatchEndpoint(
                name=self.name,
                description=f"Starts the Kedro pipeline {pipeline}",
                tags={TAG: pipeline},
            )
        ).result()

    def _create_component(self) -> None:
        with quietly():
            self.client.components.create_or_update(self.published.component())

    def _create_deployment(self) -> None:
        from azure.ai.ml.entities import PipelineComponentBatchDeployment

        published = self.published
        component = self.client.components.get(published.name, version=published.version)
        with quietly():
            self.client.batch_deployments.begin_create_or_update(
                PipelineComponentBatchDeployment(
                    name=published.deployment,
                    endpoint_name=self.name,
                    component=component.id,
                    settings={
                        "continue_on_step_failure": "False",
                        "default_compute": published.compiled.clusters[0],
                    },
                    tags={TAG: published.compiled.pipeline},
                )
            ).result()

    def _set_default(self) -> None:
        endpoint = self.client.batch_endpoints.get(self.name)
        endpoint.defaults = {"deployment_name": self.published.deployment}
        self.client.batch_endpoints.begin_create_or_update(endpoint).result()


def _default_deployment(endpoint: BatchEndpoint | None) -> str:
    defaults: Any = endpoint.defaults if endpoint else None
    return str(getattr(defaults, "deployment_name", None) or "")


def _summary(published: PublishedPipeline) -> str:
    steps = published.compiled.document["jobs"]
    inputs = ", ".join(published.endpoint.inputs) or "none"
    return f"steps {', '.join(steps)}; inputs {inputs}"
