"""Apply a planned deployment to Azure ML; after an interruption, the next call continues."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud.models import bundle
from kedro_cloud.models.deployment import DesiredDeployment, EndpointChange, EndpointState
from kedro_cloud.workspace.changes import found

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_CONTENT = "kedro_cloud_content"
"""Tag of a deployment with `DesiredDeployment.content`."""
_MODEL_FOLDER = "/var/kedro_cloud/model"
"""Path of the model in the container."""
_REQUEST_TIMEOUT_MS = 60_000
_REQUESTS_AT_ONCE = 32
"""For each instance. Azure's default is 1, so that it would reject concurrent requests."""
_FIRST_PROBE_S = 30
"""Delay after the container's start, in which it loads PyTorch and the model."""


def read_state(client: MLClient, endpoint: str) -> EndpointState:
    """Return the current state of an endpoint."""
    entity = found(client.online_endpoints.get, endpoint)
    if entity is None:
        return EndpointState(False, {}, {})
    return EndpointState(
        exists=True,
        traffic={name: int(share) for name, share in entity.traffic.items() if int(share)},
        contents={
            str(deployment.name): _content(deployment)
            for deployment in client.online_deployments.list(endpoint_name=endpoint)
        },
    )


def _content(entity: Any) -> str:
    state = entity.provisioning_state
    finished = str(getattr(state, "value", state)).lower() == "succeeded"
    return str((entity.tags or {}).get(_CONTENT, "")) if finished else ""


def apply(
    client: MLClient, change: EndpointChange, example: bytes, echo: Callable[[str], None]
) -> None:
    """Create and test the deployment, move the traffic to it, delete the previous one.

    Args:
        client: Client of the workspace.
        change: Planned change.
        example: Test request, JSON.
        echo: Prints a line for each completed change.

    Raises:
        ValueError: The new deployment failed the test request; the traffic is unchanged.
    """
    desired, target = change.desired, change.target
    if not change.state.exists:
        _create_endpoint(client, desired)
        echo(f"endpoint {desired.endpoint} created")
    if change.creates:
        echo(f"creating deployment {target}, which takes about ten minutes")
        _create_deployment(client, desired, target)
        echo(f"deployment {target} created: {desired.description}")
    if change.moves_traffic:
        rows = _send_example(client, desired.endpoint, target, example)
        echo(f"deployment {target} answered the test request with {rows} rows")
        endpoint = client.online_endpoints.get(desired.endpoint)
        endpoint.traffic = {target: 100}
        client.online_endpoints.begin_create_or_update(endpoint).result()
        echo(f"traffic: 100 % to {target}")
    for name in change.removes:
        client.online_deployments.begin_delete(name, desired.endpoint).result()
        echo(f"deployment {name} deleted")


def scoring_uri(client: MLClient, endpoint: str) -> str:
    """Return the scoring URI of an endpoint."""
    return str(client.online_endpoints.get(endpoint).scoring_uri)


def _create_endpoint(client: MLClient, desired: DesiredDeployment) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    endpoint = ManagedOnlineEndpoint(
        name=desired.endpoint,
        auth_mode="aad_token",
        description=f"Serves the model {desired.model}",
        tags={"model": desired.model},
    )
    client.online_endpoints.begin_create_or_update(endpoint).result()


def _create_deployment(client: MLClient, desired: DesiredDeployment, name: str) -> None:
    from azure.ai.ml.entities import (
        CodeConfiguration,
        ManagedOnlineDeployment,
        OnlineRequestSettings,
        ProbeSettings,
    )

    with bundle.copy_code() as code:
        deployment = ManagedOnlineDeployment(
            name=name,
            endpoint_name=desired.endpoint,
            model=f"azureml:{desired.model}:{desired.version}",
            model_mount_path=_MODEL_FOLDER,
            environment_variables={"KEDRO_CLOUD_MODEL_DIR": _MODEL_FOLDER},
            environment=f"azureml:{desired.environment}",
            code_configuration=CodeConfiguration(code=str(code), scoring_script=bundle.ENTRY),
            instance_type=desired.size,
            instance_count=desired.instances,
            request_settings=OnlineRequestSettings(
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                max_concurrent_requests_per_instance=_REQUESTS_AT_ONCE,
            ),
            liveness_probe=ProbeSettings(initial_delay=_FIRST_PROBE_S),
            readiness_probe=ProbeSettings(initial_delay=_FIRST_PROBE_S),
            tags={_CONTENT: desired.content, "model": desired.model, "version": desired.version},
        )
        client.online_deployments.begin_create_or_update(deployment).result()


def _send_example(client: MLClient, endpoint: str, deployment: str, example: bytes) -> int:
    """Send the example to a deployment, past the traffic rules; return the rows of the answer."""
    from azure.core.exceptions import HttpResponseError

    logs = f"az ml online-deployment get-logs --endpoint-name {endpoint} --name {deployment}"
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        request.write_bytes(example)
        try:
            answer = client.online_endpoints.invoke(
                endpoint, request_file=str(request), deployment_name=deployment
            )
        except HttpResponseError as error:
            reason = str(error.message).partition("\n")[0]
            raise ValueError(
                f"deployment {deployment} failed the test request ({reason}), so the traffic is "
                f"unchanged; see its log: {logs}"
            ) from error
    try:
        rows = len(json.loads(answer)["predictions"])
    except (ValueError, TypeError, KeyError):
        rows = 0
    if not rows:
        raise ValueError(
            f"deployment {deployment} answered the test request with {answer[:100]!r}, expected "
            f"predictions, so the traffic is unchanged; see its log: {logs}"
        )
    return rows
