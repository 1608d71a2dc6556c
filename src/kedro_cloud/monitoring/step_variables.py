"""What the steps of a job must be told so that they tell Application Insights of themselves.

Steps have no variable of the laptop that submits them, so these stand in the job. The address is
that of the workspace's own Application Insights, asked for when a job is submitted. It opens
nothing by itself: the steps enter as the cluster, which needs the role Monitoring Metrics
Publisher there, and whoever else reads the address in the job is not let in, where local
authentication is off as infra/ has it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud import compat
from kedro_cloud.core.cloud_settings import cloud_settings
from kedro_cloud.core.variables import AUTHENTICATION, VARIABLE

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_VERSION = "2020-02-02"
_NEEDED = ("InstrumentationKey", "IngestionEndpoint")
"""Of a connection string; the rest is for watching live, which nothing here does."""
logger = logging.getLogger(__name__)


def step_variables(client: MLClient, project: Path, environment: str) -> dict[str, str]:
    """Environment variables for all steps; none where nothing is to be told, or nobody listens.

    A job is not held up by this: where the address may not be read, a warning says so.

    Args:
        client: Of the workspace.
        project: Kedro's.
        environment: Folder of `conf`.

    Raises:
        ValueError: The environment's cloud.yml cannot be understood.
    """
    if not any((project / "conf" / environment).glob("cloud*.yml")):
        return {}
    if cloud_settings(project, environment).telemetry == "none":
        return {}
    found: Any = client.workspaces.get(client.workspace_name)
    if not found.application_insights:
        return {}
    told = _connection_string(str(found.application_insights))
    return {VARIABLE: told, AUTHENTICATION: "Authorization=AAD"} if told else {}


def _connection_string(resource: str) -> str:
    """What Application Insights wants to be called by; empty if that may not be read."""
    from azure.core import PipelineClient
    from azure.core.exceptions import AzureError
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
    from azure.core.rest import HttpRequest, HttpResponse
    from azure.identity import DefaultAzureCredential

    base = compat.management_url().rstrip("/")
    name = resource.rpartition("/")[2]
    with DefaultAzureCredential() as credential:
        entry = BearerTokenCredentialPolicy(credential, f"{base}/.default")
        service: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            base, policies=[RetryPolicy(retry_total=2), entry]
        )
        request = HttpRequest("GET", f"{base}{resource}", params={"api-version": _VERSION})
        try:
            answer = service.send_request(request)
            answer.raise_for_status()
            told = str(answer.json()["properties"]["ConnectionString"])
        except (AzureError, KeyError, ValueError) as error:
            logger.warning(
                "the job will tell Application Insights nothing: '%s' cannot be read (%s); have "
                "the role Reader on it, or write `telemetry: none` into cloud.yml",
                name,
                str(error).partition("\n")[0],
            )
            return ""
    parts = [part.strip() for part in told.split(";")]
    return ";".join(part for part in parts if part.partition("=")[0] in _NEEDED)
