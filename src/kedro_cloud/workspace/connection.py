"""Connect to the Azure ML workspace of a Kedro environment, and check what its jobs need."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_cloud import compat
from kedro_cloud.workspace import changes, faults

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_SETTINGS = {
    "subscription_id": "AZURE_SUBSCRIPTION_ID",
    "resource_group": "AZURE_RESOURCE_GROUP",
    "workspace_name": "AZURE_ML_WORKSPACE",
}
"""Settings in `azureml.yml`, and the environment variables to which they refer."""
_SCOPE = "https://management.azure.com/.default"
_CONNECT_SECONDS = 10
"""Timeout of each of the client's four attempts."""


def connect(project: Path, environment: str, subscription: str = "") -> MLClient:
    """Return a client of the workspace, after a check that a credential is valid.

    Args:
        project: Root folder of the Kedro project.
        environment: Kedro environment: a folder in `conf`.
        subscription: Subscription ID; overrides the setting.

    Raises:
        ValueError: Settings of the workspace are missing or invalid, or there is no valid
            credential.
    """
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    settings = faults.workspace_settings(project, environment)
    settings["subscription_id"] = subscription or settings.get("subscription_id")
    missing = [name for name in _SETTINGS if settings.get(name) in (None, "", "not-set")]
    if missing:
        variables = " ".join(f"{_SETTINGS[name]}=…" for name in missing)
        raise ValueError(
            f"workspace settings are missing: {', '.join(missing)}; set them in "
            f"conf/{environment}/azureml.yml, or export {variables}"
        )
    _check_credential()
    return MLClient(DefaultAzureCredential(), *(settings[name] for name in _SETTINGS))


def _check_credential() -> None:
    """Check that a credential is valid; else raise ValueError.

    Without this check, kedro-azureml would open a browser and wait five minutes for a login.
    """
    from azure.identity import DefaultAzureCredential

    # As in kedro-azureml: the managed identity of a compute instance may lack permissions.
    credential = DefaultAzureCredential(
        exclude_managed_identity_credential="MSI_ENDPOINT" in os.environ
    )
    # azure.identity logs each credential that it tries.
    with credential, changes.hide_warnings("azure.identity"):
        try:
            credential.get_token(_SCOPE)
        except Exception as error:
            raise ValueError(faults.format_credential_error(str(error))) from error


def check_step_image(client: MLClient, project: Path, environment: str) -> None:
    """Check that the Azure ML environment of the steps is registered, before code is uploaded.

    References with a label (`name@latest`) and environments of a registry are not checked.

    Args:
        client: Client of the workspace.
        project: Root folder of the Kedro project.
        environment: Kedro environment: a folder in `conf`.

    Raises:
        ValueError: The Azure ML environment is not registered.
    """
    reference = str(faults.workspace_settings(project, environment).get("environment_name") or "")
    if re.fullmatch(r"(azureml:)?[\w.-]+:[\w.-]+", reference):
        check_image_registered(client, reference.removeprefix("azureml:"), "the steps")


def check_image_registered(
    client: MLClient, reference: str, needed_by: str, option: str = ""
) -> None:
    """Check that an Azure ML environment is registered.

    Args:
        client: Client of the workspace.
        reference: Its name and version, such as `my-project-cpu-0f4a1c27b9de:5c1e77aa`.
        needed_by: What needs it, such as "the steps", for the message.
        option: Option of `kedro cloud environment`, with a leading space, for the message.

    Raises:
        ValueError: The Azure ML environment is not registered.
    """
    if changes.get_or_none(client.environments.get, *reference.split(":")) is None:
        raise ValueError(
            f"workspace '{client.workspace_name}' has no Azure ML environment '{reference}', "
            f"needed by {needed_by}; register it: kedro cloud environment{option}"
        )


def check_storage(client: MLClient) -> None:
    """Check that this machine can reach the storage account to which code is uploaded.

    Many networks block blob storage. The SDK would then try to upload each file several times, for
    more than an hour in total, without a message.

    Raises:
        ValueError: The account cannot be reached.
    """
    from azure.core import PipelineClient
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError
    from azure.core.rest import HttpRequest, HttpResponse

    workspace = client.workspaces.get(client.workspace_name)
    account = str(workspace.storage_account).rpartition("/")[2]
    address = f"https://{account}.blob.{compat.storage_suffix()}"
    try:
        # The request has no credential; any response, even an error, proves the connection.
        service: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(address)
        service.send_request(HttpRequest("HEAD", address), connection_timeout=_CONNECT_SECONDS)
    except (ServiceRequestError, ServiceResponseError) as error:
        raise ValueError(
            f"storage account '{account}', to which the code is uploaded, cannot be reached "
            f"({error}); allow connections from this machine's network to {address}"
        ) from error
