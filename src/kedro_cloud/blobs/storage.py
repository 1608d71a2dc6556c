"""Which storage account `abfs://` means, and how it is entered.

The account is that of the environment's `globals.yml`, so a catalog names containers and paths
only. Who enters comes from the environment variables below, the first that is set, and else from
what `DefaultAzureCredential` finds: `az login` on a laptop, the cluster's identity on Azure ML.

Nothing heavy is imported here: a run without blob storage does not pay for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.config import conf
from kedro.framework.hooks import hook_impl

from kedro_cloud import compat

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

PROTOCOLS = ("abfs", "abfss", "az")
"""All are the same storage; the catalog says `abfs`."""
CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
"""Of Azurite or any other account; then nothing else counts, the account's name included."""
SAS_TOKEN = "AZURE_STORAGE_SAS_TOKEN"
ACCOUNT_KEY = "AZURE_STORAGE_ACCOUNT_KEY"
ACCOUNT_NAME = "AZURE_STORAGE_ACCOUNT_NAME"
"""Where no environment of the project names an account."""
VARIABLES = (CONNECTION_STRING, SAS_TOKEN, ACCOUNT_KEY)

_GLOBAL = "storage_account"
_OPTION = "account_name"


def register() -> None:
    """Let fsspec open `abfs://` the project's way, and import what that takes when it is used."""
    for protocol in PROTOCOLS:
        fsspec.register_implementation(
            protocol, "kedro_cloud.blobs.file_system.BlobFileSystem", clobber=True
        )


class StorageHooks:
    """Tells blob storage the account of the environment, and looks for containers in time."""

    def __init__(self) -> None:
        self._before = conf.get(PROTOCOLS[0], {}).get(_OPTION)

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Make the account of `globals.yml` that of all datasets that name no other."""
        # Kedro drops an account from the path of a dataset, and pandas opens paths by itself; both
        # heed fsspec's own defaults, which also travel with a file system to other processes.
        account = context.config_loader["globals"].get(_GLOBAL, self._before)
        defaults = conf.setdefault(PROTOCOLS[0], {})
        if account is None:
            defaults.pop(_OPTION, None)
        else:
            defaults[_OPTION] = account

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Refuse to start when a container is missing or closed to this identity."""
        # Inputs as well: through some of them, such as checkpoints, a node's own work writes.
        containers = {_container(catalog.get(name)) for name in pipeline.datasets()}
        for container in sorted(filter(None, containers)):
            fsspec.filesystem(PROTOCOLS[0]).require(container)


def _container(dataset: Any) -> str | None:
    """Name of the container that a dataset lies in; None if it is on no blob storage."""
    protocol, path = compat.dataset_file(dataset) or compat.dataset_folder(dataset) or ("", "")
    if protocol not in PROTOCOLS:
        return None
    return path.rpartition("://")[2].partition("/")[0] or None


def entry() -> tuple[str | None, str | None, str | None]:
    """Connection string, SAS token and account key that are set; an empty one counts as none."""
    found = [os.environ.get(name, "").strip() or None for name in VARIABLES]
    return found[0], found[1], found[2]
