"""The place, and the way to start, that a project's configuration and a command line name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
from fsspec.config import conf

from quartet import configuration
from quartet.azure.cloud_settings import Cloud, Trigger
from quartet.azure.publishing.inputs import put
from quartet.azure.storage import ACCOUNT_NAME, PROTOCOLS
from quartet.azure.watching.containers import Container
from quartet.azure.watching.folders import Folder
from quartet.azure.watching.places import Place
from quartet.azure.watching.starting import Commands, kedro_run

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from quartet.azure.watching.jobs import Jobs

_WRITTEN = ("restyled_folder", "style_pieces")
"""Datasets of style_transfer that hold videos, which are not to be restyled again."""
_VIDEO = "video"
_BY_WATCHING = (_VIDEO, "transfer_folder", "report_folder", "restyled_folder")
"""Parameters that are said for each video."""


@dataclass(frozen=True)
class Configured:
    """A project as it watches.

    Attributes:
        project: Kedro's.
        environment: Folder of `conf`, of Azure ML.
        cloud: Its cloud.yml.
        results: Where videos restyled on this machine go, if not where the catalog says.
    """

    project: Path
    environment: str
    cloud: Cloud
    results: str | None = None

    @property
    def trigger(self) -> Trigger:
        """What a new video starts.

        Raises:
            ValueError: The environment says none.
        """
        if self.cloud.trigger is None:
            raise ValueError(
                f"conf/{self.environment}/cloud.yml: trigger is missing, by which videos are "
                "known; write `trigger:` with a container, an endpoint and suffixes"
            )
        return self.cloud.trigger

    def place(self, text: str | None) -> Place:
        """What is watched.

        Args:
            text: A folder of this machine, or `abfs://CONTAINER/FOLDER`; that of the trigger, if
                not said.

        Raises:
            ValueError: It is neither, or where results are written.
        """
        trigger = self.trigger
        text = text or f"abfs://{trigger.container}"
        protocol, divider, path = text.partition("://")
        outputs = self._outputs()
        found: Place
        if not divider:
            found = Folder(Path(text).expanduser(), trigger.suffixes, outputs)
        elif protocol in PROTOCOLS and path.strip("/") and "@" not in path:
            self._name_account()
            filesystem = fsspec.filesystem(PROTOCOLS[0])
            found = Container(filesystem, path, trigger.suffixes, trigger.markers, outputs)
        else:
            raise ValueError(f"{text}: name a folder, or a container as abfs://CONTAINER/FOLDER")
        for output in outputs:
            if f"{found.address}/".startswith(f"{output}/"):
                raise ValueError(
                    f"{found.address}: results are written there, and would be taken for new "
                    "videos; watch another place, or say another --results"
                )
        return found

    def commands(self, params: Mapping[str, Any]) -> Commands:
        """Restyles on this machine, by `kedro run`.

        Args:
            params: Of the run, nested.

        Raises:
            ValueError: One is said for each video, or intermediate files would not lie here.
        """
        self._refuse(params, _BY_WATCHING)
        inputs = self.cloud.endpoints[self.trigger.endpoint].inputs
        usual: dict[str, Any] = {}
        for name, value in self.trigger.inputs.items():
            put(usual, inputs[name].parameter, value)
        pieces = self._path(self._here, "style_pieces")
        if "://" in pieces:
            raise ValueError(f"style_pieces of the catalog lies on {pieces}: a folder is wanted")
        run = kedro_run(
            {**usual, **params},
            self.results_folder,
            self._path(self._here, "style_transfer_metrics").rpartition("/")[0],
        )
        account = {ACCOUNT_NAME: self._account} if self._account else {}
        return Commands(run, Path(pieces).parent / "watched", self.project, account)

    def jobs(self, client: MLClient, params: Mapping[str, Any], every: float) -> Jobs:
        """Restyles on Azure ML, by the trigger's endpoint.

        Args:
            client: Of the workspace.
            params: Inputs of the endpoint.
            every: Seconds from one look at a job to the next.

        Raises:
            ValueError: The endpoint has no such input.
        """
        from quartet.azure.watching.jobs import Jobs

        trigger = self.trigger
        known = self.cloud.endpoints[trigger.endpoint].inputs
        self._refuse(params, (_VIDEO,))
        for name in params:
            if name not in known:
                raise ValueError(
                    f"endpoint '{trigger.endpoint}' has no input '{name}' (it has "
                    f"{', '.join(known)}); publish it with other inputs in cloud.yml, or leave it "
                    "out"
                )
        said = {**trigger.inputs, **params}
        inputs = {name: (known[name].type, value) for name, value in said.items()}
        return Jobs(client, trigger.endpoint, inputs, every)

    @property
    def results_folder(self) -> str:
        """Where videos restyled on this machine go."""
        if self.results is None:
            return self._path(self._here, "restyled_folder")
        if "://" in self.results:
            return self.results.rstrip("/")
        return str(Path(self.results).expanduser().resolve())

    def _outputs(self) -> list[str]:
        catalogs = (self._here, configuration.loader(self.project, self.environment)["catalog"])
        written = [self._path(catalog, name) for catalog in catalogs for name in _WRITTEN]
        watched = Path(self._path(self._here, "style_pieces")).parent / "watched"
        return [self.results_folder, *written, str(watched)]

    def _path(self, catalog: Mapping[str, Any], name: str) -> str:
        path = str(catalog[name]["filepath"])
        return path if "://" in path else str((self.project / path).resolve())

    @cached_property
    def _here(self) -> Mapping[str, Any]:
        """The catalog of runs on this machine."""
        catalog: Mapping[str, Any] = configuration.loader(self.project, None)["catalog"]
        return catalog

    @cached_property
    def _account(self) -> str | None:
        """Name of the storage account."""
        roots = configuration.loader(self.project, self.environment)["globals"]
        name = roots.get("storage_account")
        return str(name) if name else None

    def _name_account(self) -> None:
        if self._account:
            conf.setdefault(PROTOCOLS[0], {})["account_name"] = self._account

    def _refuse(self, params: Mapping[str, Any], names: tuple[str, ...]) -> None:
        for name in names:
            if name in params:
                raise ValueError(f"parameter '{name}' is another for each video: leave it out")
