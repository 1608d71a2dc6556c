"""Define the environment variables with which the steps of a job send telemetry.

Steps do not inherit the environment of the submitting machine, so the job contains the variables.
The connection string is that of the workspace's Application Insights, read on submission. It is
not a secret: the steps sign in as the cluster, which needs the role Monitoring Metrics Publisher,
and infra/ disables local authentication.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud import compat
from kedro_cloud.core.cloud_settings import cloud_settings
from kedro_cloud.core.variables import AUTHENTICATION_STRING, CONNECTION_STRING

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_API_VERSION = "2020-02-02"
_NEEDED = ("InstrumentationKey", "IngestionEndpoint")
"""Parts of a connection string to keep; the others are for live metrics, which are not used."""
logger = logging.getLogger(__name__)


def step_variables(client: MLClient, project: Path, environment: str) -> dict[str, str]:
    """Return the environment variables for all steps; none if telemetry is off or not available.

    If the connection string cannot be read, a warning is logged and the job continues without.

    Raises:
        ValueError: The environment's cloud.yml is invalid.
    """
    if not any((project / "conf" / environment).glob("cloud*.yml")):
        return {}
    if cloud_settings(project, environment).telemetry == "none":
        return {}
    workspace: Any = client.workspaces.get(client.workspace_name)
    if not workspace.application_insights:
        return {}
    address = _connection_string(str(workspace.application_insights))
    return (
        {CONNECTION_STRING: address, AUTHENTICATION_STRING: "Authorization=AAD"} if address else {}
    )


def _connection_string(resource: str) -> str:
    """Return the connection string of an Application Insights; empty if it cannot be read."""
    from azure.core import PipelineClient
    from azure.core.exceptions import AzureError
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
    from azure.core.rest import HttpRequest, HttpResponse
    from azure.identity import DefaultAzureCredential

    base = compat.management_url().rstrip("/")
    name = resource.rpartition("/")[2]
    with DefaultAzureCredential() as credential:
        authentication = BearerTokenCredentialPolicy(credential, f"{base}/.default")
        service: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            base, policies=[RetryPolicy(retry_total=2), authentication]
        )
        request = HttpRequest("GET", f"{base}{resource}", params={"api-version": _API_VERSION})
        try:
            response = service.send_request(request)
            response.raise_for_status()
            address = str(response.json()["properties"]["ConnectionString"])
        except (AzureError, KeyError, ValueError) as error:
            logger.warning(
                "the job sends no telemetry: '%s' cannot be read (%s); get the role Reader on it, "
                "or set `telemetry: none` in cloud.yml",
                name,
                str(error).partition("\n")[0],
            )
            return ""
    parts = [part.strip() for part in address.split(";")]
    return ";".join(part for part in parts if part.partition("=")[0] in _NEEDED)
