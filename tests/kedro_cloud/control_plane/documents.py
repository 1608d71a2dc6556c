"""What Azure's documents say beside what a client puts into them."""

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
"""By the end of a resource's type: properties that the service adds if a client leaves them out."""


def completed(path: str, body: Document) -> Document:
    """A document as the service keeps it at a path."""
    kind = type_of(path)
    added = [FILLED_IN[end] for end in FILLED_IN if kind.endswith(f"/{end}")]
    if not added:
        return body
    properties = {**added[0], **body.get("properties", {})}
    if kind.endswith("/batchEndpoints"):
        name = path.rpartition("/")[2]
        properties["scoringUri"] = f"https://{name}.westeurope.inference.ml.azure.com/jobs"
    if kind.endswith("/onlineEndpoints"):
        name = path.rpartition("/")[2]
        properties["scoringUri"] = f"https://{name}.westeurope.inference.ml.azure.com/invocations"
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
    """Properties of a cluster that scales from zero to so many machines."""
    scale = {"minNodeCount": 0, "maxNodeCount": nodes, "nodeIdleTimeBeforeScaleDown": "PT2M"}
    size = {"vmSize": "STANDARD_D2_V3", "vmPriority": "Dedicated", "scaleSettings": scale}
    return {"computeType": "AmlCompute", "properties": size}
