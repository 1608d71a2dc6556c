"""The Azure ML workspace that an environment of the project names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_cloud import compat
from kedro_cloud.workspace import answers, faults

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_CONNECT_SECONDS = 10
"""How long a network may take to open a connection; it is tried four times."""


def connect(project: Path, environment: str, subscription: str = "") -> MLClient:
    """A client of the workspace; nothing is asked of it yet.

    Args:
        project: Kedro's.
        environment: Folder of `conf`.
        subscription: In place of what the environment says.

    Raises:
        ValueError: It is not said which workspace, or nobody is signed in.
    """
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    faults.check_workspace_settings(project, environment, subscription)
    faults.check_credential()
    here = faults.workspace_settings(project, environment)
    return MLClient(
        DefaultAzureCredential(),
        subscription or here["subscription_id"],
        here["resource_group"],
        here["workspace_name"],
    )


def check_image(client: MLClient, project: Path, environment: str) -> None:
    """Raise if the workspace does not have what the environment's steps run in.

    It would be missed after the upload only. Labels (`name@latest`) and images of a registry
    are left to Azure ML.

    Raises:
        ValueError: It is not registered.
    """
    from azure.core.exceptions import ResourceNotFoundError

    reference = str(faults.workspace_settings(project, environment).get("environment_name") or "")
    found = re.fullmatch(r"(?:azureml:)?([\w.-]+):([\w.-]+)", reference)
    if found is None:
        return
    try:
        client.environments.get(*found.groups())
    except ResourceNotFoundError as error:
        if answers.is_workspace_missing(error):
            raise
        raise ValueError(
            f"workspace '{client.workspace_name}' has no environment '{reference}', in which the "
            "steps run; register it: kedro cloud environment"
        ) from error


def check_clusters(client: MLClient, names: list[str]) -> None:
    """Raise if steps would have no machine. It would be missed after the upload, or never.

    Raises:
        azure.core.exceptions.ResourceNotFoundError: A cluster is not there.
    """
    for name in names:
        client.compute.get(name)


def check_storage(client: MLClient) -> None:
    """Raise if this machine cannot reach the account that the code is uploaded to.

    Many a network lets nobody through to blob storage. The SDK would then try each file of the
    code several times, for more than an hour in all, and say nothing.

    Raises:
        ValueError: It cannot be reached.
    """
    from azure.core import PipelineClient
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError
    from azure.core.rest import HttpRequest, HttpResponse

    found = client.workspaces.get(client.workspace_name)
    account = str(found.storage_account).rpartition("/")[2]
    address = f"https://{account}.blob.{compat.storage_suffix()}"
    try:
        # Any answer will do, a refusal as well: nobody is signed in here.
        service: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(address)
        service.send_request(HttpRequest("HEAD", address), connection_timeout=_CONNECT_SECONDS)
    except (ServiceRequestError, ServiceResponseError) as error:
        raise ValueError(
            f"storage account '{account}', to which the code is uploaded, cannot be reached "
            f"({error}); see whether this machine's network lets it through to {address}"
        ) from error
