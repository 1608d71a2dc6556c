"""Resolve the trigger of cloud.yml: the location to watch, and the parameters of runs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import fsspec.config

from kedro_cloud.blobs.storage import ACCOUNT_NAME, PROTOCOLS
from kedro_cloud.core import config
from kedro_cloud.core.cloud_settings import Cloud, LocalRuns, RunFolder, Trigger
from kedro_cloud.publishing.inputs import set_parameter
from kedro_cloud.trigger.locations import (
    ArrivedFile,
    BlobContainer,
    LocalFolder,
    WatchedLocation,
)


class FileTrigger:
    """A project whose pipeline is started for each file.

    Settings that only some runs need are checked when they are used.

    Args:
        project: Folder of the Kedro project.
        environment: Kedro environment for Azure ML, a folder of `conf`.
        cloud: Settings in cloud.yml.
        results: Folder for results of local runs, instead of the catalog's.
        params: Nested parameters of all runs, on which the catalog's folders may depend.

    Attributes:
        trigger: Section `trigger` of cloud.yml.
        endpoint: Endpoint that the trigger names.
        file_parameter: Parameter of the pipeline that receives the address of the file.
        variables: Environment variables that name the storage account for local runs.

    Raises:
        ValueError: cloud.yml has no trigger.
    """

    def __init__(
        self,
        project: Path,
        environment: str,
        cloud: Cloud,
        results: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.project, self.environment = project, environment
        self._file, self._results = f"conf/{environment}/cloud.yml", results
        if cloud.trigger is None:
            raise ValueError(
                f"{self._file}: trigger is missing; write `trigger:` with a container, an "
                "endpoint, its file_input and suffixes"
            )
        self.trigger: Trigger = cloud.trigger
        self.endpoint = cloud.endpoints[self.trigger.endpoint]
        self.file_parameter = self.endpoint.inputs[self.trigger.file_input].parameter
        self._catalog = config.loader(project, None, params)["catalog"]  # of local runs
        self._azure = config.loader(project, environment, params)
        account = self._azure["globals"].get("storage_account")
        self.variables = {ACCOUNT_NAME: str(account)} if account else {}

    @property
    def local(self) -> LocalRuns:
        """Section `trigger.local` of cloud.yml."""
        if self.trigger.local is None:
            raise ValueError(
                f"{self._file}: trigger.local is missing; write it, or use --start endpoint"
            )
        return self.trigger.local

    def open_location(self, address: str | None) -> WatchedLocation:
        """Return the location to watch, without accessing it.

        Args:
            address: Local folder, or `abfs://CONTAINER/FOLDER`; None for the container of the
                trigger.
        """
        address = address or f"abfs://{self.trigger.container}"
        suffixes, outputs = self.trigger.suffixes, tuple(self._outputs("://" in address))
        protocol, separator, path = address.partition("://")
        path = path.strip("/")
        location: WatchedLocation
        if not separator:
            location = LocalFolder(_absolute(address), suffixes, outputs)
        elif protocol in PROTOCOLS and path and "@" not in path:
            if account := self.variables.get(ACCOUNT_NAME):
                fsspec.config.conf.setdefault(PROTOCOLS[0], {})["account_name"] = account
            filesystem, markers = fsspec.filesystem(PROTOCOLS[0]), self.trigger.markers
            location = BlobContainer(f"abfs://{path}", suffixes, outputs, filesystem, markers)
        else:
            raise ValueError(f"{address}: expected a folder, or abfs://CONTAINER/FOLDER")
        if any(f"{location.address}/".startswith(f"{output}/") for output in outputs):
            raise ValueError(
                f"{location.address}: runs write their results there, and each would start a run; "
                "watch another location, or use another --results"
            )
        return location

    def run_parameters(self, params: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, Any]:
        """Return the nested parameters of a run of the pipeline.

        Args:
            params: Nested parameters that are the same for all files.
            own: Parameters that differ from file to file, by dotted name.
        """
        given: dict[str, Any] = {}
        for name, value in self.trigger.inputs.items():
            set_parameter(given, self.endpoint.inputs[name].parameter, value)
        given.update(copy.deepcopy(dict(params)))
        for name, text in own.items():
            set_parameter(given, name, text)
        return given

    def local_parameters(self, file: ArrivedFile, work: Path) -> dict[str, str]:
        """Return the parameters of a local run that differ from file to file.

        Its working files are in the folder `work`.
        """
        local = self.local
        given = {self.file_parameter: file.address, local.work.parameter: str(work)}
        if local.results is not None:
            folder = f"{self._results_folder}/{file.name}".rpartition("/")[0]
            given[local.results.parameter] = folder
        if local.reports is not None:
            given[local.reports.parameter] = f"{self._locate_folder(local.reports)}/{file.name}"
        return given

    @property
    def work_folder(self) -> Path:
        """Folder of the working files of all local runs."""
        return Path(self._locate_folder(self.local.work)) / "watched"

    @property
    def summary_name(self) -> str | None:
        """Name of the file in a run's working folder that lists its results."""
        summary = self.local.summary
        return summary and PurePosixPath(self._locate(self._catalog, summary)).name

    @property
    def _results_folder(self) -> str:
        if self._results is None:
            return self._locate_folder(self.local.results)
        if self.local.results is None:
            raise ValueError(f"--results: {self._file} has no trigger.local.results to set")
        return _absolute(self._results)

    def _outputs(self, on_azure: bool) -> Iterator[str]:
        """Yield where local runs write, and where jobs write if the location is on Azure."""
        catalogs = [self._catalog, self._azure["catalog"]] if on_azure else [self._catalog]
        yield from (self._locate(each, name) for each in catalogs for name in self.trigger.outputs)
        if self.trigger.local is not None:
            yield str(self.work_folder)
            if folder := self._results_folder:
                yield folder

    def _locate_folder(self, folder: RunFolder | None) -> str:
        """Return the path of a dataset if it is a folder, else its parent folder."""
        if folder is None:
            return ""
        path = self._locate(self._catalog, folder.dataset)
        return path.rpartition("/")[0] if PurePosixPath(path).suffix else path

    def _locate(self, catalog: Mapping[str, Any], dataset: str) -> str:
        if dataset not in catalog:
            raise ValueError(
                f"{self._file}: trigger: dataset '{dataset}' is missing from the catalog; check "
                "its spelling"
            )
        return _absolute(catalog[dataset]["filepath"], self.project)


def _absolute(path: str, folder: Path = Path()) -> str:
    """Return a URL without a trailing slash, or a path as an absolute one."""
    return path.rstrip("/") if "://" in path else str((folder / Path(path).expanduser()).resolve())
