"""Connect to the Azure ML workspace of an environment, and check what jobs need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_cloud import compat
from kedro_cloud.workspace import answers, faults

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_CONNECT_SECONDS = 10
"""Timeout of a connection; the client tries four times."""


def connect(project: Path, environment: str, subscription: str = "") -> MLClient:
    """Return a client of the workspace; it sends no request yet.

    Args:
        project: Root folder of the Kedro project.
        environment: Folder of `conf`.
        subscription: Subscription ID; overrides the environment's.

    Raises:
        ValueError: The settings of the workspace are incomplete, or nobody is signed in.
    """
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    faults.check_workspace_settings(project, environment, subscription)
    faults.check_credential()
    settings = faults.workspace_settings(project, environment)
    return MLClient(
        DefaultAzureCredential(),
        subscription or settings["subscription_id"],
        settings["resource_group"],
        settings["workspace_name"],
    )


def check_image(client: MLClient, project: Path, environment: str) -> None:
    """Check that the workspace has the Azure ML environment of the steps, before the upload.

    Labels (`name@latest`) and images of a registry are left to Azure ML.

    Raises:
        ValueError: The Azure ML environment is not registered.
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
            f"workspace '{client.workspace_name}' has no environment '{reference}', which the "
            "steps need; register it: kedro cloud environment"
        ) from error


def check_clusters(client: MLClient, names: list[str]) -> None:
    """Check that clusters exist, before the upload.

    Raises:
        azure.core.exceptions.ResourceNotFoundError: A cluster does not exist.
    """
    for name in names:
        client.compute.get(name)


def check_storage(client: MLClient) -> None:
    """Check that this machine can reach the storage account for the code.

    Many networks block blob storage. The SDK would then retry each file of the code, for more than
    an hour in total, without a message.

    Raises:
        ValueError: The account cannot be reached.
    """
    from azure.core import PipelineClient
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError
    from azure.core.rest import HttpRequest, HttpResponse

    found = client.workspaces.get(client.workspace_name)
    account = str(found.storage_account).rpartition("/")[2]
    address = f"https://{account}.blob.{compat.storage_suffix()}"
    try:
        # Any response proves the connection, an error as well: the request is not authenticated.
        service: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(address)
        service.send_request(HttpRequest("HEAD", address), connection_timeout=_CONNECT_SECONDS)
    except (ServiceRequestError, ServiceResponseError) as error:
        raise ValueError(
            f"storage account '{account}', to which the code is uploaded, cannot be reached "
            f"({error}); allow connections from this machine's network to {address}"
        ) from error
