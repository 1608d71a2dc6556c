"""Datastores, data assets and environments as the project has them, beside the workspace's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_cloud.core import config
from kedro_cloud.core.cloud_settings import Cloud, DataAsset
from kedro_cloud.provisioning.environment import Image, is_registered, register
from kedro_cloud.workspace import faults
from kedro_cloud.workspace.changes import NEW, OTHER, REFUSED, SAME, Change, fail_with, found

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_PLACEHOLDER = "your-data-account"
"""What stands in globals.yml until somebody has an account."""
_DATASTORE = "datastore"


@dataclass(frozen=True)
class Datastores:
    """Containers of the data account as the workspace names them.

    Attributes:
        client: Of the workspace.
        cloud: What cloud.yml says.
        account: Of the data.
    """

    client: MLClient
    cloud: Cloud
    account: str

    def changes(self) -> Iterator[Change]:
        """One for each datastore of cloud.yml; then those that only the workspace has."""
        there = {each.name: each for each in self.client.datastores.list()}
        for name, container in self.cloud.datastores.items():
            yield self._change(name, container, there.get(name))
        for name in there.keys() - self.cloud.datastores.keys():
            yield Change(SAME, _DATASTORE, name, "not in cloud.yml, left alone")

    def _change(self, name: str, container: str, there: Any) -> Change:
        wanted = {"account": self.account, "container": container, "credentials": "identity"}
        detail = f"container {container} of {self.account}, by identity"
        if there is None:
            return Change(NEW, _DATASTORE, name, detail, self._maker(name, container))
        if (kind := str(getattr(there.type, "value", there.type))) != "AzureBlob":
            said = f"is of another kind ({kind}); give it another name in cloud.yml"
            return Change(REFUSED, _DATASTORE, name, said, fail_with(f"datastore '{name}' {said}"))
        before = {
            "account": there.account_name,
            "container": there.container_name,
            "credentials": _credentials(there),
        }
        differences = [
            f"{part} {before[part]} → {wanted[part]}"
            for part in wanted
            if before[part] != wanted[part]
        ]
        if differences:
            return Change(
                OTHER, _DATASTORE, name, ", ".join(differences), self._maker(name, container)
            )
        return Change(SAME, _DATASTORE, name, detail)

    def _maker(self, name: str, container: str) -> Callable[[], Any]:
        from azure.ai.ml.entities import AzureBlobDatastore

        store = AzureBlobDatastore(
            name=name,
            account_name=self.account,
            container_name=container,
            description=f"Container {container}, accessed by identity",
        )
        return lambda: self.client.datastores.create_or_update(store)


@dataclass(frozen=True)
class DataAssets:
    """Folders of raw data, as assets with versions.

    Attributes:
        client: Of the workspace.
        cloud: What cloud.yml says.
    """

    client: MLClient
    cloud: Cloud

    def changes(self) -> Iterator[Change]:
        """One for each asset of cloud.yml."""
        latest = {each.name: each.latest_version for each in self.client.data.list()}
        for name, wanted in self.cloud.data_assets.items():
            newest = latest.get(name)
            there = found(self.client.data.get, name, version=newest) if newest else None
            place = f"datastores/{wanted.datastore}/paths/{wanted.path}"
            before = _below_workspace(str(there.path).rstrip("/")) if there else ""
            if before == place:
                yield Change(SAME, "data asset", f"{name}:{newest}", place)
                continue
            version = _after(str(newest)) if there else "1"
            yield Change(
                NEW,
                "data asset",
                f"{name}:{version}",
                f"{before} → {place}" if there else place,
                self._maker(name, version, wanted),
                needs=(_DATASTORE, wanted.datastore),
            )

    def _maker(self, name: str, version: str, wanted: DataAsset) -> Callable[[], Any]:
        from azure.ai.ml.entities import Data

        asset = Data(
            name=name,
            version=version,
            type="uri_folder",
            path=f"azureml://datastores/{wanted.datastore}/paths/{wanted.path}",
            description=f"Raw data: {wanted.path}",
        )
        return lambda: self.client.data.create_or_update(asset)


@dataclass(frozen=True)
class Environments:
    """The images that steps run in: that for CPUs, and that for GPUs if steps are given it.

    Attributes:
        client: Of the workspace.
        project: Kedro's.
        environment: Folder of `conf`.
    """

    client: MLClient
    project: Path
    environment: str

    def changes(self) -> Iterator[Change]:
        """One for each image in use."""
        said = str(faults.workspace_settings(self.project, self.environment)["environment_name"])
        for kind in ("cpu", "gpu"):
            image = Image.from_project(self.project, kind)
            if kind == "gpu" and image.reference not in said:
                continue
            if is_registered(self.client, image):
                yield Change(SAME, "environment", image.reference)
            else:
                detail = f"of {image.dockerfile.name} and {image.lock.name}"
                yield Change(NEW, "environment", image.reference, detail, self._maker(image))

    def _maker(self, image: Image) -> Callable[[], Any]:
        return lambda: register(self.client, image)


def data_account(project: Path, environment: str) -> str:
    """Name of the storage account that the data lies in.

    Raises:
        ValueError: globals.yml does not say it yet.
    """
    said = config.loader(project, environment)["globals"]
    name = str(said.get("storage_account") or _PLACEHOLDER)
    if name == _PLACEHOLDER:
        raise ValueError(
            f"conf/{environment}/globals.yml does not name your storage account yet: write "
            "storage_account: NAME there (az storage account list --query [].name)"
        )
    return name


def _credentials(there: Any) -> str:
    kind = getattr(there.credentials, "type", None) or "None"
    said = str(getattr(kind, "value", kind))
    return "identity" if said.lower() == "none" else said


def _after(version: str) -> str:
    return str(int(version) + 1) if version.isdigit() else f"{version}-1"


def _below_workspace(path: str) -> str:
    """A folder's address, less what is the same for all of a workspace."""
    return path.partition("/workspaces/")[2].partition("/")[2] or path.removeprefix("azureml://")
