"""Set the storage account and the credential of `abfs://` URLs.

The account is `storage_account` of the environment's `globals.yml`, so the catalog names only
containers and paths. The credential is the first of the environment variables `VARIABLES` that is
set, else that of `DefaultAzureCredential`: `az login` on a laptop, the cluster's identity on Azure
ML.

This module imports no Azure packages, so that runs without blob storage start fast.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.config import conf
from kedro.framework.hooks import hook_impl

from kedro_cloud import compat
from kedro_cloud.core import extras

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

PROTOCOLS = ("abfs", "abfss", "az")
"""Protocols of blob storage, all equivalent; the catalog uses `abfs`."""
CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING"
"""Takes precedence over all other settings, including the name of the account."""
SAS_TOKEN = "AZURE_STORAGE_SAS_TOKEN"
ACCOUNT_KEY = "AZURE_STORAGE_ACCOUNT_KEY"
ACCOUNT_NAME = "AZURE_STORAGE_ACCOUNT_NAME"
"""Names the account if `globals.yml` does not."""
VARIABLES = (CONNECTION_STRING, SAS_TOKEN, ACCOUNT_KEY)
"""Environment variables of credentials, in the order of precedence."""

_ACCOUNT_OPTION = "account_name"
"""Option of adlfs, for which fsspec keeps a default."""


def register() -> None:
    """Register `BlobFileSystem` for `abfs://`; fsspec imports it when it is first used."""
    for protocol in PROTOCOLS:
        fsspec.register_implementation(
            protocol,
            "kedro_cloud.blobs.file_system.BlobFileSystem",
            clobber=True,
            errtxt=extras.format_missing(f"{protocol}://", "azure"),
        )


class StorageHooks:
    """Set the account of blob storage, and check containers before a run starts."""

    def __init__(self) -> None:
        self._initial_account = conf.get(PROTOCOLS[0], {}).get(_ACCOUNT_OPTION)

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Make the account of `globals.yml` the default of all datasets."""
        # Kedro drops an account from the path of a dataset, and pandas opens paths itself; both
        # use fsspec's defaults, which are also passed to other processes with a file system.
        account = context.config_loader["globals"].get("storage_account", self._initial_account)
        defaults = conf.setdefault(PROTOCOLS[0], {})
        if account is None:
            defaults.pop(_ACCOUNT_OPTION, None)
        else:
            defaults[_ACCOUNT_OPTION] = account

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Raise StorageError if a container does not exist or this identity may not list it."""
        # Free inputs as well: nodes write to some of them, such as checkpoints.
        containers = {_find_container(catalog.get(name)) for name in pipeline.datasets()}
        for container in sorted(filter(None, containers)):
            fsspec.filesystem(PROTOCOLS[0]).check_container(container)


def _find_container(dataset: Any) -> str | None:
    """Return the name of a dataset's container; None if it is not in blob storage."""
    protocol, path = compat.dataset_file(dataset) or compat.dataset_folder(dataset) or ("", "")
    if protocol not in PROTOCOLS:
        return None
    return path.rpartition("://")[2].partition("/")[0] or None


def read_credentials() -> tuple[str | None, str | None, str | None]:
    """Return connection string, SAS token and account key of the environment; None if empty."""
    values = [os.environ.get(name, "").strip() or None for name in VARIABLES]
    return values[0], values[1], values[2]
