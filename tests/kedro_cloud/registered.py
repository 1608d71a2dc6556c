"""Register two versions of a test model, on this machine or in a workspace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from mlflow import MlflowClient

from control_plane import ControlPlane
from control_plane.documents import WORKSPACE_ID
from plain import MODEL

EXAMPLE = {"inputs": [[[0] * 28] * 28] * 2}
"""Input example of the model."""
COMMIT = "c" * 40
_FIRST = MappingProxyType(
    {
        "family": "convnet",
        "metric.test_accuracy": "0.98",
        "parameter.epochs": "8",
        "parameter.seed": "1",
        "library.torch": "2.13.0+cpu",
        "train_data_sha256": "a" * 64,
        "test_data_sha256": "b" * 64,
        "quartet_version": "0.1.0",
        "run_id": "run-of-1",
        "git_commit": COMMIT,
    }
)
_SECOND = MappingProxyType(
    {**_FIRST, "metric.test_accuracy": "0.99", "parameter.epochs": "12", "run_id": "run-of-2"}
)
VERSIONS: Mapping[str, Mapping[str, str]] = MappingProxyType({"1": _FIRST, "2": _SECOND})
"""Tags by version number."""


def register_locally(directory: Path) -> MlflowClient:
    """Register both versions in the database `mlflow.db` of a folder, and return its client."""
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    client = MlflowClient(uri, registry_uri=uri)
    client.create_registered_model(MODEL)
    for number, tags in VERSIONS.items():
        folder = directory / "files" / number
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text("flavors: {}\n")
        client.create_model_version(
            MODEL, str(folder), tags=dict(tags), description=f"reason {number}"
        )
    return client


def register_in_workspace(
    plane: ControlPlane, tags: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Register both versions in the workspace, with files; add `tags` to those of each version."""
    container = plane.blobs.client.get_container_client("azureml-blobstore")
    for number, own in VERSIONS.items():
        path = f"models/{MODEL}/{number}/{MODEL}"
        for name, content in {
            "MLmodel": "flavors: {}\n",
            "serving_input_example.json": json.dumps(EXAMPLE),
        }.items():
            container.upload_blob(f"{path}/{name}", content, overwrite=True)
        store = f"azureml:/{WORKSPACE_ID}/datastores/workspaceblobstore".removeprefix("azureml:/")
        plane.manager.add(
            f"models/{MODEL}/versions/{number}",
            {
                "modelType": "mlflow_model",
                "modelUri": f"azureml:/{store}/paths/{path}",
                "description": f"reason {number}",
                "tags": {**own, **tags},
                "properties": {},
                "flavors": {},
            },
        )


def workspace_tags(plane: ControlPlane, number: str) -> dict[str, str]:
    """Return the tags of a version in the workspace."""
    found = plane.manager.find(f"models/{MODEL}/versions/{number}")
    assert found is not None
    return found["properties"]["tags"]
