"""Reach private names of the libraries, each where no public name does the same.

Every function says in which version its names were read. A release that renames them breaks this
module only, so pyproject.toml has a ceiling for each of these libraries.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from kedro.io import DataCatalog
    from kedro.pipeline import Node


def dataset_file(dataset: Any) -> tuple[str, str] | None:
    """Return the protocol and path of a dataset's file; None for a dataset without one.

    kedro-datasets 9.6: no public attribute has the path; `to_config` has the catalog's own text.
    """
    path = getattr(dataset, "_filepath", None)
    return None if path is None else (getattr(dataset, "_protocol", "file"), str(path))


def dataset_folder(dataset: Any) -> tuple[str, str] | None:
    """Return the protocol and path of a partitioned dataset; the path begins with the protocol.

    kedro-datasets 9.6: as for `dataset_file`.
    """
    path = getattr(dataset, "_path", None)
    return None if path is None else (getattr(dataset, "_protocol", "file"), str(path))


def drop_datasets(catalog: DataCatalog, kept: Collection[str]) -> None:
    """Remove datasets that are not opened yet from a catalog, unless they are to be kept.

    kedro 1.7: a catalog has no `__delitem__`, and `filter` opens what it looks at.
    """
    for name in catalog._lazy_datasets.keys() - set(kept):
        del catalog._lazy_datasets[name]


def validate_data(catalog: DataCatalog, name: str, data: Any, mode: str) -> Any:
    """Return data as the catalog's validator leaves it, or unchanged where validation is off.

    kedro 1.7: `kedro.validation.validate_dataset` is public, but returns a report, and neither the
    converted data nor what the severity of the validator asks for.

    Args:
        catalog: The catalog that declares the validator.
        name: The name of the dataset.
        data: What was loaded, or is to be saved.
        mode: `load` or `save`.
    """
    return catalog._validate(name, data, mode=mode) if catalog._is_validation_enabled() else data


def configure_pipelines(module: str) -> None:
    """Make a module the registry of pipelines, for the pipelines that the run asks for.

    kedro 1.7: `pipelines.configure` clears the requested names, and no public API returns them.
    """
    from kedro.framework.project import pipelines

    if pipelines._pipelines_module == module:
        return
    requested = pipelines._requested_pipelines
    pipelines.configure(module)
    pipelines.set_requested(requested)


def inputs_by_argument(node: Node) -> dict[str, str] | None:
    """Return datasets by argument of a node's function; None where the node has them in order.

    kedro 1.7: `Node.inputs` is a list, in which an argument left at its default has no place.
    """
    inputs = node._inputs
    return dict(inputs) if isinstance(inputs, dict) else None


def content_hash(folder: Path) -> str:
    """Return Azure ML's hash of the names and contents of a folder's files.

    azure-ai-ml 1.35: it decides whether code is uploaded again, and no public function returns it.
    """
    from azure.ai.ml._utils._asset_utils import get_content_hash

    return get_content_hash(folder) or ""


class IgnoreFile:
    """The `.amlignore` or `.gitignore` that the Azure SDK obeys in a folder.

    azure-ai-ml 1.35: which files are uploaded is decided in `_asset_utils`, and only there.

    Attributes:
        rules: The SDK's patterns, each with its line of the file.
    """

    def __init__(self, folder: Path) -> None:
        from azure.ai.ml._utils._asset_utils import get_ignore_file

        self._file: Any = get_ignore_file(folder)
        lines = self._file._get_ignore_list()
        self.rules = list(zip(self._file._create_pathspec(), lines, strict=True))

    def uploaded(self, root: str, files: list[str], prefix: str) -> list[tuple[str, str]]:
        """Return the files below `root` that are uploaded, each with its name in the upload."""
        from azure.ai.ml._utils._asset_utils import traverse_directory

        return list(traverse_directory(root, files, prefix=prefix, ignore_file=self._file))


def management_url() -> str:
    """Return the URL of Azure Resource Manager in the cloud that the Azure SDK works in.

    azure-ai-ml 1.35: its choice of cloud, by environment variables, has no public name.
    """
    from azure.ai.ml._azure_environments import _get_base_url_from_metadata

    return str(_get_base_url_from_metadata())


def storage_suffix() -> str:
    """Return the end of a storage account's host in that cloud, such as `core.windows.net`.

    azure-ai-ml 1.35: as for `management_url`.
    """
    from azure.ai.ml._azure_environments import _get_storage_endpoint_from_metadata

    return str(_get_storage_endpoint_from_metadata())


def run_details(client: MLClient, run: str) -> Any:
    """Return the error and the log files of a run.

    azure-ai-ml 1.35: `jobs.stream` prints them, and waits for the end of the run.
    """
    return client.jobs._runs_operations.get_run_details(run)


def telemetry_tags() -> dict[Any, Any]:
    """Return the tags that Azure's exporter adds to every item, to be changed in place.

    azure-monitor-opentelemetry 1.8, exporter 1.0.0b58: no option leaves out the machine's name.
    """
    from azure.monitor.opentelemetry.exporter._utils import azure_monitor_context

    tags: dict[Any, Any] = azure_monitor_context
    return tags
