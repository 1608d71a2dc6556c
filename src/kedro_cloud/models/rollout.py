"""Roll models out to managed online endpoints of Azure ML, as blue-green deployments.

A new deployment is created beside the current one, and gets the traffic once it has answered a
test request. After an interruption, the next call continues. See "Perform safe rollout of new
deployments for real-time inference" in Microsoft's documentation.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud.models import bundle
from kedro_cloud.workspace.changes import GONE, NEW, OTHER, Change, get_or_none

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

COLOURS = ("blue", "green")
_CONTENT = "kedro_cloud_content"
"""Tag of a deployment with `DesiredDeployment.content`."""
_MODEL_FOLDER = "/var/kedro_cloud/model"
"""Path of the model in the container."""
_REQUEST_TIMEOUT_MS = 60_000
_REQUESTS_AT_ONCE = 32
"""For each instance. Azure's default is 1, so that it would reject concurrent requests."""
_FIRST_PROBE_S = 30
"""Delay after the container's start, in which it loads PyTorch and the model."""


@dataclass(frozen=True)
class DesiredDeployment:
    """Desired deployment of a model.

    Attributes:
        endpoint: Name of the endpoint, unique in its region.
        model: Registered name of the model.
        version: Version of the model.
        environment: Environment as `name:version`.
        code: SHA-256 of the scoring code.
        size: Azure VM size of the instances.
        instances: Number of instances.
    """

    endpoint: str
    model: str
    version: str
    environment: str
    code: str
    size: str
    instances: int

    @property
    def content(self) -> str:
        """Hash of all attributes, 12 hexadecimal digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def description(self) -> str:
        """Model, instances and environment as text."""
        return (
            f"{self.model} version {self.version} on {self.instances} × {self.size} "
            f"in {self.environment}"
        )


def choose_target(
    desired: DesiredDeployment, traffic: Mapping[str, int], contents: Mapping[str, str]
) -> str:
    """Return the deployment to use: one with the same content, else one without traffic.

    Args:
        desired: Desired deployment.
        traffic: Percent of the traffic by deployment, without deployments that get none.
        contents: `DesiredDeployment.content` by deployment.

    Raises:
        ValueError: The traffic is split between blue and green.
    """
    equal = [name for name, content in contents.items() if content == desired.content]
    equal.sort(key=lambda name: -traffic.get(name, 0))
    free = [name for name in COLOURS if name not in traffic]
    if not (equal or free):
        raise ValueError(
            f"endpoint {desired.endpoint} splits its traffic between {' and '.join(COLOURS)}; give "
            f"all of it to one: az ml online-endpoint update --name {desired.endpoint} "
            f'--traffic "{COLOURS[0]}=100"'
        )
    return (equal or free)[0]


def plan_changes(
    client: MLClient, desired: DesiredDeployment, keep: bool, load_example: Callable[[], bytes]
) -> list[Change]:
    """Return the changes that roll a deployment out, in the order in which they are applied.

    With `keep` the previous deployment stays, for a fast rollback. `load_example` returns the test
    request, JSON.

    Raises:
        ValueError: The traffic is split between blue and green.
    """
    endpoint = get_or_none(client.online_endpoints.get, desired.endpoint)
    traffic: dict[str, int] = {}
    contents: dict[str, str] = {}
    changes = []
    if endpoint is None:
        detail = "with Microsoft Entra tokens and no keys"
        create = partial(_create_endpoint, client, desired)
        changes.append(Change(NEW, "endpoint", desired.endpoint, detail, create))
    else:
        traffic = {name: int(share) for name, share in endpoint.traffic.items() if int(share)}
        deployments = client.online_deployments.list(endpoint_name=desired.endpoint)
        contents = {str(each.name): _read_content(each) for each in deployments}
    target = choose_target(desired, traffic, contents)
    if contents.get(target) != desired.content:
        detail = f"{desired.description}; takes about ten minutes"
        create = partial(_create_deployment, client, desired, target)
        changes.append(Change(NEW, "deployment", target, detail, create))
    if traffic != {target: 100}:
        now = ", ".join(f"{share} % to {name}" for name, share in traffic.items()) or "none"
        detail = f"100 %, once it has answered a test request ({now} until then)"
        move = partial(_move_traffic, client, desired.endpoint, target, load_example)
        changes.append(Change(OTHER, "traffic", f"to {target}", detail, move))
    for name in COLOURS:
        if name in contents and name != target and not keep:
            remove = partial(_remove_deployment, client, desired.endpoint, name)
            changes.append(Change(GONE, "deployment", name, "", remove))
    return changes


def _read_content(entity: Any) -> str:
    """Return the content of a deployment; empty if another tool created it, or it failed."""
    state = entity.provisioning_state
    finished = str(getattr(state, "value", state)).lower() == "succeeded"
    return str((entity.tags or {}).get(_CONTENT, "")) if finished else ""


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


def _move_traffic(
    client: MLClient, endpoint: str, target: str, load_example: Callable[[], bytes]
) -> None:
    _check_answer(client, endpoint, target, load_example())
    entity = client.online_endpoints.get(endpoint)
    entity.traffic = {target: 100}
    client.online_endpoints.begin_create_or_update(entity).result()


def _remove_deployment(client: MLClient, endpoint: str, name: str) -> None:
    client.online_deployments.begin_delete(name, endpoint).result()


def _check_answer(client: MLClient, endpoint: str, deployment: str, example: bytes) -> None:
    """Send the example to a deployment, past the traffic rules; raise ValueError if it fails."""
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
