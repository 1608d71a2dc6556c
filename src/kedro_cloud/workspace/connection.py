"""Connect to the Azure ML workspace of an environment, and check what jobs need."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_cloud import compat
from kedro_cloud.workspace import changes, faults

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_WORKSPACE = {
    "subscription_id": "AZURE_SUBSCRIPTION_ID",
    "resource_group": "AZURE_RESOURCE_GROUP",
    "workspace_name": "AZURE_ML_WORKSPACE",
}
"""Environment variable by setting of `azureml.yml`."""
_SCOPE = "https://management.azure.com/.default"
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

    settings = faults.workspace_settings(project, environment)
    settings["subscription_id"] = subscription or settings.get("subscription_id")
    missing = [name for name in _WORKSPACE if settings.get(name) in (None, "", "not-set")]
    if missing:
        variables = " ".join(f"{_WORKSPACE[name]}=…" for name in missing)
        raise ValueError(
            f"workspace settings are missing: {', '.join(missing)}; set them in "
            f"conf/{environment}/azureml.yml, or export {variables}"
        )
    _check_credential()
    return MLClient(DefaultAzureCredential(), *(settings[name] for name in _WORKSPACE))


def _check_credential() -> None:
    """Raise ValueError if no identity is signed in.

    Otherwise kedro-azureml would open a browser and wait for it for five minutes.
    """
    from azure.identity import DefaultAzureCredential

    # As in kedro-azureml: on a compute instance the managed identity may lack permissions.
    credential = DefaultAzureCredential(
        exclude_managed_identity_credential="MSI_ENDPOINT" in os.environ
    )
    with credential, changes.quietly("azure.identity"):  # it logs each credential that it tries
        try:
            credential.get_token(_SCOPE)
        except Exception as error:
            raise ValueError(faults.format_credential_error(str(error))) from error


def check_image(client: MLClient, project: Path, environment: str) -> None:
    """Check that the workspace has the Azure ML environment of the steps, before the upload.

    Labels (`name@latest`) and images of a registry are left to Azure ML.

    Raises:
        ValueError: The Azure ML environment is not registered.
    """
    reference = str(faults.workspace_settings(project, environment).get("environment_name") or "")
    if re.fullmatch(r"(azureml:)?[\w.-]+:[\w.-]+", reference):
        check_registered(client, reference.removeprefix("azureml:"), "the steps need")


def check_registered(client: MLClient, reference: str, use: str, option: str = "") -> None:
    """Check that an Azure ML environment is registered.

    Args:
        client: Client of the workspace.
        reference: its name and version, `image:1`.
        use: For the message: who needs it, such as `the steps need`.
        option: For the message: option of `kedro cloud environment`, with a leading space.

    Raises:
        ValueError: It is not.
    """
    if changes.found(client.environments.get, *reference.split(":")) is None:
        raise ValueError(
            f"workspace '{client.workspace_name}' has no environment '{reference}', which {use}; "
            f"register it: kedro cloud environment{option}"
        )


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
