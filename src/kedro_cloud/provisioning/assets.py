"""Compare datastores, data assets and environments with those of the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud.core import config
from kedro_cloud.core.cloud_settings import Cloud, DataAsset
from kedro_cloud.provisioning.environment import Image, is_registered, register
from kedro_cloud.workspace import faults
from kedro_cloud.workspace.changes import (
    NEW,
    OTHER,
    REFUSED,
    SAME,
    Change,
    fail_with,
    find_differences,
    get_or_none,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_PLACEHOLDER = "your-data-account"
"""Value of `storage_account` in the template of globals.yml."""
_DATASTORE = "datastore"


@dataclass(frozen=True)
class Datastores:
    """Datastores of a workspace: names for containers of the data account."""

    client: MLClient
    cloud: Cloud
    account: str

    def changes(self) -> Iterator[Change]:
        """Yield a change for each datastore of cloud.yml, then for others of the workspace."""
        existing = {each.name: each for each in self.client.datastores.list()}
        for name, container in self.cloud.datastores.items():
            yield self._plan_change(name, container, existing.get(name))
        for name in existing.keys() - self.cloud.datastores.keys():
            yield Change(SAME, _DATASTORE, name, "not in cloud.yml, left alone")

    def _plan_change(self, name: str, container: str, existing: Any) -> Change:
        detail = f"container {container} of {self.account}, by identity"
        create = partial(self._create, name, container)
        if existing is None:
            return Change(NEW, _DATASTORE, name, detail, create)
        if (kind := str(getattr(existing.type, "value", existing.type))) != "AzureBlob":
            fault = f"is of another kind ({kind}); give it another name in cloud.yml"
            message = f"datastore '{name}' {fault}"
            return Change(REFUSED, _DATASTORE, name, fault, fail_with(message))
        differences = find_differences(
            {
                "account": (existing.account_name, self.account),
                "container": (existing.container_name, container),
                "credentials": (_credentials(existing), "identity"),
            }
        )
        if differences:
            return Change(OTHER, _DATASTORE, name, ", ".join(differences.values()), create)
        return Change(SAME, _DATASTORE, name, detail)

    def _create(self, name: str, container: str) -> None:
        from azure.ai.ml.entities import AzureBlobDatastore

        store = AzureBlobDatastore(
            name=name,
            account_name=self.account,
            container_name=container,
            description=f"Container {container}, accessed by identity",
        )
        self.client.datastores.create_or_update(store)


@dataclass(frozen=True)
class DataAssets:
    """Data assets of a workspace: versioned folders of raw data."""

    client: MLClient
    cloud: Cloud

    def changes(self) -> Iterator[Change]:
        """Yield a change for each data asset of cloud.yml."""
        latest = {each.name: each.latest_version for each in self.client.data.list()}
        for name, target in self.cloud.data_assets.items():
            newest = latest.get(name)
            existing = get_or_none(self.client.data.get, name, version=newest) if newest else None
            path = f"datastores/{target.datastore}/paths/{target.path}"
            before = _relative_to_workspace(str(existing.path).rstrip("/")) if existing else ""
            if before == path:
                yield Change(SAME, "data asset", f"{name}:{newest}", path)
                continue
            version = _next_version(str(newest)) if existing else "1"
            yield Change(
                NEW,
                "data asset",
                f"{name}:{version}",
                f"{before} → {path}" if existing else path,
                partial(self._create, name, version, target),
                needs=(_DATASTORE, target.datastore),
            )

    def _create(self, name: str, version: str, target: DataAsset) -> None:
        from azure.ai.ml.entities import Data

        asset = Data(
            name=name,
            version=version,
            type="uri_folder",
            path=f"azureml://datastores/{target.datastore}/paths/{target.path}",
            description=f"Raw data: {target.path}",
        )
        self.client.data.create_or_update(asset)


@dataclass(frozen=True)
class Environments:
    """Environments of a workspace: that of steps on CPUs, and further ones that are in use.

    The environment of steps on GPUs is in use if azureml.yml names it, that of online endpoints if
    cloud.yml has deployments.
    """

    client: MLClient
    cloud: Cloud
    project: Path
    environment: str

    def changes(self) -> Iterator[Change]:
        """Yield a change for each environment in use."""
        for image in self._images():
            if is_registered(self.client, image):
                yield Change(SAME, "environment", image.reference)
            else:
                detail = f"of {image.dockerfile.name} and {image.lock.name}"
                create = partial(register, self.client, image)
                yield Change(NEW, "environment", image.reference, detail, create)

    def _images(self) -> Iterator[Image]:
        yield Image.from_project(self.project, "cpu")
        settings = faults.workspace_settings(self.project, self.environment)
        gpu = Image.from_project(self.project, "gpu")
        if gpu.reference in str(settings["environment_name"]):
            yield gpu
        if self.cloud.deployments:
            yield Image.from_project(self.project, "serving")


def data_account(project: Path, environment: str) -> str:
    """Return the name of the storage account of the data.

    Raises:
        ValueError: globals.yml does not name it yet.
    """
    settings = config.loader(project, environment)["globals"]
    name = str(settings.get("storage_account") or _PLACEHOLDER)
    if name == _PLACEHOLDER:
        raise ValueError(
            f"conf/{environment}/globals.yml does not name your storage account yet: write "
            "storage_account: NAME there (az storage account list --query [].name)"
        )
    return name


def _credentials(datastore: Any) -> str:
    kind = getattr(datastore.credentials, "type", None) or "None"
    name = str(getattr(kind, "value", kind))
    return "identity" if name.lower() == "none" else name


def _next_version(version: str) -> str:
    return str(int(version) + 1) if version.isdigit() else f"{version}-1"


def _relative_to_workspace(path: str) -> str:
    """Return the URL of a folder without scheme and workspace: `datastores/NAME/paths/PATH`."""
    return path.partition("/workspaces/")[2].partition("/")[2] or path.removeprefix("azureml://")
