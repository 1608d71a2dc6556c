"""What Azure answers when it refuses, each told with what to do about it."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from azure.core.exceptions import HttpResponseError

_RESOURCE = re.compile(
    r"/workspaces/(?P<workspace>[^/?]+)(?:/(?P<kind>\w+)(?:/(?P<name>[^/?]+))?)?"
)
_WRONG_PLACE = re.compile(r"SubscriptionNotFound|ResourceGroupNotFound|/workspaces/[^/']+' ")
_TAKEN = re.compile(r"endpoint name '(?P<name>[^']+)' is not available|endpoint with this name")
_QUOTA = re.compile(r"has an? (?P<family>[\w ]+?) vCPU quota of (?P<quota>\d+)")
_IDENTITY = re.compile(r"userAssignedIdentities/(?P<name>[^/'\" ]+)")
_NO_IDENTITY = re.compile(_IDENTITY.pattern + r"'? was not found")
_ROLES = {
    "computes": "AzureML Compute Operator",
    "userAssignedIdentities": "Managed Identity Operator",
}
"""By kind of resource; for all others the first that one asks for will do."""
_ROLE = "AzureML Data Scientist"


def format_refusal(error: HttpResponseError, said: str) -> str:
    """The line for a refusal.

    Args:
        error: As the SDK raises it.
        said: The essence of what Azure said.
    """
    if is_from_storage(error):
        return (
            f"the code could not be uploaded ({said}); see whether this machine's clock is right "
            "and the workspace's storage account lets it in, and submit the job again"
        )
    found = _RESOURCE.search(_url(error))
    where = f"workspace '{found['workspace']}'" if found else "Azure"
    kind, name = (found["kind"] or "", found["name"] or "") if found else ("", "")
    if told := _refused(str(error), name):
        return f"{where}: {told}"
    missing = error.status_code == HTTPStatus.NOT_FOUND and not is_workspace_missing(error)
    if missing and kind == "computes" and name:
        return format_missing_cluster(where, name, said)
    return f"{where}: {_by_status(error, kind, said)}"


def is_from_storage(error: HttpResponseError) -> bool:
    """Whether blob storage has refused, not Azure ML."""
    return ".blob." in (urlsplit(_url(error)).hostname or "")


def is_workspace_missing(error: HttpResponseError) -> bool:
    """Whether what is not there is all the workspace, or its group or subscription."""
    return _WRONG_PLACE.search(str(error)) is not None


def format_missing_cluster(where: str, name: str, said: str) -> str:
    """The line for a cluster that is not, or no longer, there."""
    return (
        f"{where} has no cluster '{name}' ({said}); make one of that name (kedro cloud provision "
        "makes those of cloud.yml), or name another in azureml.yml"
    )


def _by_status(error: HttpResponseError, kind: str, said: str) -> str:
    status = error.status_code or 0
    if status == HTTPStatus.FORBIDDEN:
        return f"you may not do that ({said}); ask for the role {_role(error, kind)}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        seconds = getattr(error.response, "headers", {}).get("Retry-After")
        wait = f"wait {seconds} seconds" if seconds else "wait a minute"
        return (
            f"Azure is asked too often just now; {wait} and run the same command again, it goes "
            "on where it was"
        )
    if status == HTTPStatus.NOT_FOUND:
        return f"{said}; are the workspace's settings in azureml.yml right?"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"{said}; that is Azure's own: run the same command again in a while"
    return said


def _refused(text: str, name: str) -> str:
    """What stands against a thing that was to be made; nothing if it is not known."""
    if _TAKEN.search(text):
        return (
            f"another workspace of the region has an endpoint '{name}' already; give it another "
            "name wherever cloud.yml says it"
        )
    if quota := _QUOTA.search(text):
        return (
            f"cluster '{name}' would have no machine: your quota of {quota['family']} cores is "
            f"{quota['quota']}; ask for more (portal.azure.com, Quotas, Machine learning; what "
            "there is: az ml compute list-usage), or give it another size in cloud.yml"
        )
    if identity := _NO_IDENTITY.search(text):
        return (
            f"there is no identity '{identity['name']}' for its clusters; make it with infra/, or "
            f"by az identity create --name {identity['name']}, or leave `identity` out of "
            "cloud.yml: each cluster then has its own"
        )
    return ""


def _role(error: HttpResponseError, kind: str) -> str:
    if identity := _IDENTITY.search(str(error)):
        return f"{_ROLES['userAssignedIdentities']} for the identity '{identity['name']}'"
    return _ROLES.get(kind, _ROLE)


def _url(error: HttpResponseError) -> str:
    return str(getattr(getattr(error.response, "request", None), "url", ""))
