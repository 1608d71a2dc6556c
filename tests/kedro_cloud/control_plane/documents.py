"""Fields that Azure adds to the documents of clients."""

from __future__ import annotations

from control_plane import runs, signin
from control_plane.resources import Document, type_of

SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"
GROUP = "quartet-group"
WORKSPACE = "quartet-workspace"
ACCOUNT = "quartetworkspace"
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
WORKSPACE_ID = f"{GROUP_ID}/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
STORAGE_ID = f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
_DONE = {"provisioningState": "Succeeded"}
FILLED_IN: dict[str, Document] = {
    "batchEndpoints": _DONE,
    "computes": _DONE,
    "deployments": {**_DONE, "scaleSettings": {"scaleType": "Default"}},
    "models/versions": {"flavors": {}},
    "onlineEndpoints": _DONE,
    "schedules": {**_DONE, "isEnabled": True},
}
"""Default properties by the end of a resource's type."""


def completed(path: str, body: Document) -> Document:
    """Return a document with the defaults of the service."""
    kind = type_of(path)
    added = [FILLED_IN[end] for end in FILLED_IN if kind.endswith(f"/{end}")]
    if not added:
        return body
    properties = {**added[0], **body.get("properties", {})}
    for end, action in (("batchEndpoints", "jobs"), ("onlineEndpoints", "invocations")):
        if kind.endswith(f"/{end}"):
            host = f"{path.rpartition('/')[2]}.westeurope.inference.ml.azure.com"
            properties["scoringUri"] = f"https://{host}/{action}"
    return {**body, "properties": properties}


def workspace() -> Document:
    return {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned", "principalId": signin.CLIENT},
        "properties": {
            "friendlyName": WORKSPACE,
            "workspaceId": "44444444-4444-4444-4444-444444444444",
            "discoveryUrl": runs.DISCOVERY,
            "mlFlowTrackingUri": f"azureml://{runs.HOST}/mlflow/v1.0{WORKSPACE_ID}",
            "storageAccount": STORAGE_ID,
            "provisioningState": "Succeeded",
        },
    }


def blob_store(container: str) -> Document:
    return {
        "datastoreType": "AzureBlob",
        "accountName": ACCOUNT,
        "containerName": container,
        "endpoint": "core.windows.net",
        "protocol": "https",
        "credentials": {"credentialsType": "None"},
        "isDefault": True,
    }


def places_to_look(path: str) -> Document:
    page = f"https://ml.azure.com/runs/{path.rpartition('/')[2]}?wsid={WORKSPACE_ID}"
    return {
        "Studio": {"endpoint": page, "jobServiceType": "Studio"},
        "Tracking": {
            "endpoint": f"azureml://{runs.HOST}/mlflow/v1.0{WORKSPACE_ID}",
            "jobServiceType": "Tracking",
        },
    }


def cluster(nodes: int) -> Document:
    """Return the properties of a cluster that scales from zero to a number of nodes."""
    scale = {"minNodeCount": 0, "maxNodeCount": nodes, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    size = {"vmSize": "STANDARD_D2_V3", "vmPriority": "Dedicated", "scaleSettings": scale}
    return {"computeType": "AmlCompute", "properties": size}
