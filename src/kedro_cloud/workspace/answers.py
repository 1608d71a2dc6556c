"""Format Azure's error responses: what is wrong and what to do, in one line."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

_RESOURCE = re.compile(
    r"/workspaces/(?P<workspace>[^/?]+)(?:/(?P<kind>\w+)(?:/(?P<name>[^/?]+))?)?"
)
_PARENT_MISSING = re.compile(r"SubscriptionNotFound|ResourceGroupNotFound|/workspaces/[^/']+' ")
"""Codes, and the end of a quoted ID in "The Resource '…/workspaces/NAME' … was not found"."""
_NAME_TAKEN = re.compile(
    r"endpoint name '(?P<name>[^']+)' is not available|endpoint with this name"
)
_QUOTA = re.compile(r"has an? (?P<family>[\w ]+?) vCPU quota of (?P<quota>\d+)")
_IDENTITY = re.compile(r"userAssignedIdentities/(?P<name>[^/'\" ]+)")
_NO_IDENTITY = re.compile(_IDENTITY.pattern + r"'? was not found")
_ROLES = {
    "computes": "AzureML Compute Operator",
    "userAssignedIdentities": "Managed Identity Operator",
}
"""Role that is needed for changes, by kind of resource."""
_DEFAULT_ROLE = "AzureML Data Scientist"
"""Role that is needed for all other kinds of resources."""


def format_error_response(error: HttpResponseError, message: str) -> str:
    """Return one line for an error response.

    Args:
        error: Error of the SDK; its request tells the resource.
        message: The message in Azure's response, without codes and details.
    """
    if is_from_storage(error):
        return (
            f"the code could not be uploaded ({message}); check this machine's clock and its "
            "access to the workspace's storage account, and submit the job again"
        )
    found = _RESOURCE.search(_url(error))
    where = f"workspace '{found['workspace']}'" if found else "Azure"
    kind, name = (found["kind"] or "", found["name"] or "") if found else ("", "")
    if text := _format_by_message(str(error), name):
        return f"{where}: {text}"
    missing = error.status_code == HTTPStatus.NOT_FOUND and not is_workspace_missing(error)
    if missing and kind == "computes" and name:
        return format_missing_cluster(where, name, message)
    return f"{where}: {_format_by_status(error, kind, message)}"


def is_from_storage(error: HttpResponseError) -> bool:
    """Return whether the error is from blob storage, not from Azure ML."""
    return ".blob." in (urlsplit(_url(error)).hostname or "")


def is_workspace_missing(error: HttpResponseError) -> bool:
    """Return whether the workspace, its resource group or its subscription does not exist."""
    return _PARENT_MISSING.search(str(error)) is not None


def is_workspace_wide(error: BaseException) -> bool:
    """Return whether an error affects all requests to the workspace."""
    if isinstance(error, ServiceRequestError | ServiceResponseError | ClientAuthenticationError):
        return True
    return isinstance(error, HttpResponseError) and (
        error.status_code == HTTPStatus.TOO_MANY_REQUESTS or is_workspace_missing(error)
    )


def format_missing_cluster(where: str, name: str, message: str) -> str:
    """Return one line for a cluster that does not exist.

    Args:
        where: Start of the line: `workspace 'NAME'`.
        name: Name of the cluster.
        message: The message in Azure's response.
    """
    return (
        f"{where} has no cluster '{name}' ({message}); create it (kedro cloud provision creates "
        "the clusters of cloud.yml), or set another in azureml.yml"
    )


def _format_by_status(error: HttpResponseError, kind: str, message: str) -> str:
    status = error.status_code or 0
    if status == HTTPStatus.FORBIDDEN:
        return f"permission denied ({message}); ask for the role {_role(error, kind)}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = getattr(error.response, "headers", {}).get("Retry-After")
        wait = f"wait {seconds} seconds" if seconds else "wait a minute"
        return f"Azure limits the rate of requests; {wait} and rerun: the command resumes"
    if status == HTTPStatus.NOT_FOUND:
        return f"{message}; check the workspace's settings in azureml.yml"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"{message}; this is an error of Azure: rerun later"
    return message


def _format_by_message(text: str, name: str) -> str:
    """Return one line for a known message; empty for others."""
    if _NAME_TAKEN.search(text):
        return (
            f"endpoint name '{name}' is taken by another workspace of the region; rename the "
            "endpoint in cloud.yml"
        )
    if quota := _QUOTA.search(text):
        return (
            f"cluster '{name}': your quota of {quota['family']} cores is {quota['quota']}; request "
            "more (portal.azure.com, Quotas, Machine learning; current usage: az ml compute "
            "list-usage), or set another size in cloud.yml"
        )
    if identity := _NO_IDENTITY.search(text):
        return (
            f"there is no identity '{identity['name']}' for its clusters; create it with infra/ or "
            f"az identity create --name {identity['name']}, or remove `identity` from cloud.yml to "
            "give each cluster its own"
        )
    return ""


def _role(error: HttpResponseError, kind: str) -> str:
    if identity := _IDENTITY.search(str(error)):
        return f"{_ROLES['userAssignedIdentities']} for the identity '{identity['name']}'"
    return _ROLES.get(kind, _DEFAULT_ROLE)


def _url(error: HttpResponseError) -> str:
    return str(getattr(getattr(error.response, "request", None), "url", ""))
