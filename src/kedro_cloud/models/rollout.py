"""A planned deployment carried out on Azure ML; broken off anywhere, the next call goes on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud.models import bundle
from kedro_cloud.models.deployment import Change, Standing, Wanted

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_CONTENT = "kedro_cloud_content"
"""Tag of a deployment: what it was made of."""
_MODEL_FOLDER = "/var/kedro_cloud/model"
"""In the container."""
_REQUEST_TIMEOUT_MS = 60_000
_REQUESTS_AT_ONCE = 32
"""For each machine; Azure's own default is one, and the second is refused."""
_FIRST_PROBE_S = 30
"""After the container's start; until then PyTorch and the model are being loaded."""


def look(client: MLClient, endpoint: str) -> Standing:
    """What stands behind an endpoint."""
    from azure.core.exceptions import ResourceNotFoundError

    from kedro_cloud.workspace import answers

    try:
        found = client.online_endpoints.get(endpoint)
    except ResourceNotFoundError as error:
        if answers.is_workspace_missing(error):
            raise
        return Standing(False, {}, {})
    return Standing(
        exists=True,
        traffic={name: int(share) for name, share in found.traffic.items() if int(share)},
        contents={
            str(entity.name): _content(entity)
            for entity in client.online_deployments.list(endpoint_name=endpoint)
        },
    )


def _content(entity: Any) -> str:
    state = entity.provisioning_state
    finished = str(getattr(state, "value", state)).lower() == "succeeded"
    return str((entity.tags or {}).get(_CONTENT, "")) if finished else ""


def carry_out(
    client: MLClient, change: Change, example: bytes, tell: Callable[[str], None]
) -> None:
    """Make what is missing, ask it, move the traffic to it, remove what it replaces.

    Args:
        client: Of the workspace.
        change: What to do.
        example: The test request, JSON.
        tell: Takes a line about each thing that was done.

    Raises:
        ValueError: The new deployment does not answer as it should; the traffic stays.
    """
    wanted, target = change.wanted, change.target
    if not change.standing.exists:
        _make_endpoint(client, wanted)
        tell(f"endpoint {wanted.endpoint} is there")
    if change.makes:
        tell(f"deployment {target} is being made, which takes some ten minutes")
        _make_deployment(client, wanted, target)
        tell(f"deployment {target}: {wanted.told}")
    if change.moves_traffic:
        rows = _ask(client, wanted.endpoint, target, example)
        tell(f"deployment {target} has answered a test request, {rows} rows")
        endpoint = client.online_endpoints.get(wanted.endpoint)
        endpoint.traffic = {target: 100}
        client.online_endpoints.begin_create_or_update(endpoint).result()
        tell(f"traffic: 100 % to {target}")
    for name in change.removes:
        client.online_deployments.begin_delete(name, wanted.endpoint).result()
        tell(f"deployment {name} is removed")


def address(client: MLClient, endpoint: str) -> str:
    """Where an endpoint is asked."""
    return str(client.online_endpoints.get(endpoint).scoring_uri)


def _make_endpoint(client: MLClient, wanted: Wanted) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    endpoint = ManagedOnlineEndpoint(
        name=wanted.endpoint,
        auth_mode="aad_token",
        description=f"Serves the model {wanted.model}",
        tags={"model": wanted.model},
    )
    client.online_endpoints.begin_create_or_update(endpoint).result()


def _make_deployment(client: MLClient, wanted: Wanted, name: str) -> None:
    from azure.ai.ml.entities import (
        CodeConfiguration,
        ManagedOnlineDeployment,
        OnlineRequestSettings,
        ProbeSettings,
    )

    with bundle.bundled() as code:
        deployment = ManagedOnlineDeployment(
            name=name,
            endpoint_name=wanted.endpoint,
            model=f"azureml:{wanted.model}:{wanted.version}",
            model_mount_path=_MODEL_FOLDER,
            environment_variables={"KEDRO_CLOUD_MODEL_DIR": _MODEL_FOLDER},
            environment=f"azureml:{wanted.environment}",
            code_configuration=CodeConfiguration(code=str(code), scoring_script=bundle.ENTRY),
            instance_type=wanted.size,
            instance_count=wanted.instances,
            request_settings=OnlineRequestSettings(
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
                max_concurrent_requests_per_instance=_REQUESTS_AT_ONCE,
            ),
            liveness_probe=ProbeSettings(initial_delay=_FIRST_PROBE_S),
            readiness_probe=ProbeSettings(initial_delay=_FIRST_PROBE_S),
            tags={_CONTENT: wanted.content, "model": wanted.model, "version": wanted.version},
        )
        client.online_deployments.begin_create_or_update(deployment).result()


def _ask(client: MLClient, endpoint: str, deployment: str, example: bytes) -> int:
    """Rows of the answer that a deployment gives to the example, without traffic of its own."""
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
            said = str(error.message).partition("\n")[0]
            raise ValueError(
                f"deployment {deployment} does not answer a test request ({said}), so the traffic "
                f"stays as it is; its log: {logs}"
            ) from error
    rows = _rows(answer)
    if not rows:
        raise ValueError(
            f"deployment {deployment} answers a test request with {answer[:100]!r} and not with "
            f"predictions, so the traffic stays as it is; its log: {logs}"
        )
    return rows


def _rows(answer: str) -> int:
    try:
        found = json.loads(answer)
    except ValueError:
        return 0
    predictions = found.get("predictions") if isinstance(found, Mapping) else None
    return len(predictions) if isinstance(predictions, list) else 0
